package droneapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/internal/secret"
)

// narrow is a client that may ask one thing at a time.
func narrow(c *droneapi.Config) { c.MaxConcurrentRequests = 1 }

// hangsFor never answers requests with a token that begins so.
func hangsFor(prefix string) dronetest.Interceptor {
	slow := dronetest.Slow()
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "+prefix) && slow(w, r)
	}
}

// strangers ask about n tokens at once, each for ten seconds at most, until they are waited for.
func strangers(t *testing.T, s scene, n int) *sync.WaitGroup {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, _ = s.UserOf(ctx, secret.New(fmt.Sprint("guess-", i)))
		})
	}
	return &wg
}

// TestOthersDoNotHoldUpAPoll has Drone hang over tokens that it does not know, and one slot for a poll.
func TestOthersDoNotHoldUpAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, dronetest.Enterprise, narrow)
		s.drone.Intercept(hangsFor("guess-"))
		asking := strangers(t, s, 30)
		synctest.Wait()
		start := time.Now()
		for range 50 {
			if _, err := s.Queue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("50 requests of a poll took %v while strangers waited", took)
		}
		asking.Wait()
	})
}

// TestAPollDoesNotHoldUpOthers has Drone hang over what the poll asks.
func TestAPollDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, dronetest.Enterprise, narrow)
		s.drone.Intercept(dronetest.Slow(dronetest.On("/api/repos")))
		var poll sync.WaitGroup
		for range 5 {
			poll.Go(func() { _, _ = s.Repos(t.Context()) })
		}
		synctest.Wait()
		start := time.Now()
		if user, err := s.UserOf(t.Context(), secret.New(token)); user.Login != "prometheus" {
			t.Errorf("%+v, %v", user, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("asking about a token took %v while a poll hung", took)
		}
		poll.Wait()
	})
}

// TestOthersAreFew counts the questions about others under way at once.
func TestOthersAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, dronetest.Enterprise)
		var now atomic.Int32
		slow := dronetest.Slow()
		s.drone.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			now.Add(1)
			defer now.Add(-1)
			return slow(w, r)
		})
		var most int32
		asking, ended := strangers(t, s, 30), make(chan struct{})
		go func() {
			defer close(ended)
			asking.Wait()
		}()
		for done := false; !done; {
			// When all is still: the end of a question is seen here and there, one after the other.
			synctest.Wait()
			most = max(most, now.Load())
			select {
			case <-ended:
				done = true
			case <-time.After(time.Second):
			}
		}
		if most != 3 {
			t.Errorf("%d questions about others at once, want 3", most)
		}
	})
}

// TestOthersLeaveThePollItsShare lets more strangers ask than the rate allows, for ten seconds.
func TestOthersLeaveThePollItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, seconds = 8, 10
		s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) { c.MaxRequestsPerSecond = rate })
		asking := strangers(t, s, 100*rate)
		ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
		defer cancel()
		for err := error(nil); err == nil; { // until its turn would come too late
			_, err = s.Queue(ctx)
		}
		asking.Wait()
		asked := s.drone.Requests()
		if n := asked["GET /api/user"]; n < rate/8*seconds || n > rate/4*seconds+1 {
			t.Errorf("%d questions about others in %d s at %d a second", n, seconds, rate)
		}
		if n, all := asked["GET /api/queue"], s.drone.RequestCount(); n < rate/2*seconds || all > rate*seconds+1 {
			t.Errorf("%d requests of the poll, %d of all", n, all)
		}
	})
}

// TestOthersAreAskedAboutOnce sends nothing again: who wants to know comes again.
func TestOthersAreAskedAboutOnce(t *testing.T) {
	for name, fault := range map[string]dronetest.Interceptor{
		"503": dronetest.Status(503, "{}"), "429": dronetest.Status(429, "{}"), "cut": dronetest.Cut(""),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(fault)
			if _, err := s.UserOf(t.Context(), secret.New(token)); err == nil {
				t.Errorf("%s: no error", name)
			}
			s.sent.wantRequests(t, 1)
		})
	}
}

func TestOwnToken(t *testing.T) {
	s := newScene(t, dronetest.Enterprise)
	for text, want := range map[string]bool{token: true, "": false, token + "x": false, token[1:]: false} {
		if s.OwnToken(secret.New(text)) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
	broken := newClient(t, address, func(c *droneapi.Config) { c.Token = failing{} })
	none := newClient(t, address, func(c *droneapi.Config) { c.Token = secret.Static(secret.Text{}) })
	for _, client := range []*droneapi.Client{broken, none} {
		if client.OwnToken(secret.Text{}) {
			t.Error("no token is its own")
		}
	}
}

// failing is a token that cannot be had.
type failing struct{}

func (failing) Get() (secret.Text, error) { return secret.Text{}, errors.New("no such file") }
