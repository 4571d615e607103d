package statuspage

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// statusTime is when the status of the tests is of.
var statusTime = time.Date(2026, time.November, 24, 12, 17, 4, 0, time.UTC)

// golden compares with a file of testdata, but for the style and the script, which are page.css and page.js.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = own.ReplaceAll(got, []byte("<$1></$1>"))
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); go test ./statuspage -update writes it anew:\n%s", path, diff)
	}
}

// own are the page's own style and script.
var own = regexp.MustCompile(`(?s)<(style|script)>.*?</(?:style|script)>`)

// pageOf is a Page that shows a status.
func pageOf(tb testing.TB, s Status) *Page {
	tb.Helper()
	page, err := New(Config{
		Source: func() Status { return s }, Version: "1.2.3",
		Paths: Paths{
			Metrics: "/metrics", Document: "/api/v1/status", Logout: "/-/logout", Healthy: "/-/healthy", Ready: "/-/ready",
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

// answer is what somebody gets.
func answer(tb testing.TB, serve func(w http.ResponseWriter, r *http.Request), status int, kind string) []byte {
	tb.Helper()
	got := httptest.NewRecorder()
	serve(got, httptest.NewRequest(http.MethodGet, "/", nil))
	if got.Code != status || got.Header().Get("Content-Type") != kind {
		tb.Errorf("status %d, %s; want %d, %s", got.Code, got.Header().Get("Content-Type"), status, kind)
	}
	return got.Body.Bytes()
}

const (
	htmlKind = "text/html; charset=utf-8"
	jsonKind = "application/json; charset=utf-8"
)

func (p *Page) seen(tb testing.TB, leave bool) []byte {
	tb.Helper()
	return answer(tb, func(w http.ResponseWriter, r *http.Request) { p.Page(w, r, leave) }, http.StatusOK, htmlKind)
}

func (p *Page) door(tb testing.TB, status int, said string) []byte {
	tb.Helper()
	return answer(tb, func(w http.ResponseWriter, r *http.Request) { p.Door(w, r, status, said) }, status, htmlKind)
}

func (p *Page) document(tb testing.TB) []byte {
	tb.Helper()
	return answer(tb, p.Document, http.StatusOK, jsonKind)
}

func to[T any](v T) *T { return &v }

// ago is a moment before the status.
func ago(d time.Duration) *time.Time { return to(statusTime.Add(-d)) }

// fullStatus has something of everything.
func fullStatus() Status {
	const drone = "https://drone.example.com/ci"
	series := points(60, 3, 45, 5, 30, -1, 15, 4, 0, 2)
	return Status{
		Time: statusTime,
		Agent: Agent{
			Version: "1.2.3", Started: statusTime.Add(-26 * time.Hour), PollInterval: 15, ConfigurationRefused: true,
		},
		Drone: Drone{
			Server: drone, Version: "2.25.0", Edition: "enterprise", Up: to(true),
			Polled: ago(4 * time.Second), PollSeconds: to(0.125), Fresh: ago(4125 * time.Millisecond),
		},
		Push: Push{
			State: "ok", Endpoint: "https://collector.example.com:4317", LastSuccess: ago(12 * time.Second),
			Rejected: "3 data points rejected: time < start",
		},
		Figures: []Figure{
			{Name: "drone_pending_builds", Value: to(int64(2)), History: series},
			{Name: "drone_pending_jobs", Value: to(int64(3)), History: points(0, 3)},
			{Name: "drone_running_builds", Value: to(int64(2)), History: points(30, 2, 0, 2)},
			{Name: "drone_running_jobs", Value: to(int64(2)), History: []Point{}},
			{Name: "drone_build_count", Value: to(int64(870_212)), History: points(60, 870_000, 0, 870_212)},
			{Name: "drone_repo_count", Value: to(int64(10_000)), History: points(60, -1, 0, -1)},
			{Name: "drone_user_count", History: []Point{}},
			{Name: "drone_of_the_future", Value: to(int64(-1)), History: []Point{}},
		},
		Repositories: &Repositories{Active: 10_000, Inactive: 1200, Unreachable: 2, Folded: 9000},
		Queue: []Platform{
			{
				OS: "linux", Arch: "amd64", Type: "docker", Labels: map[string]string{"pool": "big", "gpu": ""},
				Jobs: Jobs{Pending: 3, Running: 1}, Oldest: ago(192 * time.Second),
			},
			{
				OS: "windows", Arch: "amd64", Type: "exec", Labels: map[string]string{"pool": "", "gpu": "yes"},
				Jobs: Jobs{Running: 1},
			},
			{OS: "_other", Arch: "_other", Type: "_other", Labels: map[string]string{"pool": "_other", "gpu": "_other"}},
		},
		Builds: &Builds{Total: 1204, Open: []Build{
			{
				Repository: "org/waits", Number: to(int64(7)), URL: drone + "/org/waits/7", State: Waiting,
				Created: ago(192 * time.Second), Jobs: Jobs{Pending: 1}, Platforms: []string{"linux/amd64"}, Machines: []string{},
			},
			{
				Repository: "_other", State: Waiting, Jobs: Jobs{Pending: 1},
				Platforms: []string{"linux/amd64"}, Machines: []string{},
			},
			{
				Repository: "org/blocked", Number: to(int64(3)), URL: drone + "/org/blocked/3", State: Blocked,
				Created: ago(50 * time.Hour), Platforms: []string{}, Machines: []string{},
			},
			{
				Repository: "org/runs", Number: to(int64(1000)), URL: drone + "/org/runs/1000", State: Running,
				Created: ago(90 * time.Minute), Jobs: Jobs{Pending: 1, Running: 1},
				Platforms: []string{"linux/amd64", "windows/amd64"}, Machines: []string{"runner-1"},
			},
			{
				Repository: "group/sub/runs", State: Running, Created: ago(0), Jobs: Jobs{Pending: 2, Running: 2},
				Platforms: []string{"linux/amd64"}, Machines: []string{"runner-1", "runner-2"},
			},
			{
				Repository: "org/alone", Number: to(int64(1)), URL: drone + "/org/alone/1", State: Running,
				Created: ago(time.Second), Jobs: Jobs{Running: 1}, Platforms: []string{"linux/arm64"}, Machines: []string{},
			},
		}},
		Failures: []Failure{
			{
				Repository: "org/red", Number: 41, URL: drone + "/org/red/41", Status: "failure",
				Finished: statusTime.Add(-10 * time.Minute), Seconds: 75,
			},
			{
				Repository: "org/green", Number: 8, URL: drone + "/org/green/8", Status: "killed",
				Finished: statusTime.Add(-25 * time.Hour), Seconds: 0.4, Fixed: true,
			},
			{Repository: "org/old", Number: 2, URL: drone + "/org/old/2", Finished: statusTime.Add(-72 * time.Hour)},
		},
	}
}

// troubledStatus is one of Drone away, and of the Collector, too.
func troubledStatus() Status {
	s := fullStatus()
	return Status{
		Time: s.Time, Agent: s.Agent, Figures: []Figure{{Name: "drone_pending_builds", History: points(60, 2, 10, -1)}},
		Drone: Drone{
			Server: s.Drone.Server, Version: "2.25.0", Edition: "enterprise", Up: to(false), Polled: ago(time.Second),
			PollSeconds: to(30.0), Fresh: ago(10 * time.Minute), Stale: true, Trouble: &Trouble{
				Error: "GET /api/queue: 401 Unauthorized", Cure: "check drone.token", Since: statusTime.Add(-9 * time.Minute),
			},
		},
		Push: Push{
			State: "away", Endpoint: "http://collector.example.com:4317", Rejected: "1 data points rejected: too old",
			Trouble: &Trouble{Error: "connection refused", Since: statusTime.Add(-time.Hour)},
		},
	}
}

// unknownStatus is what there is before the first poll.
func unknownStatus() Status {
	s := Status{
		Time: statusTime, Agent: Agent{Version: "1.2.3", Started: statusTime.Add(-3 * time.Second), PollInterval: 15},
		Drone: Drone{Server: "https://drone.example.com"}, Push: Push{State: "waiting"},
	}
	for _, figure := range fullStatus().Figures {
		s.Figures = append(s.Figures, Figure{Name: figure.Name, History: []Point{}})
	}
	return s
}
