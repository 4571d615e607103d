package agent

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
	"drone-otel-agent/statuspage"
)

// everything makes all repositories eligible for series of their own.
func everything(c *watchConfig) { c.Selection = selectionConfig{Include: []string{"*"}, Limit: 1000} }

// boardSettings are those of the tests of the board.
func boardSettings() instruments.Settings { return instruments.Settings{StaleAfter: time.Minute} }

// values are the newest figures of a status by name, -1 where one is not known.
func values(s statuspage.Status) map[string]int64 {
	out := map[string]int64{}
	for _, f := range s.Figures {
		if out[f.Name] = -1; f.Value != nil {
			out[f.Name] = *f.Value
		}
	}
	return out
}

func to[T any](v T) *T { return &v }

func TestBoardBeforeTheFirstPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(time.Now, boardSettings, 15*time.Second)
		began := time.Now().UTC()
		time.Sleep(2 * time.Second)
		want := statuspage.Status{
			Time:  began.Add(2 * time.Second),
			Agent: statuspage.Agent{Started: began, PollInterval: 15, ConfigurationRefused: true},
		}
		for _, name := range []string{
			"drone_pending_builds", "drone_pending_jobs", "drone_running_builds", "drone_running_jobs", "drone_build_count",
			"drone_repo_count", "drone_user_count",
		} {
			want.Figures = append(want.Figures, statuspage.Figure{Name: name, History: []statuspage.Point{}})
		}
		b.settings = func() instruments.Settings { return instruments.Settings{StaleAfter: time.Minute, Refused: true} }
		if diff := cmp.Diff(want, b.status(nil)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestBoardInGoodAndBadTimes shows a good poll, lets Drone be away until what is known is too old, and come back.
func TestBoardInGoodAndBadTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(time.Now, boardSettings, 15*time.Second)
		seen := sight{
			builds:   &statuspage.Builds{Total: 7, Open: []statuspage.Build{{Repository: "a/b"}}},
			failures: []statuspage.Failure{{Repository: "a/c", Number: 3}},
		}
		good := fullSnapshot(time.Now())
		good.Queue[0].Labels, good.Queue[1].Labels = []string{"big", ""}, []string{"", "yes"}
		b.polled(good, seen, 15*time.Second, nil)
		wellKnown := func(when string, got statuspage.Status) {
			t.Helper()
			want := map[string]int64{
				"drone_pending_builds": 5, "drone_pending_jobs": 6, "drone_running_builds": 2, "drone_running_jobs": 0,
				"drone_build_count": 212, "drone_repo_count": 13, "drone_user_count": 7,
			}
			if diff := cmp.Diff(want, values(got)); diff != "" {
				t.Errorf("%s: figures (-want +got):\n%s", when, diff)
			}
			queue := []statuspage.Platform{
				{
					OS: "linux", Arch: "amd64", Type: "docker", Labels: map[string]string{"pool": "big", "gpu": ""},
					Jobs: statuspage.Jobs{Pending: 6}, Oldest: to(good.Polled.Add(-time.Minute)),
				},
				{OS: "windows", Arch: "amd64", Type: "docker", Labels: map[string]string{"pool": "", "gpu": "yes"}},
			}
			if diff := cmp.Diff(queue, got.Queue); diff != "" {
				t.Errorf("%s: queue (-want +got):\n%s", when, diff)
			}
			if diff := cmp.Diff(&statuspage.Repositories{Active: 13, Inactive: 1, Folded: 2}, got.Repositories); diff != "" {
				t.Errorf("%s: repositories (-want +got):\n%s", when, diff)
			}
			if got.Builds != seen.builds || len(got.Failures) != 1 {
				t.Errorf("%s: builds %v, failures %v", when, got.Builds, got.Failures)
			}
		}
		status := func() statuspage.Status { return b.status([]string{"pool", "gpu"}) }
		wellKnown("after a good poll", status())
		drone := statuspage.Drone{
			Version: "2.25.0", Edition: "enterprise", Up: to(true), Polled: to(good.Polled), PollSeconds: to(1.25),
			Fresh: to(good.Fresh),
		}
		if diff := cmp.Diff(drone, status().Drone); diff != "" {
			t.Errorf("after a good poll (-want +got):\n%s", diff)
		}

		var first time.Time
		fail := func(err error) statuspage.Status {
			time.Sleep(20 * time.Second)
			bad := *good
			bad.Up, bad.Polled = false, time.Now()
			if first.IsZero() {
				first = time.Now()
			}
			b.polled(&bad, sight{}, 15*time.Second, err)
			return status()
		}
		fail(errors.New("first\nand\tforemost"))
		got := fail(&droneapi.HTTPError{Status: 401})
		wellKnown("after failed polls", got)
		if trouble := got.Drone.Trouble; trouble == nil || !trouble.Since.Equal(first) || trouble.Error == "" ||
			trouble.Cure != cure(&droneapi.HTTPError{Status: 401}) || *got.Drone.Up || got.Drone.Stale {
			t.Errorf("after failed polls: %+v, trouble %+v, want one since %s", got.Drone, trouble, first)
		}
		if diff := cmp.Diff([]*int64{to(int64(5)), nil, nil}, history0(got)); diff != "" {
			t.Errorf("the history after failed polls (-want +got):\n%s", diff)
		}

		got = fail(errors.New("still\naway")) // a minute after the good poll: that is not yet more than the minute allowed
		if got.Drone.Stale || got.Drone.Trouble.Error != "still away" {
			t.Errorf("after a minute: %+v, trouble %+v", got.Drone, got.Drone.Trouble)
		}
		time.Sleep(time.Millisecond)
		got = status()
		for name, value := range values(got) {
			if value != -1 {
				t.Errorf("what is too old is told: %s is %d", name, value)
			}
		}
		if !got.Drone.Stale || got.Queue != nil || got.Builds != nil || got.Failures != nil || got.Repositories != nil {
			t.Errorf("what is too old is told: %+v", got)
		}
		if diff := cmp.Diff([]*int64{to(int64(5)), nil, nil, nil}, history0(got)); diff != "" {
			t.Errorf("the history when all is too old (-want +got):\n%s", diff)
		}

		good = fullSnapshot(time.Now().Add(20 * time.Second))
		good.Queue[0].Labels, good.Queue[1].Labels = []string{"big", ""}, []string{"", "yes"}
		time.Sleep(20 * time.Second)
		b.polled(good, seen, 30*time.Second, nil)
		got = status()
		wellKnown("after the recovery", got)
		if got.Drone.Trouble != nil || got.Drone.Stale || !*got.Drone.Up || got.Agent.PollInterval != 30 {
			t.Errorf("after the recovery: %+v, every %g s", got.Drone, got.Agent.PollInterval)
		}
		if last := history0(got); last[len(last)-1] == nil {
			t.Error("the history does not go on")
		}
	})
}

