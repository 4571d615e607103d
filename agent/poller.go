package agent

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// poller polls, never twice at once, and publishes a snapshot after every poll.
type poller struct {
	watcher  *watcher
	interval time.Duration
	now      func() time.Time
	log      *slog.Logger
	// published is called with every new snapshot, from the poller's goroutine; nil is nobody.
	published func(*instruments.Snapshot)
	// finished is called with every build that ended, once; nil is nobody.
	finished func(instruments.FinishedBuild)
	// hold keeps the builds of the first poll back until the second, and with them what is written to the state:
	// after a restart Prometheus shall see the counters at zero before they have the builds of the meantime, or
	// their increase would be lost.
	hold bool
	// state keeps what must survive a restart.
	state *state

	// service is told of every poll, and gets the signs of life; nil is nobody.
	service *service
	// board is told of every poll; nil is nobody.
	board *board
	// next is a configuration to take over before the next poll, which wake brings forward.
	next atomic.Pointer[change]
	wake chan struct{}
	// polled is closed when the first poll has ended; nil is nobody's business.
	polled chan struct{}

	newest atomic.Pointer[instruments.Snapshot]
	// failures counts the polls that failed in a row, failing is when the first of them did, and said is what
	// was logged of it.
	failures int
	failing  time.Time
	said     string
}

// How the time between two polls is spread and stretched.
const (
	// jitter is the share by which an interval is made shorter or longer, so that several agents and other
	// clients of the server do not fall into step.
	jitter = 0.1
	// backOffMost bounds how many intervals pass between two polls while they fail.
	backOffMost = 4
	// retryAfterMost bounds the wait that a server may ask for.
	retryAfterMost = time.Hour
)

// run polls until the context ends.
func (p *poller) run(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		p.takeOver()
		started := p.now()
		err := p.poll(p.withSigns(ctx), started.Add(p.interval))
		if ctx.Err() != nil {
			return
		}
		if first && p.polled != nil {
			close(p.polled)
		}
		wait := p.pause(err) - p.now().Sub(started)
		if err != nil {
			wait = max(p.pause(err), droneapi.RetryAfter(err))
		}
		p.wait(ctx, min(retryAfterMost, max(0, wait)), min(retryAfterMost, droneapi.RetryAfter(err)))
	}
}

// wait waits, until there is a new configuration at most but no shorter than least, and gives signs of life.
func (p *poller) wait(ctx context.Context, d, least time.Duration) {
	over, began := time.NewTimer(d), p.now()
	defer over.Stop()
	var beat <-chan time.Time
	if p.service != nil {
		p.service.beat()
		if every := p.service.beatInterval(); every > 0 {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			beat = ticker.C
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case <-p.wake:
			if p.next.Load() != nil { // else it was taken over already
				over.Reset(max(0, least-p.now().Sub(began)))
			}
		case <-beat:
			p.service.beat()
		}
	}
}

// signsKey is the context's key for who wants a sign of life of each request that has ended.
type signsKey struct{}

// withSigns makes each request of a poll a sign of life: a poll may take long, no request may.
func (p *poller) withSigns(ctx context.Context) context.Context {
	if p.service == nil {
		return ctx
	}
	return context.WithValue(ctx, signsKey{}, p.service)
}

// sawAnswer gives the sign of life of a request of a poll; others give none.
func sawAnswer(ctx context.Context) {
	if s, of := ctx.Value(signsKey{}).(*service); of {
		s.beat()
	}
}

// pause is how long it is to the next poll.
func (p *poller) pause(err error) time.Duration {
	out := p.interval
	if err != nil {
		out *= time.Duration(min(backOffMost, 1<<min(p.failures-1, 8)))
	}
	return time.Duration(float64(out) * (1 - jitter + 2*jitter*rand.Float64()))
}

// poll polls once and publishes what came of it. After a failure what was known stays, marked as what it is.
func (p *poller) poll(ctx context.Context, budget time.Time) error {
	started := p.now()
	err := p.watcher.poll(ctx, budget)
	if p.hold = p.hold && p.newest.Load() == nil; !p.hold {
		p.tell()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ended := p.now()
	var next instruments.Snapshot
	var seen sight
	if err == nil {
		next = p.watcher.snapshot()
		seen = p.watcher.sight(&next)
		next.Up, next.Fresh = true, started
	} else if last := p.newest.Load(); last != nil {
		next = *last
		next.Up = false
	}
	next.Polled, next.PollDuration = ended, ended.Sub(started)
	p.newest.Store(&next)
	p.report(ctx, err, &next)
	if p.service != nil {
		p.service.polled(&next, err)
	}
	if p.board != nil {
		p.board.polled(&next, seen, p.interval, err)
	}
	if p.published != nil {
		p.published(&next)
	}
	return err
}

// tell hands on the builds that ended, also after a poll that failed half way, and writes down that it did.
func (p *poller) tell() {
	for _, build := range p.watcher.takeTold() {
		p.log.Debug("a build ended", "repository", build.Slug, "build", build.Number, "status", build.Status)
		if p.finished != nil {
			p.finished(build)
		}
	}
	changed := p.watcher.touched
	if p.watcher.touched = map[int64]*repository{}; p.state != nil && p.watcher.server != nil {
		maps.Copy(p.watcher.touched, p.state.save(p.watcher.server.Edition, changed))
	}
}

// report logs a failure once when it begins and again when it becomes another one, and its end.
func (p *poller) report(ctx context.Context, err error, s *instruments.Snapshot) {
	switch {
	case err == nil && p.failures > 0:
		p.log.Info("drone answers again", "after", s.Polled.Sub(p.failing).Round(time.Second), "failed_polls", p.failures)
		p.failures, p.said = 0, ""
	case err != nil:
		if p.failures == 0 {
			p.failing = s.Polled
		}
		p.failures++
		level := slog.LevelDebug
		// By what is to be done about it: the words of the error itself may hold a port number that changes.
		if advice := cure(err); advice != p.said {
			level, p.said = slog.LevelError, advice
		}
		p.log.Log(ctx, level, "polling drone failed", "error", err, "cure", cure(err))
		return
	}
	p.log.Debug("polled drone", append([]any{"took", s.PollDuration.Round(time.Millisecond)}, Figures(s)...)...)
}

// Figures returns the seven figures of a snapshot as pairs for slog: a number, or "unknown".
func Figures(s *instruments.Snapshot) []any {
	figure := func(c instruments.Count) any {
		if n, known := c.Get(); known {
			return n
		}
		return "unknown"
	}
	return []any{
		"builds", figure(s.BuildCount), "users", figure(s.UserCount), "repos", figure(s.RepoCount),
		"pending_builds", figure(s.PendingBuilds), "pending_jobs", figure(s.PendingJobs),
		"running_builds", figure(s.RunningBuilds), "running_jobs", figure(s.RunningJobs),
	}
}
