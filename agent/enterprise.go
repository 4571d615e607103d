package agent

import (
	"context"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// On the enterprise edition one request, the queue, tells every stage that waits or runs. The repositories
// are listed only when a build came to the queue or left it, and every so often for builds too short to be
// seen there.

// listEvery is after how many polls the repositories are listed although the queue gives no reason.
const listEvery = 4

// countTries is how often in a row an exact total is asked for that builds keep running away from, and
// countSoon when it is asked for again then.
const (
	countTries = 3
	countSoon  = time.Minute
)

// enterpriseState is what is known beside the repositories.
type enterpriseState struct {
	// seen tells that there is a queue, and builds holds the statuses of the stages in it, by build id.
	seen   bool
	builds map[int64]stageCount
	// polls counts since the repositories were last listed.
	polls int

	// offset is what the exact total said more than the builds seen to come (see watcher.sum).
	offset int64
	// due is when the next exact total is to be asked for, the zero time where there was none yet.
	due time.Time
}

// stageCount counts stages by status.
type stageCount struct{ pending, running int64 }

func (w *watcher) pollEnterprise(ctx context.Context, stages []droneapi.Stage) error {
	state := &w.enterprise
	builds := map[int64]stageCount{}
	for _, stage := range stages {
		n := builds[stage.BuildID]
		switch stage.Status {
		case droneapi.StatusPending:
			n.pending++
		case droneapi.StatusRunning:
			n.running++
		default:
			w.log.Debug("a stage in drone's queue is neither pending nor running and counts as neither",
				"stage", stage.ID, "status", stage.Status)
		}
		builds[stage.BuildID] = n
	}
	moved := !state.seen || !sameKeys(state.builds, builds)
	state.polls++
	if moved || state.polls >= listEvery || w.listed == nil {
		if err := w.listRepositories(ctx); err != nil {
			return err
		}
		state.polls = 0
	}
	// The queue is only taken for seen once the repositories have been listed for it: where that failed, the
	// next poll shall see that it moved.
	state.seen, state.builds = true, builds
	if err := w.settleEnterprise(ctx); err != nil {
		return err
	}
	if !w.now().Before(state.due) {
		return w.total(ctx)
	}
	return nil
}

func sameKeys(a, b map[int64]stageCount) bool {
	if len(a) != len(b) {
		return false
	}
	for id := range a {
		if _, both := b[id]; !both {
			return false
		}
	}
	return true
}

// settleEnterprise counts the builds that came since the exact total.
func (w *watcher) settleEnterprise(ctx context.Context) error {
	var open []*repository
	first := w.enterprise.due.IsZero()
	for _, r := range w.repos {
		if !r.counted && first {
			// All that is there already will be in the total.
			r.ledger = ledger{settled: r.Counter}
		}
		r.counted = true
		switch _, unsettled := r.ledger.lowest(r.Counter); {
		case !unsettled:
		case r.readable(w.now()):
			open = append(open, r)
		default:
			r.countByCounter()
		}
	}
	return w.each(ctx, open, func(ctx context.Context, r *repository) error {
		_, err := w.settle(ctx, r)
		return err
	})
}

// total asks for the exact number of builds. It holds for one moment, so it is of use where no build came
// while it was made out: the repositories are listed before and after, and another total is asked for where
// the builds have moved on in between. On a server so busy that this never holds, one is taken that can be
// wrong by the builds of that second, unless the count so far agrees with it, and a better one is asked for soon.
func (w *watcher) total(ctx context.Context) error {
	state := &w.enterprise
	for try := 1; ; try++ {
		asked, before := w.now(), w.sum()
		stats, err := w.api.Stats(ctx)
		if err != nil {
			return err
		}
		if err := w.listRepositories(ctx); err != nil {
			return err
		}
		if err := w.settleEnterprise(ctx); err != nil {
			return err
		}
		after := w.sum()
		switch {
		case before == after:
			state.offset, state.due = stats.Builds-after, asked.Add(w.cfg.RecountInterval)
			return nil
		case try < countTries:
			continue
		}
		agrees := !state.due.IsZero() && state.offset+before <= stats.Builds && stats.Builds <= state.offset+after
		if !agrees {
			state.offset = stats.Builds - after
		}
		state.due = asked.Add(min(countSoon, w.cfg.RecountInterval))
		return nil
	}
}

// tellEnterprise fills in what the queue and the total say.
func (w *watcher) tellEnterprise(out *instruments.Snapshot) {
	var pendingBuilds, runningBuilds, pendingJobs, runningJobs int64
	for _, n := range w.enterprise.builds {
		pendingJobs += n.pending
		runningJobs += n.running
		if n.pending > 0 {
			pendingBuilds++
		}
		if n.running > 0 {
			runningBuilds++
		}
	}
	out.PendingBuilds, out.RunningBuilds = instruments.Known(pendingBuilds), instruments.Known(runningBuilds)
	out.PendingJobs, out.RunningJobs = instruments.Known(pendingJobs), instruments.Known(runningJobs)
	if !w.enterprise.due.IsZero() {
		out.BuildCount = instruments.Known(w.enterprise.offset + w.sum())
	}
}
