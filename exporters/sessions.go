package exporters

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"drone-otel-agent/internal/secret"
)

const (
	// maxSessions is how many people can be logged in; one more ends the session that was not used for longest.
	maxSessions = 1024
	// sessionIdle is how long a session lasts that nobody uses. One that is used lasts as long as its token does.
	sessionIdle = 24 * time.Hour
)

// sessions are the people who have logged in. They are known by a random name in a cookie; their tokens stay in the
// agent's memory, where each request is decided about anew. A restart ends all of them.
type sessions struct {
	cookie string
	known  *lru.Cache[digest, *session]
}

type session struct {
	token secret.Text
	used  atomic.Int64 // in Unix seconds
}

// newSessions tells agents apart that share a host, as a cookie does not know ports, by what they watch.
func newSessions(identity string) (*sessions, error) {
	known, err := lru.New[digest, *session](maxSessions)
	if err != nil {
		return nil, fmt.Errorf("making room for %d sessions: %w", maxSessions, err)
	}
	sum := sha256.Sum256([]byte(identity))
	return &sessions{cookie: "drone_otel_agent_" + hex.EncodeToString(sum[:4]), known: known}, nil
}

// token is that of the request's session, empty where there is none.
func (s *sessions) token(r *http.Request) secret.Text {
	key, found := s.key(r)
	if !found {
		return secret.Text{}
	}
	one, found := s.known.Get(key)
	if !found {
		return secret.Text{}
	}
	now := time.Now()
	if now.Sub(time.Unix(one.used.Load(), 0)) > sessionIdle {
		s.known.Remove(key)
		return secret.Text{}
	}
	one.used.Store(now.Unix()) // in place: put there anew, it would outlive a logout of this moment
	return one.token
}

// key is under which the request's session is kept: a digest of its name, so that looking it up tells nothing of it.
func (s *sessions) key(r *http.Request) (key digest, found bool) {
	cookie, err := r.Cookie(s.cookie)
	if err != nil || cookie.Value == "" {
		return key, false
	}
	return sha256.Sum256([]byte(cookie.Value)), true
}

// begin makes a session with a new name, and ends the one there was.
func (s *sessions) begin(w http.ResponseWriter, r *http.Request, token secret.Text) {
	if key, found := s.key(r); found {
		s.known.Remove(key)
	}
	name := rand.Text()
	one := &session{token: token}
	one.used.Store(time.Now().Unix())
	s.known.Add(sha256.Sum256([]byte(name)), one)
	http.SetCookie(w, s.withValue(r, name))
}

// end forgets the request's session, in the agent and in the browser.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if key, found := s.key(r); found {
		s.known.Remove(key)
	}
	gone := s.withValue(r, "") //nolint:gosec // as safe as the one that it takes back
	gone.MaxAge = -1
	http.SetCookie(w, gone)
}

// withValue is the cookie. It lasts until the browser ends, and goes along with a link from elsewhere, as from an
// alert, but with no form. Whoever lies about the protocol harms himself alone.
func (s *sessions) withValue(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // without TLS a browser keeps no cookie that is Secure
		Name: s.cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}
