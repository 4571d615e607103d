package faults

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

// world is a Drone server on a socket, with a history of what was true at each time and of when it was asked.
type world struct {
	*dronetest.Server
	edition dronetest.Edition
	address string
	// authority is the file of the authority that signed its certificate; empty where it has none.
	authority string

	mu     sync.Mutex
	states []state
	builds map[build]*life
	asked  []time.Time
}

// build names one.
type build struct {
	slug   string
	number int64
}

// span is a stretch of time, a little longer on both sides than the truth; without an end it lasts.
type span struct{ from, until time.Time }

// meets tells whether some moment of a window lies in it.
func (s span) meets(from, until time.Time) bool {
	return !s.from.After(until) && (s.until.IsZero() || !s.until.Before(from))
}

// state is what the server held in a span.
type state struct {
	span
	figures
}

// life is what one build was, span by span, and how it ended; the status is empty while it is open.
type life struct {
	phases []phase
	status string
}

type phase struct {
	span
	open
}

// figures are Drone's own seven.
type figures struct {
	builds, users, repos int
	open
}

// open is what waits and runs: pending builds, pending jobs, running builds, running jobs.
type open [4]int

func (w *world) figures() figures {
	t := w.Totals()
	return figures{t.Builds, t.Users, t.Repos, open{t.PendingBuilds, t.PendingJobs, t.RunningBuilds, t.RunningJobs}}
}

// newWorld starts a Drone server with a few repositories and no builds, over TLS and with HTTP/2 where it is secure.
func newWorld(t *testing.T, edition dronetest.Edition, secure bool) *world {
	t.Helper()
	w := &world{Server: dronetest.New(edition), edition: edition, builds: map[build]*life{}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		w.AddRepo(dronetest.Repo{Slug: "faults/" + name, Active: true})
	}
	w.AddRepo(dronetest.Repo{Slug: "faults/inactive"})
	w.states = []state{{span{from: time.Now()}, w.figures()}}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, time.Now())
		w.mu.Unlock()
		w.ServeHTTP(answer, r)
	}))
	if secure {
		web.EnableHTTP2 = true
		web.StartTLS()
		w.authority = filepath.Join(t.TempDir(), "ca.pem")
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
		if err := os.WriteFile(w.authority, text, 0o600); err != nil {
			t.Fatalf("writing the authority's certificate: %v", err)
		}
	} else {
		web.Start()
	}
	t.Cleanup(web.Close)
	w.address = web.Listener.Addr().String()
	return w
}

// change lets something happen, to a build or beside any, and writes into the history what is true since.
func (w *world) change(happen func() build) build {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := time.Now()
	b := happen()
	is, after := w.figures(), time.Now()
	w.states[len(w.states)-1].until = after
	w.states = append(w.states, state{span{from: before}, is})
	now, stored := w.Build(b.slug, b.number)
	if !stored {
		return b
	}
	one := w.builds[b]
	if one == nil {
		one = &life{phases: []phase{{}}}
		w.builds[b] = one
	}
	one.phases[len(one.phases)-1].until = after
	next := phase{span: span{from: before}}
	for _, stage := range now.Stages {
		switch stage.Status {
		case dronetest.StatusPending:
			next.open[0], next.open[1] = 1, next.open[1]+1
		case dronetest.StatusRunning:
			next.open[2], next.open[3] = 1, next.open[3]+1
		}
	}
	one.phases = append(one.phases, next)
	if now.Finished > 0 {
		one.status = now.Status
	}
	return b
}

// ended are the builds that have ended, with how.
func (w *world) ended() map[build]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[build]string{}
	for b, one := range w.builds {
		if one.status != "" {
			out[b] = one.status
		}
	}
	return out
}

// endings counts builds as drone_build_finished_total does.
func endings(ended map[build]string) map[ending]int {
	out := map[ending]int{}
	for b, status := range ended {
		out[ending{b.slug, status}]++
	}
	return out
}

// unfinished are the builds that have not ended.
func (w *world) unfinished() []build {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []build
	for b, one := range w.builds {
		if one.status == "" {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b build) int {
		if a.slug != b.slug {
			return strings.Compare(a.slug, b.slug)
		}
		return int(a.number - b.number)
	})
	return out
}

// window is the time in which something that is told must have been true. What is seldom asked for may be older.
type window struct{ since, seldom, until time.Time }

// possible tells why what was told cannot have been true in a window.
//
// On the enterprise edition what waits and runs is one answer of Drone's, so it is what was true of the server at one
// moment. On the community edition each open build is asked about by itself: each is as it was at some moment.
func (w *world) possible(told sample, in window) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var opened, builds, users, repos bool
	for _, s := range w.states {
		opened = opened || s.open == told.open && s.meets(in.since, in.until)
		if s.meets(in.seldom, in.until) {
			builds = builds || s.builds == told.builds
			users = users || s.users == told.users
			repos = repos || s.repos == told.repos
		}
	}
	if !builds || !users || !repos {
		return fmt.Errorf("%d builds, %d repositories, %d users: not true at any moment since %s",
			told.builds, told.repos, told.users, clock(in.seldom))
	}
	if opened || !told.seen {
		return nil
	}
	least, most := w.bounds(in)
	for i, value := range told.open {
		if w.edition == dronetest.Enterprise || value < least[i] || value > most[i] {
			return fmt.Errorf("what waits and runs is %v: not true since %s, when it was between %v and %v",
				told.open, clock(in.since), least, most)
		}
	}
	return nil
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// bounds adds up the least and the most that each build was in a window.
func (w *world) bounds(in window) (least, most open) {
	for _, one := range w.builds {
		var low, high open
		first := true
		for _, p := range one.phases {
			if !p.meets(in.since, in.until) {
				continue
			}
			for i, n := range p.open {
				if first {
					low[i], high[i] = n, n
				}
				low[i], high[i] = min(low[i], n), max(high[i], n)
			}
			first = false
		}
		for i := range low {
			least[i], most[i] = least[i]+low[i], most[i]+high[i]
		}
	}
	return least, most
}

// underWay is how many requests can be under way at once: those of polls, and those about who reads the metrics.
const underWay = 4 + 3

// askedMost tells where Drone was asked more often than the rate allows, in seconds and in longer stretches of time.
// What comes in one was sent in it, evenly, or was under way when it began.
func (w *world) askedMost() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stretch := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second} {
		most := int(rate*stretch.Seconds()) + 1 + underWay
		first := 0
		for i, at := range w.asked {
			for at.Sub(w.asked[first]) > stretch {
				first++
			}
			if n := i - first + 1; n > most {
				return fmt.Errorf("drone was asked %d times in the %s before %s, want at most %d",
					n, stretch, clock(at), most)
			}
		}
	}
	return nil
}
