package droneapi_test

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

// TestRefusals are the answers that say no: which error they become, and how often they are asked for.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		sent   int
		want   string
	}{
		{400, `{"message":"Bad\nRequest\u001b[2J\u202e"}`, 1, "GET /api/users: 400 Bad Request: Bad Request [2J "},
		{401, `{"message":"Unauthorized"}`, 1, "GET /api/users: 401 Unauthorized"},
		{403, `{"message":"Forbidden"}`, 1, "GET /api/users: 403 Forbidden"},
		{404, "<h1>not found</h1>", 1, "GET /api/users: 404 Not Found"},
		{500, `{"message":"sql: database is closed"}`, 1,
			"GET /api/users: 500 Internal Server Error: sql: database is closed"},
		{500, `{"message":{}}`, 1, "GET /api/users: 500 Internal Server Error"},
		{501, `{"message":"Not Implemented"}`, 1, "GET /api/users: 501 Not Implemented"},
		{204, "", 1, "GET /api/users: 204 No Content"},
		{299, "", 1, "GET /api/users: 299 "},
		{429, `{"message":"slow down"}`, 3, "GET /api/users: 429 Too Many Requests: slow down"},
		{502, "<h1>Bad Gateway</h1>", 3, "GET /api/users: 502 Bad Gateway"},
		{503, "[]", 3, "GET /api/users: 503 Service Unavailable"},
		{504, "", 3, "GET /api/users: 504 Gateway Timeout"},
		{418, `{"message":"` + strings.Repeat("é", 1000) + `"}`, 1,
			"GET /api/users: 418 I'm a teapot: " + strings.Repeat("é", 100) + "…"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(dronetest.Status(tt.status, tt.body))
			_, err := s.Users(t.Context())
			got := failure[*droneapi.HTTPError](t, err)
			if got.Path != "/api/users" || got.Status != tt.status || got.RetryAfter != 0 || got.Error() != tt.want {
				t.Errorf("%d: %+v %q, want %q", tt.status, *got, got, tt.want)
			}
			if want := tt.status == 501 || tt.status == 404; got.Missing() != want {
				t.Errorf("%d: missing is %v", tt.status, got.Missing())
			}
			s.sent.wantRequests(t, tt.sent)
		})
	}
}

// TestJitter looks at the waits between attempts: they grow, and chance spreads each of them.
func TestJitter(t *testing.T) {
	var first, second []time.Duration
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(dronetest.Status(503, `{"message":"starting"}`))
			_, err := s.Version(t.Context())
			if got := failure[*droneapi.HTTPError](t, err); got.Message != "starting" {
				t.Errorf("message %q", got.Message)
			}
			_, after := s.sent.requests()
			if len(after) != 3 {
				t.Fatalf("%d requests, want 3", len(after))
			}
			first, second = append(first, after[1]), append(second, after[2]-after[1])
		})
	}
	for name, waits := range map[string][]time.Duration{"first": first, "second": second} {
		least := map[string]time.Duration{"first": 200 * time.Millisecond, "second": 400 * time.Millisecond}[name]
		for _, wait := range waits {
			if wait < least || wait > 2*least {
				t.Errorf("the %s wait was %v, want from %v to %v", name, wait, least, 2*least)
			}
		}
		if slices.Max(waits)-slices.Min(waits) < least/4 {
			t.Errorf("the %s waits are no spread: %v", name, waits)
		}
	}
}

// in gives the time to come in the other notation of Retry-After.
func in(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }

func TestRetryAfterObeyed(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "3" },
		"date":    func() string { return in(3 * time.Second) },
	} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, dronetest.Enterprise)
				s.drone.Intercept(dronetest.Status(status, "{}", dronetest.First(1), dronetest.Header("Retry-After", header())))
				version, err := s.Version(t.Context())
				if version != "2.25.0" || err != nil {
					t.Errorf("%d, %s: %q, %v", status, name, version, err)
				}
				if _, after := s.sent.requests(); len(after) != 2 || after[1] != 3*time.Second {
					t.Errorf("%d, %s: sent after %v, want 0 and 3s", status, name, after)
				}
			})
		}
	}
}

