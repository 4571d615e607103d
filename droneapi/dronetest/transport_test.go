package dronetest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
)

// transports gives the two ways to the server; both must behave alike.
func transports(t *testing.T, s *dronetest.Server) map[string]func(path string) (answer, error) {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	do := func(rt http.RoundTripper, base string) func(string) (answer, error) {
		return func(path string) (answer, error) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+dronetest.DefaultToken)
			resp, err := rt.RoundTrip(req)
			if err != nil {
				return answer{}, err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(body)}, err
		}
	}
	return map[string]func(string) (answer, error){
		"round tripper": do(s.RoundTripper(), "http://drone.example.com"),
		"HTTP":          do(http.DefaultTransport, web.URL),
	}
}

func TestFaults(t *testing.T) {
	const json, html = "application/json", "text/html; charset=utf-8"
	for _, tt := range []struct {
		name  string
		fault dronetest.Interceptor
		want  answer
		err   error
	}{
		{"status", dronetest.Status(503, "<h1>Unavailable</h1>"), answer{503, html, "<h1>Unavailable</h1>"}, nil},
		{"JSON status", dronetest.Status(500, `{"message":"no"}`), answer{500, json, `{"message":"no"}`}, nil},
		{"truncated", dronetest.Truncated(`[{"id":1}`), answer{200, json, `[{"id":1}`}, io.ErrUnexpectedEOF},
		{"truncated stream", dronetest.Truncated("[" + strings.Repeat(" ", 1<<16)),
			answer{200, json, "[" + strings.Repeat(" ", 1<<16)}, io.ErrUnexpectedEOF},
		{"cut", dronetest.Cut(`[{"id":1}`), answer{200, json, `[{"id":1}`}, io.ErrUnexpectedEOF},
		{"cut at once", dronetest.Cut(""), answer{}, io.EOF},
		{"elsewhere", dronetest.Status(500, "", dronetest.On("/api/users")),
			answer{200, json, `{"version":"2.25.0"}` + "\n"}, nil},
		{"here", dronetest.Status(500, "{}", dronetest.On("/version")), answer{500, json, "{}"}, nil},
		{"chain", dronetest.Chain(dronetest.Status(500, "", dronetest.On("/x")), dronetest.Status(502, "{}")),
			answer{502, json, "{}"}, nil},
	} {
		s := dronetest.New(dronetest.Enterprise)
		s.Intercept(tt.fault)
		for name, ask := range transports(t, s) {
			got, err := ask("/version")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s over %s (-want +got):\n%s", tt.name, name, diff)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("%s over %s: error %v, want %v", tt.name, name, err, tt.err)
			}
		}
	}
}

func TestFaultsWithHeadersAndCounts(t *testing.T) {
	s := dronetest.New(dronetest.Enterprise)
	s.Intercept(dronetest.Chain(
		dronetest.Status(429, "{}", dronetest.First(2), dronetest.Header("Retry-After", "30")),
		dronetest.Redirect("https://other.example.com/x", dronetest.First(1)),
		dronetest.LoginPage(dronetest.First(1)),
	))
	for i, want := range []string{"429 30 ", "429 30 ", "307  https://other.example.com/x", "200  ", "200  "} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/version", nil)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		h := w.Result().Header
		got := fmt.Sprint(w.Code, " ", h.Get("Retry-After"), " ", h.Get("Location"))
		if got != want {
			t.Errorf("request %d: %q, want %q", i, got, want)
		}
		if i == 3 && !strings.HasPrefix(w.Body.String(), "<!DOCTYPE html>") {
			t.Errorf("the login page is %q", w.Body)
		}
	}
	s.Intercept(dronetest.Status(500, ""))
	s.Intercept(nil)
	if a := get(t, s, "/version", ""); a.Status != 200 {
		t.Errorf("without an interceptor: %+v", a)
	}
}

