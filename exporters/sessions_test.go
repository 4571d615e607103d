package exporters

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/internal/secret"
)

// TestSessionIsTheToken: what becomes of the token becomes of the session.
func TestSessionIsTheToken(t *testing.T) {
	var decision atomic.Int64
	decision.Store(int64(Allowed))
	guard := NewSwitchGuard(decider(func() Decision { return Decision(decision.Load()) }))
	v := newBrowser(t, ServerConfig{Guard: guard})
	v.login(theToken)
	v.wantPage(200, "the page")

	decision.Store(int64(Undecidable))
	v.wantPage(503, "the door")
	decision.Store(int64(Allowed))
	v.wantPage(200, "the page, and the way out") // the session has outlived it

	decision.Store(int64(Unknown))
	if resp, _ := v.sees("/metrics"); resp.StatusCode != 401 {
		t.Errorf("/metrics answers %d", resp.StatusCode)
	}
	v.wantPage(401, "the door")
	decision.Store(int64(Allowed))
	v.wantPage(200, "the page, and the way out") // Drone may have refused it for a moment alone
}

// decider decides without looking at the token.
type decider func() Decision

func (d decider) Decide(context.Context, secret.Text) Answer {
	return Answer{Decision: d(), Message: "said"}
}

// TestSecureCookie: over TLS, the proxy's too, the cookie goes nowhere else.
func TestSecureCookie(t *testing.T) {
	v := newBrowser(t, ServerConfig{Guard: tokenGuardOf(t)})
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, _ := v.login(theToken, "X-Forwarded-Proto", "https")
	if set := resp.Header.Get("Set-Cookie"); !strings.Contains(set, "; Secure") {
		t.Errorf("the cookie is %s", set)
	}
}

// TestSessions are apart by what is watched, few, and end when nobody uses them.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := must(newSessions("http://one.test")), must(newSessions("http://other.test"))
		if one.cookie == other.cookie {
			t.Errorf("both are %s", one.cookie)
		}
		enter := func() *http.Request {
			answer, next := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			one.begin(answer, next, secret.New(theToken))
			for _, cookie := range answer.Result().Cookies() {
				next.AddCookie(cookie)
			}
			return next
		}
		mine := enter()
		time.Sleep(sessionIdle)
		if one.token(mine).Empty() {
			t.Error("the session has ended too early")
		}
		time.Sleep(sessionIdle)
		if one.token(mine).Empty() {
			t.Error("using it did not keep it")
		}
		time.Sleep(sessionIdle + time.Second)
		if !one.token(mine).Empty() {
			t.Error("nobody used it, and it is there")
		}
		if !other.token(mine).Empty() {
			t.Error("it is one of the other server's")
		}
		mine = enter()
		for range maxSessions {
			enter()
		}
		if n := one.known.Len(); n != 1024 || !one.token(mine).Empty() {
			t.Errorf("%d sessions, the oldest among them: %v", n, !one.token(mine).Empty())
		}
	})
}