// history0 is the history of the first figure.
func history0(s statuspage.Status) []*int64 {
	var out []*int64
	for _, p := range s.Figures[0].History {
		out = append(out, p.Value)
	}
	return out
}

func TestHistory(t *testing.T) {
	cases := []struct {
		every       time.Duration
		least, most int
	}{
		{time.Second, 180, 182},
		{15 * time.Second, 180, 182},
		{20 * time.Second, 180, 182},
		{time.Minute, 60, 61},
		{5 * time.Minute, 12, 13},
		{2 * time.Hour, 1, 1},
	}
	for _, c := range cases {
		var h history
		now := goldenTime
		for range 1 + int(3*time.Hour/c.every) {
			now = now.Add(c.every)
			n := now.Unix()
			h.add(&instruments.Snapshot{
				Polled: now, Up: n%600 >= 60, PendingBuilds: instruments.Known(n), UserCount: instruments.Known(-n),
			}, 3*time.Hour)
		}
		if len(h.points) > c.most+1 {
			t.Errorf("polled every %s it keeps %d points", c.every, len(h.points))
		}
		got := h.of(0, now)
		if len(got) < c.least || len(got) > c.most {
			t.Errorf("polled every %s the hour has %d points, want %d to %d", c.every, len(got), c.least, c.most)
		}
		gaps := 0
		for i, p := range got {
			n := p.Time.Unix()
			if up := n%600 >= 60; up != (p.Value != nil) || up && *p.Value != n {
				t.Errorf("polled every %s, at %s: %v", c.every, p.Time, p.Value)
			}
			if p.Value == nil {
				gaps++
			} else if users := h.of(6, now)[i]; *users.Value != -n {
				t.Errorf("polled every %s, at %s: %d users", c.every, p.Time, *users.Value)
			}
			if now.Sub(p.Time) > time.Hour || p.Time.Location() != time.UTC ||
				i > 0 && n/20 <= got[i-1].Time.Unix()/20 {
				t.Errorf("polled every %s: point %d is of %s", c.every, i, p.Time)
			}
		}
		if c.every <= time.Minute && gaps == 0 {
			t.Errorf("polled every %s: no gaps where the polls failed", c.every)
		}
		if last := got[len(got)-1]; last.Time.Unix() != now.Unix() {
			t.Errorf("polled every %s: the last point is of %s, now is %s", c.every, last.Time, now)
		}
		if left := h.of(0, now.Add(time.Hour+time.Second)); len(left) != 0 {
			t.Errorf("polled every %s: %d points are there an hour later", c.every, len(left))
		}
	}
}