// TestBubble uses the round tripper where there are no sockets. A goroutine that is left behind
// makes the bubble fail.
func TestBubble(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, s *dronetest.Server, c *http.Client){
		"slow": func(t *testing.T, s *dronetest.Server, c *http.Client) {
			s.Intercept(dronetest.Slow())
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			if _, err := fetch(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want the deadline's", err)
			}
			if d := time.Since(start); d != time.Minute {
				t.Errorf("it took %v, want 1m", d)
			}
		},
		"delayed": func(t *testing.T, s *dronetest.Server, c *http.Client) {
			s.Intercept(dronetest.Delay(5 * time.Second))
			start := time.Now()
			resp, err := fetch(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if d := time.Since(start); d != 5*time.Second || resp.StatusCode != 200 {
				t.Errorf("it took %v and was %s, want 5s and 200", d, resp.Status)
			}
		},
		"huge, read a little": func(t *testing.T, s *dronetest.Server, c *http.Client) {
			s.Intercept(dronetest.Huge(1 << 40))
			resp, err := fetch(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.CopyN(io.Discard, resp.Body, 1<<20); n != 1<<20 {
				t.Errorf("read %d bytes, %v", n, err)
			}
			resp.Body.Close()
			synctest.Wait()
			if got := s.BytesSent(); got < 1<<20 || got > 2<<20 {
				t.Errorf("%d bytes were sent, want about 1 MiB", got)
			}
		},
		"huge, cancelled": func(t *testing.T, s *dronetest.Server, c *http.Client) {
			s.Intercept(dronetest.Huge(1 << 40))
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := fetch(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want the context's", err)
			}
		},
		"cancelled before": func(t *testing.T, s *dronetest.Server, c *http.Client) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := fetch(ctx, c); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want the context's", err)
			}
			if n := s.RequestCount(); n != 0 {
				t.Errorf("the server saw %d requests", n)
			}
		},
		"the bubble's clock": func(t *testing.T, s *dronetest.Server, c *http.Client) {
			s.AddRepo(dronetest.Repo{Slug: slug, Active: true})
			<-time.After(time.Hour)
			if b := s.CreateBuild(slug, dronetest.BuildSpec{}); b.Created != time.Now().Unix() {
				t.Errorf("created %d, want %d", b.Created, time.Now().Unix())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := dronetest.New(dronetest.Enterprise)
				run(t, s, &http.Client{Transport: s.RoundTripper()})
			})
		})
	}
}

func fetch(ctx context.Context, c *http.Client) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://drone.example.com/version", nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

func TestAccounting(t *testing.T) {
	s, _ := newWorld(t)
	s.CreateBuild(slug, dronetest.BuildSpec{})
	sent := 0
	for _, p := range []string{
		"/version", "/api/repos?per_page=5", "/api/repos/", path(slug, 1), path(slug, 99), path("a/b", 1),
		"/api/repos/a/b/c/builds", "/nothing", "/api/repos/org0/one/builds?page=2", path(slug, 1) + "/logs/1/1",
	} {
		sent += len(get(t, s, p, dronetest.DefaultToken).Body)
	}
	want := map[string]int{
		"GET /version": 1, "GET /api/repos": 2, "GET /api/repos/{owner}/{name}/builds/{number}": 3,
		"GET /api/repos/{owner}/{name}/*": 1, "GET (other)": 1, "GET /api/repos/{owner}/{name}/builds": 1,
		"GET /api/repos/{owner}/{name}/builds/{number}/logs/{stage}/{step}": 1,
	}
	if diff := cmp.Diff(want, s.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if s.RequestCount() != 10 || s.BytesSent() != int64(sent) {
		t.Errorf("%d requests, %d bytes, want 10 and %d", s.RequestCount(), s.BytesSent(), sent)
	}
	s.ResetAccounting()
	if s.RequestCount() != 0 || s.BytesSent() != 0 || s.Totals().Builds != 1 {
		t.Error("reset: counts remain, or the world is gone")
	}
}
