package dronetest

import (
	"net/http"
	"strconv"
	"strings"
)

// call is one request on its way through the handlers.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	params map[string]string
	user   *User // nil: a stranger
}

// route is an endpoint of the API.
type route struct {
	template   string
	mount      bool // chi mounts it: a slash at the end does no harm
	access     access
	enterprise bool // 501 on the community edition, after the caller's rights were checked
	since      [2]int
	anyMethod  bool
	handle     func(*Server, *call)
}

//nolint:gochecknoglobals // a table that is never written to; Go has no constants of this kind
var routes = [...]route{
	{template: "/version", mount: true, handle: (*Server).handleVersion},
	{template: "/healthz", mount: true, anyMethod: true, handle: (*Server).handleHealth},
	{template: "/metrics", mount: true, anyMethod: true, handle: (*Server).handleMetrics},
	{template: "/api/user", mount: true, access: anyUser, handle: (*Server).handleUser},
	{template: "/api/users", mount: true, access: adminOnly, handle: (*Server).handleUsers},
	{template: "/api/repos", mount: true, access: adminOnly, since: [2]int{1, 6}, handle: (*Server).handleRepos},
	{template: "/api/queue", mount: true, access: adminOnly, enterprise: true, handle: (*Server).handleQueue},
	{template: "/api/builds/incomplete", access: adminOnly, enterprise: true,
		handle: (*Server).handleIncomplete},
	{template: "/api/builds/incomplete/v2", access: adminOnly, enterprise: true, since: [2]int{2, 5},
		handle: (*Server).handleIncompleteStages},
	{template: "/api/system/stats", access: adminOnly, enterprise: true, handle: (*Server).handleStats},
	{template: repoTemplate, mount: true, access: repoReaders, handle: (*Server).handleRepo},
	{template: repoTemplate + "/builds", mount: true, access: repoReaders, handle: (*Server).handleBuilds},
	{template: repoTemplate + "/builds/{number}", access: repoReaders, handle: (*Server).handleBuild},
	{template: repoTemplate + "/builds/{number}/logs/{stage}/{step}", access: repoReaders,
		handle: (*Server).handleLogs},
}

const repoTemplate = "/api/repos/{owner}/{name}"

// unknownTemplate stands for every path that is no endpoint of the fake.
const unknownTemplate = "(other)"

// routingPath is what chi routes by: the path as it was escaped, where it was escaped unusually.
func routingPath(r *http.Request) string {
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.Path
}

// URLTemplate names the endpoint of a request: "/api/repos/{owner}/{name}/builds/{number}". Paths
// below a repository that are no endpoint give "/api/repos/{owner}/{name}/*", others "(other)".
func URLTemplate(r *http.Request) string {
	path := routingPath(r)
	for i := range routes {
		if _, ok := routes[i].match(path); ok {
			return routes[i].template
		}
	}
	if strings.HasPrefix(path, "/api/repos/") {
		return repoTemplate + "/*"
	}
	return unknownTemplate
}

func (rt *route) match(path string) (map[string]string, bool) {
	if rt.mount {
		path = strings.TrimSuffix(path, "/")
	}
	return matchPath(rt.template, path)
}

// matchPath holds a path against a template, segment by segment; names in braces take one segment.
func matchPath(template, path string) (map[string]string, bool) {
	var params map[string]string
	for {
		want, restT, moreT := strings.Cut(template, "/")
		got, restP, moreP := strings.Cut(path, "/")
		switch {
		case strings.HasPrefix(want, "{"):
			if got == "" {
				return nil, false
			}
			if params == nil {
				params = make(map[string]string, 4)
			}
			params[want[1:len(want)-1]] = got
		case want != got:
			return nil, false
		}
		if moreT != moreP {
			return nil, false
		}
		if !moreT {
			return params, true
		}
		template, path = restT, restP
	}
}

// dispatch routes, checks the caller's rights and calls the handler.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	path := routingPath(r)
	if path != "/metrics" {
		forbidCaching(w.Header())
	}
	user, _ := s.session(r)
	rt, params := s.find(path)
	if rt == nil {
		s.handleUnknown(&call{w, r, nil, user}, path)
		return
	}
	c := &call{w, r, params, user}
	s.mu.RLock()
	edition := s.edition
	s.mu.RUnlock()
	if status := rt.access.refusal(user); status != 0 {
		c.fail(status, message(status))
		return
	}
	if rt.access == repoReaders && !s.mayRead(c) {
		return
	}
	switch {
	case r.Method != http.MethodGet && !rt.anyMethod:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case rt.enterprise && edition == Community:
		c.fail(http.StatusNotImplemented, message(http.StatusNotImplemented))
	default:
		rt.handle(s, c)
	}
}

// find gives the route of a path, or nil, also for endpoints that the version does not have yet.
func (s *Server) find(path string) (*route, map[string]string) {
	s.mu.RLock()
	version := s.version
	s.mu.RUnlock()
	for i := range routes {
		if params, ok := routes[i].match(path); ok && !olderThan(version, routes[i].since) {
			return &routes[i], params
		}
	}
	return nil, nil
}

// olderThan compares major and minor; what is no version counts as new.
func olderThan(version string, since [2]int) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		return false
	}
	return a < since[0] || a == since[0] && b < since[1]
}

// mayRead answers for a repository that the caller cannot have, and tells whether it may go on.
func (s *Server) mayRead(c *call) bool {
	s.mu.RLock()
	rp := s.world.bySlug[c.params["owner"]+"/"+c.params["name"]]
	status := s.world.readRefusal(c.user, rp)
	s.mu.RUnlock()
	if status != 0 {
		c.fail(status, message(status))
	}
	return status == 0
}

// handleUnknown answers for paths that are no endpoint: the repository's rights come first below
// a repository, then chi's plain 404; outside of /api it is Drone's web page.
func (s *Server) handleUnknown(c *call, path string) {
	segs := strings.SplitN(strings.TrimPrefix(path, "/api/repos/"), "/", 3)
	if strings.HasPrefix(path, "/api/repos/") && len(segs) == 3 {
		c.params = map[string]string{"owner": segs[0], "name": segs[1]}
		if !s.mayRead(c) {
			return
		}
	}
	if path == "/api" || strings.HasPrefix(path, "/api/") {
		http.NotFound(c.w, c.r)
		return
	}
	if c.user == nil && path == "/" {
		http.Redirect(c.w, c.r, "/welcome", http.StatusSeeOther)
		return
	}
	c.w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	_, _ = c.w.Write([]byte(webPage))
}

// webPage stands for the start page of Drone's web application.
const webPage = "<!DOCTYPE html><html><head><title>Drone CI</title></head>" +
	"<body><div id=\"root\"></div></body></html>\n"

// reply sends a body that is JSON already.
func (c *call) reply(body []byte) {
	c.w.Header().Set("Content-Type", "application/json")
	// A failed write is a client that went away; there is nobody left to tell.
	_, _ = c.w.Write(body)
}

// fail sends Drone's error body.
func (c *call) fail(status int, message string) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(encode(struct {
		Message string `json:"message"`
	}{message}))
}
