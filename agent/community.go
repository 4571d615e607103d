package agent

import (
	"context"
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
	w.admit()
	todo := w.sort()
	if err := w.each(ctx, todo.moved, w.follow); err != nil {
		return err
	}
	if err := w.each(ctx, todo.uncounted, w.within(budget, w.count)); err != nil {
		return err
	}
	if err := w.each(ctx, todo.doubted, w.within(budget, w.countAgain)); err != nil {
		return err
	}
	// During the first census nothing is shown of the open builds, so there is no hurry to ask about them.
	if left := w.uncounted(); left == 0 {
		if err := w.askAllOpen(ctx); err != nil {
			return err
		}
	}
	w.noteProgress(len(todo.uncounted))
	w.admit()
	return nil
}

// within does the work only until the budget is used up; the rest is found undone by the next poll.
func (w *watcher) within(budget time.Time, do func(context.Context, *repository) error,
) func(context.Context, *repository) error {
	return func(ctx context.Context, r *repository) error {
		if !budget.IsZero() && w.now().After(budget) {
			return errNotNow
		}
		return do(ctx, r)
	}
}

// sort finds what is to be done.
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
		case !r.readable(now):
		case r.Counter == 0:
			r.counted, r.recount = true, false
		case !r.counted:
			out.uncounted = append(out.uncounted, r)
		case unsettled:
			out.moved = append(out.moved, r)
		case r.recount || r.refusals > 0:
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

// uncounted is how many repositories the first census has not counted yet.
func (w *watcher) uncounted() int {
	left := 0
	for _, r := range w.repos {
		if !r.known() {
			left++
		}
	}
	return left
}

// noteProgress tells of the first census, which may take many polls.
func (w *watcher) noteProgress(todo int) {
	switch left := w.uncounted(); {
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
	var stages []droneapi.Stage
	blind := false
	for _, r := range w.repos {
		if !r.known() {
			return
		}
		blind = blind || r.blind()
		for _, open := range r.open {
			stages = append(stages, open.stages...)
		}
	}
	out.BuildCount = instruments.Known(w.sum())
	l := w.countLive(stages)
	if !blind {
		w.tellLive(out, l)
	}
	w.tellRepos(out, l, !blind)
}
