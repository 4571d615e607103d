package agent

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
	"drone-otel-agent/internal/secret"
)

// rig is a poller on a Drone server in memory. It lives in a synctest bubble, so its time is virtual.
type rig struct {
	*poller
	drone *dronetest.Server
	logs  *logBuffer
}

// logBuffer collects log lines of several goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// count returns how many lines hold a text.
func (b *logBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.buf.String(), text)
}

func testWatchConfig() watchConfig {
	return watchConfig{
		Interval: 15 * time.Second, Lookback: 24 * time.Hour, UsersInterval: 5 * time.Minute,
		RecountInterval: time.Hour, Concurrency: 4,
	}
}

func newRig(t *testing.T, drone *dronetest.Server, change ...func(*watchConfig)) *rig {
	t.Helper()
	cfg := testWatchConfig()
	for _, f := range change {
		f(&cfg)
	}
	logs := &logBuffer{}
	log := slog.New(slog.NewTextHandler(logs, nil))
	server, err := url.Parse("http://drone.test")
	if err != nil {
		t.Fatal(err)
	}
	client, err := droneapi.New(droneapi.Config{
		Server: server, Token: secret.Static(secret.New(dronetest.DefaultToken)), Timeout: 30 * time.Second,
		MaxConcurrentRequests: cfg.Concurrency, MaxRequestsPerSecond: 1000, MaxAnswerBytes: 1 << 20,
		UserAgent: "test", Logger: log, Transport: drone.RoundTripper(),
		Around: func(network http.RoundTripper) http.RoundTripper { return answering{network} },
	})
	if err != nil {
		t.Fatal(err)
	}
	watcher := newWatcher(client, cfg, time.Now, log)
	return &rig{
		poller: &poller{watcher: watcher, interval: cfg.Interval, now: time.Now, log: log}, drone: drone, logs: logs,
	}
}

// answering gives the signs of life of requests.
type answering struct{ http.RoundTripper }

func (a answering) RoundTrip(req *http.Request) (*http.Response, error) {
	defer sawAnswer(req.Context())
	return a.RoundTripper.RoundTrip(req)
}

// mustPoll polls once, with all the time it needs.
func (r *rig) mustPoll(t *testing.T) {
	t.Helper()
	if err := r.poll(t.Context(), time.Time{}); err != nil {
		t.Fatalf("polling: %v", err)
	}
}

// pass lets time pass and polls, as often as said.
func (r *rig) pass(t *testing.T, polls int) {
	t.Helper()
	for range polls {
		time.Sleep(r.interval)
		r.mustPoll(t)
	}
}

// known is what the newest snapshot tells, -1 for unknown.
func (r *rig) known() dronetest.Totals {
	s := r.newest.Load()
	get := func(c instruments.Count) int {
		if n, known := c.Get(); known {
			return int(n)
		}
		return -1
	}
	return dronetest.Totals{
		Builds: get(s.BuildCount), Users: get(s.UserCount), Repos: get(s.RepoCount),
		PendingBuilds: get(s.PendingBuilds), RunningBuilds: get(s.RunningBuilds),
		PendingJobs: get(s.PendingJobs), RunningJobs: get(s.RunningJobs),
	}
}

// exact fails the test where the newest snapshot and the server's own totals differ.
func (r *rig) exact(t *testing.T, when string) {
	t.Helper()
	if diff := cmp.Diff(r.drone.Totals(), r.known()); diff != "" {
		t.Errorf("%s: drone's totals (-) and the agent's (+) differ:\n%s", when, diff)
	}
}

// inBothEditions runs a test in a bubble of virtual time, on either edition.
func inBothEditions(t *testing.T, test func(t *testing.T, edition dronetest.Edition)) {
	t.Helper()
	for _, edition := range []dronetest.Edition{dronetest.Enterprise, dronetest.Community} {
		t.Run(edition.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, edition) })
		})
	}
}

// awhile returns a context that ends after some virtual time.
func awhile(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
