package exporters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/internal/secret"
)

// startServer serves on a port of its own until the test ends and gives the address.
func startServer(t *testing.T, cfg ServerConfig, lim limits) (*Server, string) {
	t.Helper()
	if cfg.Addresses == nil {
		cfg.Addresses = []string{"127.0.0.1:0"}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = open
	}
	s, err := newServer(cfg, lim)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, s.Addrs()[0].String()
}

// tokenGuardOf lets in theToken.
func tokenGuardOf(t *testing.T) Guard {
	t.Helper()
	guard, err := NewTokenGuard([]secret.Source{secret.Static(secret.New(theToken))}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func TestPages(t *testing.T) {
	var ready atomic.Bool
	_, logger := newLogbook(t)
	_, addr := startServer(t, ServerConfig{
		MetricsPath: "/some/metrics", Guard: tokenGuardOf(t), Ready: ready.Load, Front: plainFront{}, Logger: logger,
	}, defaultLimits())
	client := newClient(t, nil)
	auth := []string{"Authorization", "Bearer " + theToken}
	for _, tc := range []struct {
		method, path string
		headers      []string
		status       int
		body         string
	}{
		{"GET", "/some/metrics", auth, 200, "the metrics"},
		{"HEAD", "/some/metrics", auth, 200, ""},
		{"GET", "/some/metrics?access_token=" + theToken, nil, 401, "wants the bearer token"},
		{"GET", "/some/metrics", nil, 401, "wants the bearer token"},
		{"HEAD", "/some/metrics", nil, 401, ""},
		{"POST", "/some/metrics", auth, 405, "only GET and HEAD"},
		{"DELETE", "/", nil, 405, "only GET and HEAD and POST"},
		{"GET", "/", nil, 200, "the door"},
		{"GET", "/", auth, 200, "the page"},
		{"HEAD", "/", nil, 200, ""},
		{"GET", "/api/v1/status", nil, 401, "wants the bearer token"},
		{"GET", "/api/v1/status", auth, 200, "the document"},
		{"POST", "/api/v1/status", auth, 405, "only GET and HEAD"},
		{"GET", "/-/healthy", nil, 200, "healthy\n"},
		{"GET", "/-/ready", nil, 503, "not ready"},
		{"GET", "/metrics", auth, 404, "the metrics are at /some/metrics"},
		{"GET", "/some/metrics/", auth, 404, "not found"},
		{"GET", "/debug/pprof/", auth, 404, "not found"},
		{"POST", "/nowhere", nil, 404, "not found"},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			resp, body := do(t, client, tc.method, "http://"+addr+tc.path, nil, tc.headers...)
			if resp.StatusCode != tc.status || !strings.Contains(body, tc.body) {
				t.Errorf("status %d, body %q; want %d, %q", resp.StatusCode, body, tc.status, tc.body)
			}
			if allow := resp.Header.Get("Allow"); strings.HasPrefix(allow, "GET, HEAD") != (tc.status == 405) {
				t.Errorf("allow %q", allow)
			}
			for _, name := range []string{
				"X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Referrer-Policy", "Cache-Control",
			} {
				if resp.Header.Get(name) == "" {
					t.Errorf("there is no %s", name)
				}
			}
			if strings.Contains(body, "debug/pprof") {
				t.Error("the page offers profiles that are not there")
			}
		})
	}
	ready.Store(true)
	if resp, body := get(t, client, "http://"+addr+"/-/ready"); resp.StatusCode != 200 || body != "ready\n" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
}

func TestServeEverything(t *testing.T) {
	logs, logger := newLogbook(t)
	p := newTestProvider(t, ProviderConfig{Logger: logger})
	must(p.Meter("test").Int64Gauge("drone.build.count")).Record(t.Context(), 870000)
	s, _ := startServer(t, ServerConfig{
		Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"},
		Metrics:   p.Handler(), Guard: tokenGuardOf(t), Logger: logger,
	}, defaultLimits())
	client := newClient(t, nil)
	addrs := s.Addrs()
	if len(addrs) != 2 || addrs[0].String() == addrs[1].String() {
		t.Fatalf("listening on %v", addrs)
	}
	for _, addr := range addrs {
		resp, body := get(t, client, "http://"+addr.String()+"/metrics",
			"Authorization", "Bearer "+theToken, "Accept", "application/openmetrics-text")
		if resp.StatusCode != 200 || !strings.Contains(body, "\ndrone_build_count 870000") {
			t.Errorf("status %d:\n%s", resp.StatusCode, body)
		}
	}
	if strings.Contains(logs.String(), `"level":"WARN"`) {
		t.Errorf("logged\n%s", logs)
	}
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, tc := range []struct {
		name string
		cfg  ServerConfig
		want string
	}{
		{"in use", ServerConfig{Addresses: []string{"127.0.0.1:0", taken.Addr().String()}},
			"listening on " + taken.Addr().String() + ": bind: address already in use"},
		{"no address", ServerConfig{Addresses: []string{"nonsense"}}, "listening on nonsense: "},
		{"no systemd", ServerConfig{SystemdSocket: true}, "taking the sockets of systemd: there are none"},
	} {
		tc.cfg.Metrics = open
		s, err := NewServer(tc.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err = s.Listen(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
		if tc.name == "in use" && !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%v is not EADDRINUSE", err)
		}
		if len(s.Addrs()) != 0 {
			t.Errorf("%s: still listening on %v", tc.name, s.Addrs())
		}
		if err := s.Serve(t.Context()); err == nil {
			t.Errorf("%s: it serves", tc.name)
		}
	}
}

func TestNewServerRefuses(t *testing.T) {
	for path, want := range map[string]string{
		"metrics": "must begin with /", "/": "own pages", "/-/ready": "own pages", "/-/healthy": "own pages",
		"/a b": "letters, digits", "/{x}": "letters, digits", "/a//b": "letters, digits", "/a/": "letters, digits",
		"/<script>": "letters, digits", "": "", "/metrics": "", "/a/b-c.d_e~1": "",
	} {
		_, err := NewServer(ServerConfig{MetricsPath: path, Metrics: open})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("path %q: error %v, want %q", path, err, want)
		}
	}
	if _, err := NewServer(ServerConfig{}); err == nil {
		t.Error("a server without metrics was made")
	}
}