// TestBoardIsReadWhilePolled is for the race detector: pages are put together while polls change what is known.
func TestBoardIsReadWhilePolled(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		simulator := dronetest.NewSimulator(drone, 1)
		r := newRig(t, drone, everything)
		r.board = newBoard(time.Now, boardSettings, r.interval)
		r.mustPoll(t)
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for range 15 * 40 { // at the moments of the polls, too
					time.Sleep(time.Second)
					if _, err := json.Marshal(r.board.status(nil)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 40 {
			time.Sleep(r.interval)
			simulator.Step()
			r.mustPoll(t)
		}
		readers.Wait()
	})
}

func TestPushOf(t *testing.T) {
	at := goldenTime
	cases := []struct {
		name string
		push exporters.PushStatus
		want statuspage.Push
	}{
		{"off", exporters.PushStatus{State: exporters.PushOff}, statuspage.Push{State: "off"}},
		{"waiting", exporters.PushStatus{State: exporters.PushWaiting, Endpoint: "http://c:4317"},
			statuspage.Push{State: "waiting", Endpoint: "http://c:4317"}},
		{"ok", exporters.PushStatus{State: exporters.PushOK, Since: at, LastSuccess: at, Rejected: "some"},
			statuspage.Push{State: "ok", LastSuccess: to(at.UTC()), Rejected: "some"}},
		{"away", exporters.PushStatus{State: exporters.PushAway, Since: at, Err: errors.New("a\nb"), Hint: "do"},
			statuspage.Push{State: "away", Trouble: &statuspage.Trouble{Error: "a b", Cure: "do", Since: at.UTC()}}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, pushOf(c.push)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestHistoryOfNobody: where nothing was polled for longer than figures are told, the line has a gap.
func TestHistoryOfNobody(t *testing.T) {
	var h history
	now := goldenTime
	for _, pause := range []time.Duration{0, time.Minute, 44 * time.Minute, 15 * time.Second} {
		now = now.Add(pause)
		h.add(&instruments.Snapshot{Polled: now, Up: true, PendingBuilds: instruments.Known(1)}, time.Minute)
	}
	var got []int
	for _, p := range h.of(0, now) {
		minutes := int(now.Sub(p.Time) / time.Minute)
		if p.Value == nil {
			minutes = -minutes
		}
		got = append(got, minutes)
	}
	if diff := cmp.Diff([]int{45, 44, -43, 0}, got[:min(4, len(got))]); diff != "" {
		t.Errorf("minutes ago, below zero where it was not known (-want +got):\n%s", diff)
	}
}
