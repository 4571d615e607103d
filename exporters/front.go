package exporters

import (
	"net/http"
	"strings"

	"drone-otel-agent/internal/secret"
)

// The paths of what people and programs see of the status. The page itself is at /.
const (
	StatusPath = "/api/v1/status"
	LogoutPath = "/-/logout"
)

// maxLogin is the longest body of a login: a token, each of its bytes escaped.
const maxLogin = 3*maxToken + 1<<10

// Front is what the server shows people. Who may see which part of it is the server's matter.
type Front interface {
	// Page is for those who may read the metrics; leave tells that they have logged in, and can log out.
	Page(w http.ResponseWriter, r *http.Request, leave bool)
	// Document is the same for programs.
	Document(w http.ResponseWriter, r *http.Request)
	// Door is for all others: a form that posts a field named token to /. It is to answer with the status. said is which
	// token is wanted where that is 200, and else why the one that was given does not do.
	Door(w http.ResponseWriter, r *http.Request, status int, said string)
	// Policy is the Content-Security-Policy that it works under.
	Policy() string
}

// entrance lets people in to a Front.
type entrance struct {
	front    Front
	guard    Guard
	sessions *sessions
	refusals *refusals
	foreign  *http.CrossOriginProtection
	// turns bound how many pages are put together at the same time.
	turns *turns
}

func newEntrance(cfg ServerConfig, lim limits, refusals *refusals) (*entrance, error) {
	sessions, err := newSessions(cfg.Identity)
	if err != nil {
		return nil, err
	}
	return &entrance{
		front: cfg.Front, guard: cfg.Guard, sessions: sessions, refusals: refusals,
		foreign: http.NewCrossOriginProtection(), turns: newTurns(lim),
	}, nil
}

// token is that of the Authorization header, or else that of the session; inSession tells which.
func (e *entrance) token(r *http.Request) (token secret.Text, inSession bool) {
	if token := bearerToken(r); !token.Empty() {
		return token, false
	}
	token = e.sessions.token(r)
	return token, !token.Empty()
}

// protect puts the guard before a handler, for those too who have logged in.
func (e *entrance) protect(next http.Handler) http.Handler {
	return protect(e.guard, next, e.refusals, func(r *http.Request) secret.Text {
		token, _ := e.token(r)
		return token
	})
}

// page is what is at /.
func (e *entrance) page(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		e.login(w, r)
		return
	}
	token, inSession := e.token(r)
	answer := e.guard.Decide(r.Context(), token)
	switch answer.Decision {
	case Allowed:
		e.turns.serve(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e.front.Page(w, r, inSession)
		}))
		return
	case Missing:
		e.front.Door(w, r, http.StatusOK, answer.Message)
		return
	default: // a session stays: Drone may refuse a good token for a moment, and each request is decided about anew
		e.refuse(w, r, answer)
	}
}

func (e *entrance) document() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.turns.serve(w, r, http.HandlerFunc(e.front.Document))
	})
}

// login takes the token of the form. From then on the browser has the name of a session, and never the token.
func (e *entrance) login(w http.ResponseWriter, r *http.Request) {
	if err := e.foreign.Check(r); err != nil {
		e.front.Door(w, r, http.StatusForbidden, "This came from a page of another site. Where it did not, a proxy in "+
			"front of the agent changes the Host header; it must pass it on as it is.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	r.URL.RawQuery = "" // no token comes from there, and no mistake
	if err := r.ParseForm(); err != nil {
		e.front.Door(w, r, http.StatusBadRequest, "This is no token: it is too long, or the form did not arrive whole.")
		return
	}
	token := secret.New(strings.TrimSpace(r.PostForm.Get("token")))
	if token.Empty() {
		e.front.Door(w, r, http.StatusBadRequest, "There was no token in the form.")
		return
	}
	answer := e.guard.Decide(r.Context(), token)
	if answer.Decision != Allowed {
		e.refuse(w, r, answer)
		return
	}
	if !letsAnyone(e.guard) {
		e.sessions.begin(w, r, token)
	}
	seeOther(w, "./")
}

// logout ends the session.
func (e *entrance) logout(w http.ResponseWriter, r *http.Request) {
	if err := e.foreign.Check(r); err != nil {
		http.Error(w, "this came from a page of another site", http.StatusForbidden)
		return
	}
	e.sessions.end(w, r)
	seeOther(w, "../")
}

func (e *entrance) refuse(w http.ResponseWriter, r *http.Request, answer Answer) {
	e.front.Door(w, r, e.refusals.note(w, r, answer), answer.Message)
}

// seeOther sends the browser to a page relative to this one: the agent does not know a prefix that a proxy takes off,
// and http.Redirect would make the path absolute.
func seeOther(w http.ResponseWriter, relative string) {
	w.Header().Set("Location", relative)
	w.WriteHeader(http.StatusSeeOther)
}
