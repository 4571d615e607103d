package agent

import (
	"context"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// On the enterprise edition one request, the queue, tells every stage that waits or runs. The repositories
// are listed only when a build came to the queue or left it, and every so often for builds too short to be
// seen there. A build is asked about when the queue no longer speaks of it.

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
	// seen tells that there is a queue; stages are those in it, and builds the ids of their builds with that
	// of the repository.
	seen   bool
	stages []droneapi.Stage
	builds map[int64]int64
	// strays are the builds in the queue that were looked for among those of their repository in vain, with
	// the number of times.
	strays map[int64]int
	// polls counts since the repositories were last listed.
	polls int

	// offset is what the exact total said more than the builds seen to come (see watcher.sum).
	offset int64
	// due is when the next exact total is to be asked for, the zero time where there was none yet.
	due time.Time
	// retry is when it may be asked for again after it failed, and failed how often in a row it did.
	retry  time.Time
	failed int
	// orphans are the builds in the queue, by id, that Drone does not store: it kept their stages when it removed
	// them. Their stages count as jobs, as Drone counts them, and make no builds.
	orphans map[int64]bool
}

func newEnterpriseState() enterpriseState {
	return enterpriseState{orphans: map[int64]bool{}}
}

func (w *watcher) pollEnterprise(ctx context.Context, stages []droneapi.Stage) error {
	state := &w.enterprise
	builds := map[int64]int64{}
	for _, stage := range stages {
		builds[stage.BuildID] = stage.RepoID
	}
	moved := !state.seen || !sameKeys(state.builds, builds)
	state.polls++
	if moved || state.polls >= listEvery || w.listed == nil {
		state.polls = 0
		if err := w.listRepositories(ctx); err != nil {
			return err
		}
	}
	// The queue is only taken for seen once the repositories have been listed for it: where that failed, the
	// next poll shall see that it moved.
	state.seen, state.builds, state.stages = true, builds, stages
	w.admit()
	if err := w.settleEnterprise(ctx); err != nil {
		return err
	}
	if err := w.findStrays(ctx); err != nil {
		return err
	}
	if err := w.askAllOpen(ctx); err != nil {
		return err
	}
	if w.now().Before(state.due) || w.now().Before(state.retry) {
		return nil
	}
	err := w.total(ctx)
	if err == nil {
		state.failed = 0
		return nil
	}
	alone := w.beside(err, "counting all builds", &state.failed)
	if alone || late(err) {
		state.retry = w.now().Add(besideWait)
	}
	if !alone {
		return err
	}
	if state.failed >= besideTries {
		state.due = time.Time{}
	}
	return nil
}

func sameKeys(a, b map[int64]int64) bool {
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
	now := w.now()
	for _, r := range w.repos {
		r.counted = true
		if _, unsettled := r.ledger.lowest(r.Counter); (unsettled || r.refusals > 0) && r.readable(now) {
			open = append(open, r)
		}
	}
	return w.each(ctx, open, func(ctx context.Context, r *repository) error {
		if _, unsettled := r.ledger.lowest(r.Counter); !unsettled {
			_, err := w.api.Builds(ctx, r.Repo, 1, 1) // only to see whether it is served again
			return err
		}
		return w.follow(ctx, r)
	})
}

// strayTries is how often a build of the queue is looked for among those of its repository, and strayPages how
// far back.
const (
	strayTries = 3
	strayPage  = 25
	strayPages = 3
)

// findStrays looks for the builds that the queue speaks of and that are not followed: those that were open
// before the agent came, and those that waited for approval then.
func (w *watcher) findStrays(ctx context.Context) error {
	followed := map[int64]bool{}
	for _, r := range w.repos {
		for _, open := range r.open {
			followed[open.id] = true
		}
	}
	strays := map[int64]int{}
	wanted := map[int64][]int64{}
	var repos []*repository
	for id, owner := range w.enterprise.builds {
		r := w.repos[owner]
		if followed[id] || w.enterprise.orphans[id] || r == nil || !r.readable(w.now()) {
			continue
		}
		if strays[id] = w.enterprise.strays[id] + 1; strays[id] > strayTries {
			continue
		}
		if len(wanted[owner]) == 0 {
			repos = append(repos, r)
		}
		wanted[owner] = append(wanted[owner], id)
	}
	w.enterprise.strays = strays
	for id := range w.enterprise.orphans {
		if _, queued := w.enterprise.builds[id]; !queued {
			delete(w.enterprise.orphans, id)
		}
	}
	return w.each(ctx, repos, func(ctx context.Context, r *repository) error {
		return w.findBuilds(ctx, r, wanted[r.ID])
	})
}

// findBuilds follows the builds of a repository that have these ids, if they are among its newest.
func (w *watcher) findBuilds(ctx context.Context, r *repository, ids []int64) error {
	missing := map[int64]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	found, pages, full := 0, 0, false
	listed, err := w.list(ctx, r.Repo, strayPage, func(page []droneapi.Build) bool {
		pages++
		for _, build := range page {
			if missing[build.ID] {
				found++
			}
		}
		full = len(page) == strayPage
		return found == len(missing) || pages == strayPages
	})
	if err != nil {
		return err
	}
	oldest := int64(0)
	for _, build := range listed {
		if oldest == 0 || build.ID < oldest {
			oldest = build.ID
		}
		if missing[build.ID] {
			delete(missing, build.ID)
			r.watch(build)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range missing {
		// Drone lists builds in the order of their ids: what is not between those that it lists is not stored.
		// One list may have been cut short, so several must agree.
		if (id > oldest || !full) && w.enterprise.strays[id] == strayTries {
			w.enterprise.orphans[id] = true
		}
	}
	return nil
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
		if err := w.listRepositories(ctx); err != nil || w.doubted {
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
	l := w.countLive(w.enterprise.stages)
	for id := range w.enterprise.orphans {
		l.forget(id, w.enterprise.builds[id])
	}
	w.tellLive(out, l)
	w.tellRepos(out, l, true)
	if !w.enterprise.due.IsZero() {
		out.BuildCount = instruments.Known(w.enterprise.offset + w.sum())
	}
}
