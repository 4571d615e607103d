package agent

import (
	"context"
	"errors"
	"net/http"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// On the community edition there is no queue and no total. One request lists the repositories; the builds
// are listed of those whose counter moved, and every open build is asked about until it has ended. At the
// start a census finds the open builds and how many builds there are.

// communityState is what is known beside the repositories.
type communityState struct {
	// complete tells that every repository has been counted since the start, and recount is when all are to
	// be counted again.
	complete bool
	recount  time.Time
	// nested is how many repositories were found that Drone does not serve because of their namespace.
	nested int
}

// work is what one poll has to do, besides asking about the open builds.
type work struct {
	// moved have numbers that are not decided on; uncounted need a census; doubted are counted again.
	moved, uncounted, doubted []*repository
}

func (w *watcher) pollCommunity(ctx context.Context, budget time.Time) error {
	if err := w.listRepositories(ctx); err != nil {
		return err
	}
	todo := w.sort()
	if err := w.each(ctx, todo.moved, w.settleAndWatch); err != nil {
		return err
	}
	if err := w.each(ctx, todo.uncounted, w.within(budget, w.count)); err != nil {
		return err
	}
	if err := w.each(ctx, todo.doubted, w.within(budget, w.countAgain)); err != nil {
		return err
	}
	var open []*repository
	for _, r := range w.repos {
		if len(r.open) > 0 && r.refusals == 0 {
			open = append(open, r)
		}
	}
	if err := w.each(ctx, open, w.askOpen); err != nil {
		return err
	}
	w.noteProgress(len(todo.uncounted))
	return nil
}

// within does the work only until the budget is used up; the rest is found undone by the next poll.
func (w *watcher) within(budget time.Time, do func(context.Context, *repository) error,
) func(context.Context, *repository) error {
	return func(ctx context.Context, r *repository) error {
		if !budget.IsZero() && w.now().After(budget) {
			return nil
		}
		return do(ctx, r)
	}
}

// sort finds what is to be done, and counts by their counter the repositories that Drone does not serve.
func (w *watcher) sort() work {
	var (
		out    work
		now    = w.now()
		all    = w.community.complete && !now.Before(w.community.recount)
		nested int
		some   string
	)
	for _, r := range w.repos {
		r.recount = r.recount || all
		_, unsettled := r.ledger.lowest(r.Counter)
		switch {
		case r.nested():
			nested, some = nested+1, r.Slug
			r.countByCounter()
		case !r.readable(now):
			if r.counted && unsettled {
				r.countByCounter()
			}
		case r.Counter == 0:
			r.counted, r.recount = true, false
		case !r.counted || r.refusals > 0:
			out.uncounted = append(out.uncounted, r)
		case unsettled:
			out.moved = append(out.moved, r)
		case r.recount:
			out.doubted = append(out.doubted, r)
		}
	}
	if all {
		w.community.recount = now.Add(w.cfg.RecountInterval)
	}
	if nested != w.community.nested {
		w.log.Warn("drone does not serve repositories whose namespace holds a slash; their builds are counted by the "+
			"counter alone, and their open builds are not seen", "repositories", nested, "example", some)
		w.community.nested = nested
	}
	return out
}

func (w *watcher) settleAndWatch(ctx context.Context, r *repository) error {
	fresh, err := w.settle(ctx, r)
	for _, build := range fresh {
		r.watch(build)
	}
	return err
}

// askOpen asks about each open build of a repository whose turn it is.
func (w *watcher) askOpen(ctx context.Context, r *repository) error {
	for number, open := range r.open {
		if w.now().Before(open.askAgain) {
			continue
		}
		build, err := w.api.Build(ctx, r.Repo, number)
		var status *droneapi.HTTPError
		switch {
		case errors.As(err, &status) && status.Status == http.StatusNotFound:
			// The build was deleted, or the repository moved; the count finds out which.
			delete(r.open, number)
			r.recount = true
		case err != nil:
			return err
		default:
			r.update(build, w.now())
		}
	}
	return nil
}

// noteProgress tells of the first census, which may take many polls.
func (w *watcher) noteProgress(todo int) {
	left := 0
	for _, r := range w.repos {
		if !r.counted {
			left++
		}
	}
	switch {
	case left > 0:
		w.log.Info("counting the builds of every repository; drone_build_count and the queue's gauges follow when it is done",
			"counted", len(w.repos)-left, "repositories", len(w.repos))
	case !w.community.complete:
		w.community.complete = true
		w.community.recount = w.now().Add(w.cfg.RecountInterval)
		if todo > 0 {
			w.log.Info("counted the builds of every repository", "repositories", len(w.repos), "builds", w.sum())
		}
	}
}

// tellCommunity fills in what the repositories and their open builds say, once all have been looked at.
func (w *watcher) tellCommunity(out *instruments.Snapshot) {
	var pendingBuilds, runningBuilds, pendingJobs, runningJobs int64
	blind := false
	for _, r := range w.repos {
		if !r.counted {
			return
		}
		blind = blind || r.blind()
		for _, open := range r.open {
			pendingJobs += open.pending
			runningJobs += open.running
			if open.pending > 0 {
				pendingBuilds++
			}
			if open.running > 0 {
				runningBuilds++
			}
		}
	}
	out.BuildCount = instruments.Known(w.sum())
	if blind {
		return
	}
	out.PendingBuilds, out.RunningBuilds = instruments.Known(pendingBuilds), instruments.Known(runningBuilds)
	out.PendingJobs, out.RunningJobs = instruments.Known(pendingJobs), instruments.Known(runningJobs)
}
