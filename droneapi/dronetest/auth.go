package dronetest

import (
	"net/http"
	"strings"
)

// forbidCaching sets the headers of chi's NoCache middleware, which is on all pages but /metrics.
func forbidCaching(h http.Header) {
	h.Set("Cache-Control", "no-cache, private, max-age=0")
	h.Set("Expires", "Thu, 01 Jan 1970 00:00:00 UTC")
	h.Set("Pragma", "no-cache")
	h.Set("X-Accel-Expires", "0")
}

// session tells who asks, as Drone's session does: the Authorization header with or without the word
// Bearer, else the parameter access_token. claimed is true where a token was given at all, known or
// not: /metrics tells the two apart.
func (s *Server) session(r *http.Request) (user *User, claimed bool) {
	token := r.Header.Get("Authorization")
	if token == "" {
		token = r.FormValue("access_token")
	}
	if token == "" {
		return nil, false
	}
	token = strings.TrimPrefix(token, "Bearer ")

	s.mu.RLock()
	defer s.mu.RUnlock()
	u, ok := s.world.byToken[token]
	if !ok || token == "" {
		return nil, true
	}
	c := *u
	return &c, true
}

// access is who may use an endpoint.
type access int

const (
	anyone access = iota
	anyUser
	adminOnly
	repoReaders
)

// refusal is the status that a caller without the right gets, or 0.
func (a access) refusal(u *User) int {
	switch {
	case a != anyUser && a != adminOnly:
		return 0
	case u == nil:
		return http.StatusUnauthorized
	case a == adminOnly && !u.Admin:
		return http.StatusForbidden
	}
	return 0
}

// readRefusal is the status that a caller gets who may not read the repository, or 0: in the order
// in which Drone's acl asks. A repository that does not exist is 404 to users and 401 to strangers.
func (w *world) readRefusal(u *User, rp *repo) int {
	switch {
	case rp == nil && u == nil:
		return http.StatusUnauthorized
	case rp == nil:
		return http.StatusNotFound
	case u != nil && u.Admin, rp.Visibility == Public:
		return 0
	case u == nil:
		return http.StatusUnauthorized
	case rp.Visibility == Internal:
		return 0
	case !w.perms[perm{u.ID, rp.UID}]:
		return http.StatusNotFound
	case !u.Active:
		return http.StatusForbidden
	}
	return 0
}

// message is the body of a refusal with the status.
func message(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "Unauthorized"
	case http.StatusForbidden:
		return "Forbidden"
	case http.StatusNotImplemented:
		return "Not Implemented"
	}
	return "Not Found"
}
