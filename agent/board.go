package agent

import (
	"sync"
	"time"

	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
	"drone-otel-agent/statuspage"
)

// board is what people see: it keeps what each poll tells of builds and failures by name, which no metric has, and the
// last hour of the figures. All methods may be called at the same time.
type board struct {
	now      func() time.Time
	settings func() instruments.Settings
	started  time.Time

	mu sync.Mutex
	// newest is what the metrics show, too, and sight what goes with it.
	newest *instruments.Snapshot
	sight  sight
	// interval is the time between two polls.
	interval time.Duration
	// trouble is why the last poll failed, nil where it did not.
	trouble *statuspage.Trouble
	history history
}

// sight is what a poll saw for people. What it holds is not changed.
type sight struct {
	builds   *statuspage.Builds
	failures []statuspage.Failure
}

// newBoard is one before the first poll; interval is the time between two. settings must not block.
func newBoard(now func() time.Time, settings func() instruments.Settings, interval time.Duration) *board {
	return &board{now: now, settings: settings, started: now(), interval: interval}
}

// polled takes what is known after a poll. A failed one leaves what was seen before.
func (b *board) polled(newest *instruments.Snapshot, seen sight, interval time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest, b.interval = newest, interval
	b.history.add(newest, b.settings().StaleAfter)
	if err == nil {
		b.sight, b.trouble = seen, nil
		return
	}
	since := moment(newest.Polled)
	if b.trouble != nil {
		since = b.trouble.Since
	}
	b.trouble = &statuspage.Trouble{Error: oneLine(err), Cure: cure(err), Since: since}
}

// status puts together what is known of Drone. What is too old is not told. labels are the names of what the queue is
// split by.
func (b *board) status(labels []string) statuspage.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, settings := b.now(), b.settings()
	out := statuspage.Status{
		Time: moment(now),
		Agent: statuspage.Agent{
			Started: moment(b.started), PollInterval: b.interval.Seconds(), ConfigurationRefused: settings.Refused,
		},
		Drone: statuspage.Drone{Trouble: b.trouble},
	}
	s := b.newest
	if s == nil {
		s = &instruments.Snapshot{}
	} else {
		took := s.PollDuration.Seconds()
		out.Drone.Up, out.Drone.Polled, out.Drone.PollSeconds = &s.Up, momentOf(s.Polled), &took
	}
	if s.Server != nil {
		out.Drone.Version, out.Drone.Edition = s.Server.Version, s.Server.Edition
	}
	stale := s.Stale(now, settings)
	out.Drone.Fresh = momentOf(s.Fresh)
	out.Drone.Stale = stale && out.Drone.Fresh != nil
	for i, f := range figures(s) {
		shown := statuspage.Figure{Name: f.name, History: b.history.of(i, now)}
		if !stale {
			shown.Value = known(f.count)
		}
		out.Figures = append(out.Figures, shown)
	}
	if stale {
		return out
	}
	if r := s.Repositories; r != nil {
		out.Repositories = &statuspage.Repositories{
			Active: r.Active, Inactive: r.Inactive, Unreachable: r.Unreachable, Folded: r.Folded,
		}
	}
	out.Queue = queueOf(s, labels)
	out.Builds, out.Failures = b.sight.builds, b.sight.failures
	return out
}

// figure is one of Drone's own seven.
type figure struct {
	name  string
	count instruments.Count
}

// figures are the seven, in the order in which people look at them.
func figures(s *instruments.Snapshot) []figure {
	return []figure{
		{"drone_pending_builds", s.PendingBuilds}, {"drone_pending_jobs", s.PendingJobs},
		{"drone_running_builds", s.RunningBuilds}, {"drone_running_jobs", s.RunningJobs},
		{"drone_build_count", s.BuildCount}, {"drone_repo_count", s.RepoCount}, {"drone_user_count", s.UserCount},
	}
}

// known is a count as the status has them.
func known(c instruments.Count) *int64 {
	n, is := c.Get()
	if !is {
		return nil
	}
	return &n
}

// queueOf is the queue of a snapshot as the status has it; labels are the names of what it is split by.
func queueOf(s *instruments.Snapshot, labels []string) []statuspage.Platform {
	if s.Queue == nil {
		return nil
	}
	out := make([]statuspage.Platform, 0, len(s.Queue))
	for _, p := range s.Queue {
		one := statuspage.Platform{
			OS: p.OS, Arch: p.Arch, Type: p.Type, Jobs: statuspage.Jobs{Pending: p.Pending, Running: p.Running},
			Oldest: momentOf(p.Oldest),
		}
		if len(labels) > 0 {
			one.Labels = map[string]string{}
		}
		for i, label := range labels {
			one.Labels[label] = p.Labels[i]
		}
		out = append(out, one)
	}
	return out
}

// moment is a time as the status has them: in UTC, and no finer than programs can be expected to read.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// momentOf is one that may not be known: nil for the zero time.
func momentOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	out := moment(t)
	return &out
}

// pushOf is the state of the push as the status has it.
func pushOf(p exporters.PushStatus) statuspage.Push {
	out := statuspage.Push{
		State: string(p.State), Endpoint: p.Endpoint, LastSuccess: momentOf(p.LastSuccess), Rejected: p.Rejected,
	}
	if p.Err != nil {
		out.Trouble = &statuspage.Trouble{Error: oneLine(p.Err), Cure: p.Hint, Since: moment(p.Since)}
	}
	return out
}