// slowMetrics hold a scrape until they are let go.
func slowMetrics() (handler http.Handler, started chan struct{}, letGo func()) {
	started, gate := make(chan struct{}, 10), make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		select {
		case <-gate:
			_, _ = io.WriteString(w, "the metrics")
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}), started, func() { close(gate) }
}

func TestShutdownLetsScrapesFinish(t *testing.T) {
	handler, started, letGo := slowMetrics()
	s, addr := startServer(t, ServerConfig{Metrics: handler}, defaultLimits())
	client := newClient(t, nil)
	body := make(chan string, 1)
	go func() {
		resp, err := client.Get("http://" + addr + "/metrics")
		if err != nil {
			body <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		content, err := io.ReadAll(resp.Body)
		body <- fmt.Sprint(string(content), err)
	}()
	<-started
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(soon(t)) }()
	for { // nobody new gets in
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	letGo()
	if got := <-body; got != "the metrics<nil>" {
		t.Errorf("the running scrape got %q", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestShutdownIsCutShort(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(s *Server, cancel func()) error
		want string
	}{
		{"by its deadline", func(s *Server, _ func()) error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			return s.Shutdown(ctx)
		}, "waiting for running scrapes to finish: context deadline exceeded"},
		{"by the context of Serve", func(_ *Server, cancel func()) error { cancel(); return nil }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handler, started, _ := slowMetrics()
			s, err := NewServer(ServerConfig{Addresses: []string{"127.0.0.1:0"}, Metrics: handler})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Listen(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			served, asked := make(chan error, 1), make(chan error, 1)
			go func() { served <- s.Serve(ctx) }()
			client := newClient(t, nil)
			go func() {
				resp, err := client.Get("http://" + s.Addrs()[0].String() + "/metrics")
				if err == nil {
					_ = resp.Body.Close()
				}
				asked <- err
			}()
			<-started
			if err := tc.end(s, cancel); (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if err := <-served; err != nil {
				t.Errorf("serving ended with %v", err)
			}
			if err := <-asked; err == nil {
				t.Error("the running scrape was answered")
			}
		})
	}
}

func TestShutdownAtAnyTime(t *testing.T) {
	s, err := NewServer(ServerConfig{Addresses: []string{"127.0.0.1:0"}, Metrics: open})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	addr := s.Addrs()[0].String()
	if err := s.Listen(); err == nil {
		t.Error("it listens twice")
	}
	if err := errors.Join(s.Shutdown(t.Context()), s.Shutdown(t.Context()), s.Serve(t.Context())); err != nil {
		t.Error(err)
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the socket is not closed: %v", err)
	}
	_ = again.Close()
}

func TestServerLog(t *testing.T) {
	logs, logger := newLogbook(t)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a defect") })
	_, addr := startServer(t, ServerConfig{Metrics: handler, Logger: logger}, defaultLimits())
	if got := raw(t, addr, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
		t.Errorf("answer %q", got)
	}
	if !strings.Contains(strings.Join(logs.loud(t), "\n"), "ERROR HTTP server") ||
		!strings.Contains(logs.String(), "a defect") {
		t.Errorf("logged\n%s", logs)
	}
	server := newServerLog(logger, func() error { return nil })
	before := len(logs.loud(t))
	for range 3 {
		server.Print("http: TLS handshake error from 192.0.2.1:1234: EOF")
	}
	server.Print("http: Accept error: too many open files; retrying in 5ms")
	want := []string{"INFO HTTP server", "WARN HTTP server"}
	if diff := cmp.Diff(want, logs.loud(t)[before:]); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