func TestRetryAfterTooLong(t *testing.T) {
	for _, tt := range []struct {
		header func() string
		want   time.Duration
	}{
		{func() string { return "6" }, 6 * time.Second},
		{func() string { return "3600" }, time.Hour},
		{func() string { return in(2 * time.Hour) }, 2 * time.Hour},
		{func() string { return "99999999999999999999" }, math.MaxInt32 * time.Second},
	} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, dronetest.Enterprise)
				s.drone.Intercept(dronetest.Status(status, `{"message":"later"}`, dronetest.Header("Retry-After", tt.header())))
				start := time.Now()
				_, err := s.Version(t.Context())
				got := failure[*droneapi.HTTPError](t, err)
				if got.Status != status || got.RetryAfter != tt.want || got.Message != "later" {
					t.Errorf("%+v, want %d and %v", *got, status, tt.want)
				}
				if droneapi.RetryAfter(err) != tt.want || time.Since(start) != 0 {
					t.Errorf("RetryAfter %v after %v, want %v at once", droneapi.RetryAfter(err), time.Since(start), tt.want)
				}
				s.sent.wantRequests(t, 1)
			})
		}
	}
}

// TestRetryAfterNonsense takes what is no time in the future for no word at all.
func TestRetryAfterNonsense(t *testing.T) {
	for _, header := range []string{"0", "-5", "soon", "-99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT"} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(dronetest.Status(429, "{}", dronetest.Header("Retry-After", header)))
			_, err := s.Version(t.Context())
			if got := failure[*droneapi.HTTPError](t, err); got.RetryAfter != 0 {
				t.Errorf("%q: RetryAfter %v", header, got.RetryAfter)
			}
			if _, after := s.sent.requests(); len(after) != 3 || after[2] > 1200*time.Millisecond {
				t.Errorf("%q: sent after %v", header, after)
			}
		})
	}
	if got := droneapi.RetryAfter(errors.New("something else")); got != 0 {
		t.Errorf("another error asks for %v", got)
	}
}

// TestBrokenOnce breaks the first two attempts: the third one's answer counts, and nothing of the others'.
func TestBrokenOnce(t *testing.T) {
	for name, fault := range map[string]dronetest.Interceptor{
		"no answer": dronetest.Cut("", dronetest.First(2)),
		"cut":       dronetest.Cut(`[{"id":99,"login":"nobody"}`, dronetest.First(2)),
		"too short": dronetest.Truncated(`[{"id":99,"login":"nobody"}]`, dronetest.First(2)),
		"refused":   dronetest.Status(502, `[{"id":99,"login":"nobody"}]`, dronetest.First(2)),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(fault)
			users, err := s.Users(t.Context())
			if err != nil || len(users) != 7 || users[0].Login != "prometheus" {
				t.Errorf("%s: %+v, %v", name, users, err)
			}
			s.sent.wantRequests(t, 3)
		})
	}
}

func TestBrokenAlways(t *testing.T) {
	for name, fault := range map[string]dronetest.Interceptor{
		"no answer": dronetest.Cut(""),
		"cut":       dronetest.Cut(`[{"id":99}`),
		"too short": dronetest.Truncated(`[]`),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise)
			s.drone.Intercept(fault)
			_, err := s.Users(t.Context())
			got := failure[*droneapi.TransportError](t, err)
			if got.Path != "/api/users" || !strings.HasPrefix(got.Error(), "GET /api/users: ") ||
				!strings.HasSuffix(got.Error(), "EOF") {
				t.Errorf("%s: %q", name, got)
			}
			s.sent.wantRequests(t, 3)
		})
	}
}

