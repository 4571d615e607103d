package exporters

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"drone-otel-agent/internal/secret"
)

// maxToken is the longest bearer token that is looked at, in bytes. Drone's have 32; a JWT some thousand.
const maxToken = 4 << 10

// Decision is what a [Guard] says of a token.
type Decision int

// The decisions. The zero value lets nobody in.
const (
	// Unknown is a token that nobody knows: 401.
	Unknown Decision = iota
	// Missing is a request without a token: 401.
	Missing
	// Forbidden is a known token whose owner may not read: 403.
	Forbidden
	// Allowed lets the request through.
	Allowed
	// Undecidable is a token nobody can say anything about now: 503.
	Undecidable
	// TooMany is a token that will not be asked about now, after too many that nobody knew: 429.
	TooMany
)

// Answer is a Guard's decision with what the client is told of it.
type Answer struct {
	Decision Decision
	// Message is the text for the client, without anything secret. Empty for Allowed.
	Message string
	// RetryAfter is when it makes sense to ask again, for Undecidable and TooMany.
	RetryAfter time.Duration
}

// Guard decides who may read the metrics.
type Guard interface {
	// Decide about a bearer token; an empty one is a request without. It must be quick or end with ctx,
	// and may be called many times at once.
	Decide(ctx context.Context, token secret.Text) Answer
}

// OpenGuard lets everyone in, with or without a token.
func OpenGuard() Guard { return openGuard{} }

type openGuard struct{}

func (openGuard) Decide(context.Context, secret.Text) Answer { return Answer{Decision: Allowed} }

// wellFormed tells whether a token can be one at all, by length and by the characters RFC 6750 allows. It
// allows a few more, such as those of a password somebody made up; what it keeps out is what cannot be sent
// on in a header.
func wellFormed(token secret.Text) bool {
	text := token.Reveal()
	return len(text) <= maxToken && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// protect puts a guard before a handler. token finds the token of a request: [bearerToken], or what knows sessions
// besides.
func protect(guard Guard, next http.Handler, refusals *refusals, token func(*http.Request) secret.Text) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := guard.Decide(r.Context(), token(r))
		if answer.Decision == Allowed {
			next.ServeHTTP(w, r)
			return
		}
		status := refusals.note(w, r, answer)
		http.Error(w, answer.Message, status)
	})
}

// refusals are those who were not let in. They are logged, at most one a minute above level debug.
type refusals struct {
	logger *slog.Logger
	loud   *rate.Sometimes
}

func newRefusals(logger *slog.Logger) *refusals {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &refusals{logger: logger, loud: &rate.Sometimes{Interval: time.Minute}}
}

// note sets the headers of a refusal, logs it, and returns the status to answer with.
func (f *refusals) note(w http.ResponseWriter, r *http.Request, answer Answer) (status int) {
	status, challenge := refusal(answer.Decision)
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if answer.RetryAfter > 0 {
		seconds := (answer.RetryAfter + time.Second - 1) / time.Second // a client that comes early waits again
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	level := slog.LevelDebug
	f.loud.Do(func() { level = slog.LevelWarn })
	f.logger.Log(r.Context(), level, "a request was refused",
		"path", r.URL.Path, "remote", r.RemoteAddr, "status", status, "reason", answer.Message)
	return status
}

// refusal gives the status and the WWW-Authenticate header of RFC 6750, section 3.
func refusal(d Decision) (status int, challenge string) {
	const bearer = `Bearer realm="` + ServiceName + `"`
	switch d {
	case Missing:
		return http.StatusUnauthorized, bearer
	case Forbidden:
		return http.StatusForbidden, bearer + `, error="insufficient_scope"`
	case Undecidable:
		return http.StatusServiceUnavailable, ""
	case TooMany:
		return http.StatusTooManyRequests, ""
	default:
		return http.StatusUnauthorized, bearer + `, error="invalid_token"`
	}
}

// bearerToken is the token of the request's Authorization header, empty where there is none. In a URL, where it is not
// looked for, it would end up in logs. Two such headers are none: what stands before the agent may have looked at the
// other one.
func bearerToken(r *http.Request) secret.Text {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return secret.Text{}
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return secret.Text{}
	}
	return secret.New(strings.Trim(token, " "))
}
