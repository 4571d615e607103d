package droneapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/internal/secret"
)

const (
	token   = dronetest.DefaultToken
	address = "http://drone.example.com"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene is a client and the fake server that it asks in memory.
type scene struct {
	*droneapi.Client

	drone *dronetest.Server
	sent  *recorder
}

// newScene makes a scene over the recorded world.
func newScene(t testing.TB, edition dronetest.Edition, changes ...func(*droneapi.Config)) scene {
	t.Helper()
	drone := dronetest.New(edition)
	if err := drone.LoadRecorded(); err != nil {
		t.Fatal(err)
	}
	sent := &recorder{next: drone.RoundTripper()}
	changes = append([]func(*droneapi.Config){func(c *droneapi.Config) { c.Transport = sent }}, changes...)
	return scene{Client: newClient(t, address, changes...), drone: drone, sent: sent}
}

// newClient makes a client of a server. In what it logs, at debug level, no token may be when the test ends.
func newClient(t testing.TB, server string, changes ...func(*droneapi.Config)) *droneapi.Client {
	t.Helper()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	cfg := droneapi.Config{
		Server: at, Token: secret.Static(secret.New(token)), Timeout: 30 * time.Second, MaxConcurrentRequests: 4,
		MaxRequestsPerSecond: 1000, MaxAnswerBytes: 1 << 20, UserAgent: "drone-otel-agent/test", Logger: testLog(t),
	}
	for _, change := range changes {
		change(&cfg)
	}
	client, err := droneapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func testLog(t testing.TB) *slog.Logger {
	t.Helper()
	log := new(lines)
	t.Cleanup(func() { noToken(t, log.String()) })
	return slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func noToken(t testing.TB, text string) {
	t.Helper()
	if strings.Contains(text, token) {
		t.Errorf("the token is in %q", text)
	}
}

// failure gives the error as its type. No error's text holds the token.
func failure[E error](t testing.TB, err error) E {
	t.Helper()
	var out E
	if !errors.As(err, &out) {
		t.Fatalf("error %v (%T), want a %T", err, err, out)
	}
	noToken(t, fmt.Sprintf("%s %v %+v %q", err, err, err, err))
	return out
}

// recorder notes what is sent and when.
type recorder struct {
	next http.RoundTripper

	mu    sync.Mutex
	seen  []*http.Request
	times []time.Time
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.seen, r.times = append(r.seen, req), append(r.times, time.Now())
	r.mu.Unlock()
	return r.next.RoundTrip(req)
}

// requests are those sent since the last call, and how long after the first one each was sent.
func (r *recorder) requests() ([]*http.Request, []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, after := r.seen, make([]time.Duration, len(r.times))
	for i, at := range r.times {
		after[i] = at.Sub(r.times[0])
	}
	r.seen, r.times = nil, nil
	return seen, after
}

func (r *recorder) wantRequests(t testing.TB, want int) {
	t.Helper()
	if got, _ := r.requests(); len(got) != want {
		t.Errorf("%d requests were sent, want %d", len(got), want)
	}
}

// roundTripper is a function as a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answer is a whole answer with its content type.
func answer(kind, body string) dronetest.Interceptor {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header()["Content-Type"] = nil
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		_, _ = io.WriteString(w, body)
		return true
	}
}

// serve is the handler on a real socket, as quiet as a test should be.
func serve(t testing.TB, handler http.Handler, changes ...func(*httptest.Server)) *httptest.Server {
	t.Helper()
	web := httptest.NewUnstartedServer(handler)
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	for _, change := range changes {
		change(web)
	}
	if web.TLS != nil {
		web.StartTLS()
	} else {
		web.Start()
	}
	t.Cleanup(web.Close)
	return web
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// method is a typed method of the client.
type method struct {
	name, path string
	enterprise bool
	call       func(context.Context, *droneapi.Client) (any, error)
}

// methods are all of them, each asked for something that the recorded world holds.
var methods = []method{
	{"Version", "/version", false,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.Version(ctx) }},
	{"User", "/api/user", false,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.User(ctx) }},
	{"UserOf", "/api/user", false,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.UserOf(ctx, secret.New(token)) }},
	{"Users", "/api/users", false,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.Users(ctx) }},
	{"Repos", "/api/repos", false,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.Repos(ctx) }},
	{"Queue", "/api/queue", true,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.Queue(ctx) }},
	{"Stats", "/api/system/stats", true,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.Stats(ctx) }},
	{"Builds", "/api/repos/org0/service-00011/builds", false,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.Builds(ctx, repo11, 2, 10) }},
	{"Build", "/api/repos/org0/service-00011/builds/33", false,
		func(ctx context.Context, c *droneapi.Client) (any, error) { return c.Build(ctx, repo11, 33) }},
}

var repo11 = droneapi.Repo{ID: 12, Namespace: "org0", Name: "service-00011", Slug: "org0/service-00011"}