// TestBrokenConnections breaks real ones.
func TestBrokenConnections(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
		sent := &recorder{next: &http.Transport{}}
		client := newClient(t, "http://"+listener.Addr().String(), func(c *droneapi.Config) { c.Transport = sent })
		_, err = client.Version(t.Context())
		_ = failure[*droneapi.TransportError](t, err)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v, want connection refused", err)
		}
		sent.wantRequests(t, 3)
	})
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int32
		web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}))
		_, err := newClient(t, web.URL).Version(t.Context())
		_ = failure[*droneapi.TransportError](t, err)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("error %v, want connection reset", err)
		}
		if asked.Load() != 3 {
			t.Errorf("%d requests, want 3", asked.Load())
		}
	})
	t.Run("cut", func(t *testing.T) {
		t.Parallel()
		drone := dronetest.New(dronetest.Enterprise)
		drone.Intercept(dronetest.Cut(`{"version":"1`, dronetest.First(2)))
		version, err := newClient(t, serve(t, drone).URL).Version(t.Context())
		if version != "2.25.0" || err != nil || drone.RequestCount() != 3 {
			t.Errorf("%q, %v after %d requests", version, err, drone.RequestCount())
		}
	})
}

// TestSlow gives an attempt its time and no more, and makes no other: a server that hangs is not helped by more of it.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, dronetest.Enterprise)
		s.drone.Intercept(dronetest.Slow())
		start := time.Now()
		_, err := s.Version(t.Context())
		got := failure[*droneapi.TransportError](t, err)
		if !strings.Contains(got.Error(), "no whole answer within 30s") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %q", got)
		}
		if took := time.Since(start); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("an attempt of 30s took %v", took)
		}
		s.sent.wantRequests(t, 1)
		s.drone.Intercept(nil)
		if version, err := s.Version(t.Context()); version != "2.25.0" {
			t.Errorf("afterwards: %q, %v", version, err)
		}
	})
}

// TestSlowConnection is the same over a real one, which may also stop in the middle of an answer.
func TestSlowConnection(t *testing.T) {
	halfway := func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"version":`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
	for name, fault := range map[string]dronetest.Interceptor{"no answer": dronetest.Slow(), "half of one": halfway} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drone := dronetest.New(dronetest.Enterprise)
			drone.Intercept(fault)
			client := newClient(t, serve(t, drone).URL, func(c *droneapi.Config) { c.Timeout = 50 * time.Millisecond })
			_, err := client.Version(t.Context())
			got := failure[*droneapi.TransportError](t, err)
			if !strings.Contains(got.Error(), "no whole answer within 50ms") || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %q", got)
			}
		})
	}
}

// TestCancel ends a request at every place where it may wait: at that moment, and without another attempt.
func TestCancel(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  dronetest.Interceptor
		lazy   bool
		before func(*testing.T, scene)
		sent   int
	}{
		{name: "answer", fault: dronetest.Slow(), sent: 1},
		{name: "retry", fault: dronetest.Status(503, "{}", dronetest.Header("Retry-After", "4")), sent: 1},
		{name: "rate", lazy: true, sent: 1, before: func(t *testing.T, s scene) {
			if _, err := s.Version(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		{name: "slot", fault: dronetest.Slow(), lazy: true, sent: 1, before: func(t *testing.T, s scene) {
			go func() { _, _ = s.Version(t.Context()) }()
			synctest.Wait()
		}},
		{name: "repos", fault: dronetest.Slow(), sent: 2, before: func(t *testing.T, s scene) {
			go func() { _, _ = s.Repos(t.Context()) }()
			synctest.Wait()
		}},
	} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			t.Run(tt.name+"/"+want.Error(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) {
						if tt.lazy {
							c.MaxRequestsPerSecond, c.MaxConcurrentRequests = 0.01, 1
						}
					})
					s.drone.Intercept(tt.fault)
					if tt.before != nil {
						tt.before(t, s)
					}
					ctx, cancel := context.WithCancel(t.Context())
					if errors.Is(want, context.DeadlineExceeded) {
						ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
					}
					defer cancel()
					if errors.Is(want, context.Canceled) {
						time.AfterFunc(2*time.Second, cancel)
					}
					start := time.Now()
					_, err := s.Repos(ctx)
					_ = failure[*droneapi.TransportError](t, err)
					if !errors.Is(err, want) {
						t.Errorf("error %v, want %v", err, want)
					}
					if took := time.Since(start); took > 2*time.Second {
						t.Errorf("it took %v, want 2s", took)
					}
					s.sent.wantRequests(t, tt.sent)
				})
			})
		}
	}
}
