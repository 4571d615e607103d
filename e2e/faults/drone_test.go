package faults

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

// everyFault is what a line can suffer. bulk is the direction in which most goes, and some how many bytes a few
// exchanges have in it.
func everyFault(bulk func(kind string, attributes map[string]int) toxic, some int) []fault {
	return []fault{
		{name: "latency", toxics: []toxic{
			up("latency", map[string]int{"latency": 200, "jitter": 100}),
			down("latency", map[string]int{"latency": 300, "jitter": 100}),
		}},
		{name: "latency beyond the timeout", total: true, toxics: []toxic{
			down("latency", map[string]int{"latency": 2 * int(timeout.Milliseconds())}),
		}},
		{name: "resets", total: true, toxics: []toxic{bulk("reset_peer", map[string]int{"timeout": 0})}},
		{name: "cut short", total: true, toxics: []toxic{bulk("limit_data", map[string]int{"bytes": 100})}},
		{name: "cut now and then", toxics: []toxic{bulk("limit_data", map[string]int{"bytes": some})}},
		// Polls fail half way: most connections are cut before there is an answer, and the others soon.
		{name: "lossy", toxics: []toxic{
			bulk("limit_data", map[string]int{"bytes": some}),
			{Type: "timeout", Stream: "downstream", Attributes: map[string]int{"timeout": 500}, Toxicity: 0.6},
		}},
		{name: "black hole", total: true, toxics: []toxic{
			up("timeout", map[string]int{"timeout": 0}), down("timeout", map[string]int{"timeout": 0}),
		}},
		{name: "black hole for ever", total: true, forgets: true},
		// Only one way: all requests that were held up would come to Drone at once, long after they were sent.
		{name: "stall", total: true, toxics: []toxic{down("bandwidth", map[string]int{"rate": 0})}},
		{name: "trickle", toxics: []toxic{
			bulk("slicer", map[string]int{"average_size": some / 200, "size_variation": some / 400, "delay": 10_000}),
		}},
		{name: "trickle beyond the timeout", total: true, toxics: []toxic{
			bulk("bandwidth", map[string]int{"rate": 1}),
		}},
		{name: "nobody listens", total: true, refused: true, short: true},
	}
}

var editions = []dronetest.Edition{dronetest.Enterprise, dronetest.Community}

// Whatever the line to Drone suffers, nothing is told meanwhile that is not true, and after it the figures are right
// within two polls, every build is told once, and the process is what it was.
func TestLineToDrone(t *testing.T) {
	t.Parallel()
	for _, f := range everyFault(down, 20_000) {
		for _, edition := range editions {
			t.Run(f.name+"/"+edition.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, edition, false)
				line := between(t, w.address)
				s := enact(t, w, line.address())
				s.ready(t)
				moving, stopMoving := w.move(t)
				before := s.settled(t)

				stopWatching := s.watch(t)
				line.suffer(t, f)
				moving.short.Store(f.short)
				wait(t, lasting)
				stopMoving()
				saw := stopWatching()
				line.lift(t, f)
				s.rightAgain(t)
				s.toldOnce(t)
				s.asBefore(t, before)
				s.pollsGoOn(t, listEvery)
				s.toldOnce(t)
				saw.hold(t, f)
				if err := w.askedMost(); err != nil {
					t.Error(err)
				}
				s.stop(t)
			})
		}
	}
}

// wait lets a fault last.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// settled waits until the agent has told builds, and returns what its process has of the machine then.
func (s *scene) settled(t *testing.T) usage {
	t.Helper()
	s.pollsGoOn(t, listEvery)
	return s.eventually(t, "some builds to be told", func(now sample) error {
		if len(now.finished) < 3 {
			return fmt.Errorf("%d series of builds that ended", len(now.finished))
		}
		return nil
	}).usage
}

// twoPolls are as many as may end until the figures are right: the one that was under way when the fault ended, and
// two.
const twoPolls = 1 + 2

// rightAgain waits until the seven are right, and holds that this takes no longer than two polls.
func (s *scene) rightAgain(t *testing.T) {
	t.Helper()
	want, before := s.world.figures(), s.polls()
	s.agent.Await(t, "the seven to be right", sparing(func() error {
		polls := s.polls() - before
		now, err := s.scrape(t.Context())
		switch {
		case err != nil:
		case !now.up || !now.seen:
			err = errors.New("the agent is not up")
		case now.figures != want:
			err = fmt.Errorf("they are %+v, want %+v", now.figures, want)
		}
		if err != nil && polls >= twoPolls {
			t.Fatalf("%d polls after the fault: %v", polls, err)
		}
		return err
	}))
}

// toldOnce holds that each build that ended was told once, by the agent's log and by its counters.
func (s *scene) toldOnce(t *testing.T) {
	t.Helper()
	ended := s.world.ended()
	all, _ := told(t, s.agent)
	times := map[build]int{}
	for _, one := range all {
		times[one.build]++
		if status := ended[one.build]; status != one.status {
			t.Errorf("build %v was told as %s, and is %q", one.build, one.status, status)
		}
	}
	for b, status := range ended {
		if times[b] != 1 {
			t.Errorf("build %v, which ended with %s, was told %d times", b, status, times[b])
		}
	}
	now := s.eventually(t, "the counters", func(now sample) error {
		if !now.known {
			return errors.New("what is known is too old")
		}
		return nil
	})
	if want := endings(ended); !maps.Equal(now.finished, want) {
		t.Errorf("the counters of builds that ended are %v, want %v", now.finished, want)
	}
}

// How much more than before the process may have after a fault: the connections of other requests than just then, and
// memory that is not given back at once.
const (
	moreGoroutines = 12
	moreFiles      = 6
	moreHeap       = 16 << 20
	moreResident   = 64 << 20
)

// asBefore waits until the process has of the machine what it had.
func (s *scene) asBefore(t *testing.T, before usage) {
	t.Helper()
	after := s.eventually(t, "the process to be what it was", func(now sample) error {
		if now.goroutines > before.goroutines+moreGoroutines || now.files > before.files+moreFiles ||
			now.heap > before.heap+moreHeap || now.resident > before.resident+moreResident {
			return fmt.Errorf("it has %+v; before the fault it had %+v", now.usage, before)
		}
		return nil
	})
	t.Logf("before %+v", before)
	t.Logf("after  %+v", after.usage)
}

// hold holds what a fault must have shown.
func (saw seen) hold(t *testing.T, f fault) {
	t.Helper()
	t.Logf("%+v", saw)
	switch {
	case saw.scrapes < int(lasting/scrapeEvery)/4:
		t.Errorf("%d scrapes in %s", saw.scrapes, lasting)
	case f.total && (saw.down == 0 || saw.gone == 0):
		t.Errorf("drone_up was 0 in %d scrapes, and the seven were gone in %d: both must be seen", saw.down, saw.gone)
	case !f.total && saw.up == 0:
		t.Error("drone_up was never 1")
	}
}
