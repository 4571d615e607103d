package droneapi

import (
	"net/http"
	"strings"
)

// templateKey is where a request's context has its template.
type templateKey struct{}

// URLTemplate is the path of a request of the client below the server's address, with placeholders for what
// varies: /api/repos/{owner}/{name}/builds/{number}. There are about ten.
func URLTemplate(req *http.Request) string {
	out, _ := req.Context().Value(templateKey{}).(string)
	return out
}

// template makes the template of a path, whose parts are escaped.
func template(path string) string {
	const repos = "/api/repos/"
	rest, below := strings.CutPrefix(path, repos)
	if !below {
		return path
	}
	parts := strings.Split(rest, "/")
	placeholders := []string{"{owner}", "{name}", "builds", "{number}"}
	return repos + strings.Join(placeholders[:min(len(parts), len(placeholders))], "/")
}
