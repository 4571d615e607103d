package agent

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

// manager is a service manager that remembers what it was told, and when.
type manager struct {
	mu    sync.Mutex
	lines []string
	beats []time.Time
}

func (m *manager) notify(state string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range strings.SplitSeq(state, "\n") {
		if line == "WATCHDOG=1" {
			m.beats = append(m.beats, time.Now())
		} else {
			m.lines = append(m.lines, line)
		}
	}
	return nil
}

// last is the newest line that begins so.
func (m *manager) last(prefix string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(m.lines[i], prefix) {
			return m.lines[i]
		}
	}
	return ""
}

// longest is the longest time without a sign of life until now.
func (m *manager) longest(since time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out time.Duration
	for _, at := range m.beats {
		out, since = max(out, at.Sub(since)), at
	}
	return max(out, time.Since(since))
}

// managed gives a rig a service manager.
func managed(r *rig, watchdog time.Duration) *manager {
	m := &manager{}
	r.service = newService(Service{Notify: m.notify, Watchdog: watchdog}, r.log)
	r.wake, r.polled = make(chan struct{}, 1), make(chan struct{})
	return m
}

// TestSignsOfLife lets the loop live through everything that takes long, and sees that the watchdog is content.
func TestSignsOfLife(t *testing.T) {
	const watchdog = 3 * time.Minute
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		for _, trouble := range []struct {
			name  string
			fault dronetest.Interceptor
		}{
			{"none", nil},
			{"hangs", dronetest.Slow()},
			{"slow", func(http.ResponseWriter, *http.Request) bool { time.Sleep(25 * time.Second); return false }},
			{"asks to wait", dronetest.Status(429, "", dronetest.Header("Retry-After", "3600"))},
		} {
			drone := recorded(t, edition)
			drone.Intercept(trouble.fault)
			r := newRig(t, drone)
			m := managed(r, watchdog)
			began := time.Now()
			r.run(awhile(t, 2*time.Hour))
			if gap := m.longest(began); gap > watchdog/2 {
				t.Errorf("%s: there was no sign of life for %s, want half of the watchdog's %s at most",
					trouble.name, gap, watchdog)
			}
		}
	})
}

// TestHungLoopGivesNoSigns: neither the status nor somebody else's requests keep a hung loop alive.
func TestHungLoopGivesNoSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, recorded(t, dronetest.Enterprise))
		m := managed(r, 3*time.Minute)
		hang := make(chan struct{})
		r.published = func(*instruments.Snapshot) { <-hang }
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.run(awhile(t, time.Hour))
		}()
		time.Sleep(time.Minute)
		hung := time.Now()
		for range 5 {
			if _, err := r.watcher.api.Version(t.Context()); err != nil { // as the guard asks
				t.Fatal(err)
			}
			r.service.tellStatus()
			time.Sleep(time.Minute)
		}
		if gap := m.longest(hung); gap != 6*time.Minute {
			t.Errorf("the longest time without a sign of life is %s, want all of the 6m that the loop hung", gap)
		}
		if status := m.last("STATUS="); !strings.Contains(status, "data is 5m0s old") {
			t.Errorf("the status is %q, want the age of the data in it", status)
		}
		close(hang)
		<-done
	})
}

func TestWatchdogIsGivenTime(t *testing.T) {
	for _, tc := range []struct {
		watchdog, timeout time.Duration
		want              string
	}{
		{3 * time.Minute, 30 * time.Second, ""},
		{time.Minute, 10 * time.Minute, "WATCHDOG_USEC=1230000000"},
		{0, 10 * time.Minute, ""},
	} {
		m := &manager{}
		s := newService(Service{Notify: m.notify, Watchdog: tc.watchdog}, slog.New(slog.DiscardHandler))
		s.spare(tc.timeout)
		if got := m.last("WATCHDOG_USEC"); got != tc.want {
			t.Errorf("watchdog %s, timeout %s: the manager is told %q, want %q", tc.watchdog, tc.timeout, got, tc.want)
		}
	}
}

func TestStatus(t *testing.T) {
	now := time.Unix(1_795_350_000, 0)
	known := &instruments.Snapshot{
		Up: true, Fresh: now.Add(-70 * time.Second), Server: &instruments.Server{Version: "2.25.0", Edition: "community"},
	}
	broken := errors.New("polling:\n connection\trefused")
	for _, tc := range []struct {
		name    string
		tell    func(*service)
		want    string
		another string
	}{
		{"nothing yet", func(s *service) { s.tellStatus() }, "waiting for Drone's first answer", ""},
		{
			"well", func(s *service) { s.polled(known, nil) },
			"watching Drone 2.25.0 (community); data is 1m10s old", "",
		},
		{
			"away", func(s *service) { s.polled(known, broken) },
			"watching Drone 2.25.0 (community); data is 1m10s old; last poll failed: polling: connection refused", "",
		},
		{
			"never there", func(s *service) { s.polled(&instruments.Snapshot{}, broken) },
			"nothing is known of Drone yet; last poll failed: polling: connection refused", "",
		},
		{
			"refused", func(s *service) {
				s.polled(known, nil)
				s.nowReady()
				s.reloaded(errors.New("a.yaml:1: x\na.yaml:2: y"))
			},
			"watching Drone 2.25.0 (community); data is 1m10s old; " +
				"the newest configuration was refused: a.yaml:1: x a.yaml:2: y",
			"READY=1",
		},
		{
			"reloaded", func(s *service) { s.reloaded(broken); s.reloaded(nil) },
			"waiting for Drone's first answer", "",
		},
		{"long", func(s *service) { s.polled(known, errors.New(strings.Repeat("ü", 500))) }, "", ""},
	} {
		m := &manager{}
		s := newService(Service{Notify: m.notify}, slog.New(slog.DiscardHandler))
		s.now = func() time.Time { return now }
		tc.tell(s)
		got := m.last("STATUS=")
		if tc.want != "" && got != "STATUS="+tc.want {
			t.Errorf("%s: the status is %q, want %q", tc.name, got, tc.want)
		}
		if len(got) > 500 {
			t.Errorf("%s: the status has %d bytes, want fewer", tc.name, len(got))
		}
		if ready := m.last("READY="); ready != tc.another {
			t.Errorf("%s: the manager was told %q, want %q", tc.name, ready, tc.another)
		}
	}
}

// TestManagerAway: that nobody listens is said once.
func TestManagerAway(t *testing.T) {
	logs := &logBuffer{}
	s := newService(Service{Notify: func(string) error { return errors.New("no such file") }},
		slog.New(slog.NewTextHandler(logs, nil)))
	s.tellStatus()
	s.tellStatus()
	if n := logs.count("the service manager cannot be told"); n != 1 {
		t.Errorf("it was said %d times, want once", n)
	}
}
