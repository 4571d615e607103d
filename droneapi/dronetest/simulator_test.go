package dronetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
)

// simulate runs a server for some hours, with steps of so many seconds.
func simulate(t *testing.T, hours, step int64, look func(s *dronetest.Server)) *dronetest.Server {
	t.Helper()
	c := &clock{now: 1_800_000_000}
	s := dronetest.New(dronetest.Enterprise, dronetest.WithClock(c.time))
	sim := dronetest.NewSimulator(s, 7)
	for range hours * 3600 / step {
		c.pass(step)
		sim.Step()
		if look != nil {
			look(s)
		}
	}
	return s
}

func TestSimulatorIsDeterministic(t *testing.T) {
	a, b := simulate(t, 1, 1, nil), simulate(t, 1, 15, nil)
	if diff := cmp.Diff(a.Totals(), b.Totals()); diff != "" {
		t.Errorf("totals with steps of 1 s and of 15 s (-1 +15):\n%s", diff)
	}
	for _, p := range []string{"/api/repos?per_page=100", "/api/queue", "/api/builds/incomplete/v2", "/api/users"} {
		if diff := cmp.Diff(get(t, a, p, dronetest.DefaultToken), get(t, b, p, dronetest.DefaultToken)); diff != "" {
			t.Errorf("GET %s with steps of 1 s and of 15 s (-1 +15):\n%s", p, diff)
		}
	}
}

func TestSimulatorIsBusy(t *testing.T) {
	var least, most = 1000, 0
	start := int64(0)
	s := simulate(t, 6, 5, func(s *dronetest.Server) {
		t.Helper()
		totals := s.Totals()
		if totals.RunningJobs > 11 {
			t.Fatalf("%d jobs run on 11 runners", totals.RunningJobs)
		}
		if start++; start > 240 { // after the first wave
			least, most = min(least, totals.PendingJobs), max(most, totals.PendingJobs)
		}
	})
	if least > 2 || most < 6 || most > 150 {
		t.Errorf("between %d and %d jobs were pending, want a queue that builds up and drains", least, most)
	}
	seen := map[string]int{}
	gaps := 0
	for _, r := range s.Repos() {
		for n := int64(1); n <= r.Counter; n++ {
			b, ok := s.Build(r.Slug, n)
			if !ok {
				gaps++
				continue
			}
			if b.ID <= 2000 {
				continue // was there before
			}
			seen["build "+b.Status]++
			seen["event "+b.Event]++
			seen[fmt.Sprint("stages ", len(b.Stages))]++
			for _, st := range b.Stages {
				seen["stage "+st.Status]++
				seen[st.OS+"/"+st.Arch]++
				if age := time.Unix(st.Stopped, 0).Sub(time.Unix(st.Started, 0)); age < 0 && st.Stopped != 0 {
					t.Errorf("%s/%d: stage %d took %v", r.Slug, n, st.Number, age)
				}
			}
		}
	}
	for _, want := range []string{
		"build success", "build failure", "build error", "build killed", "build skipped", "build declined",
		"build pending", "build running", "stage blocked", "stage skipped", "stage declined", "stage killed",
		"event push", "event pull_request", "event cron", "event tag", "event promote",
		"stages 0", "stages 1", "stages 2", "stages 3",
		"linux/amd64", "linux/arm64", "windows/amd64", "darwin/arm64",
	} {
		if seen[want] == 0 {
			t.Errorf("in six hours there was no %s: %v", want, seen)
		}
	}
	if gaps == 0 {
		t.Error("in six hours every number was stored")
	}
	totals := s.Totals()
	if totals.Users <= 13 || totals.Repos <= 28 {
		t.Errorf("users and repositories did not come up: %+v", totals)
	}
}
