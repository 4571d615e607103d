package agent

import (
	"context"
	"errors"
	"sort"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// The tracker follows every build from its first sight to its end. A build that is new is put among the open
// ones of its repository, whatever its status says, and is asked about until Drone's answer shows that it has
// ended; that answer, with its stages and steps, is told, once. What is open is part of what survives a restart.

// follow counts the builds of a repository that are new, and follows them.
func (w *watcher) follow(ctx context.Context, r *repository) error {
	fresh, err := w.settle(ctx, r)
	for _, build := range fresh {
		r.watch(build)
	}
	return err
}

// askOpen asks about each open build of a repository whose turn it is.
func (w *watcher) askOpen(ctx context.Context, r *repository) error {
	now := w.now()
	var due []int64
	for number, open := range r.open {
		if w.queued(open) {
			open.askAgain = time.Time{} // when it leaves the queue it may have ended, however long it waited before
		} else if !now.Before(open.askAgain) {
			due = append(due, number)
		}
	}
	sort.Slice(due, func(i, j int) bool { return due[i] < due[j] })
	for _, number := range due {
		build, err := w.api.Build(ctx, r.Repo, number)
		var status *droneapi.HTTPError
		switch {
		case errors.As(err, &status) && status.Kind() == droneapi.NotFound:
			if err := w.lost(ctx, r, number); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			if before := r.open[number].before; r.update(build, w.now()) && !before {
				w.tell(r, build)
			} else if open := r.open[number]; open != nil {
				open.before = false // it will end while the agent looks on
			}
		}
	}
	return nil
}

// queued tells whether the queue speaks of the build, so that there is no need to ask; enterprise edition only.
func (w *watcher) queued(open *openBuild) bool {
	_, queued := w.enterprise.builds[open.id]
	return queued
}

// lostPages is how far back a build is looked for that Drone denies.
const lostPages = 3

// lost finds out what a 404 for an open build means. Drone answers so where the build was deleted, where it does
// not serve the repository, and where its database failed for a moment: only a list of the repository's builds
// that has no such build says that it is gone.
func (w *watcher) lost(ctx context.Context, r *repository, number int64) error {
	open, pages, found, below := r.open[number], 0, false, false
	_, err := w.list(ctx, r.Repo, droneapi.MaxBuildsPerPage, func(page []droneapi.Build) bool {
		pages++
		for _, build := range page {
			found = found || build.Number == number
			below = below || build.ID < open.id
		}
		return found || below || pages == lostPages
	})
	if err != nil {
		return err
	}
	if found || !below && pages == lostPages {
		open.askAgain = w.now().Add(min(idleMost, lostWait<<min(open.denied, 4)))
		open.denied++
		return nil
	}
	w.log.Info("an open build was deleted from drone's database", "repository", r.Slug, "build", number)
	delete(r.open, number)
	r.recount = true
	return nil
}

// lostWait is when a build is asked about again that Drone denied and listed; it doubles.
const lostWait = 5 * time.Second

// tell notes a build that ended. It is handed on when the poll is over.
func (w *watcher) tell(r *repository, build droneapi.Build) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := w.selection.name(r)
	told := finished(r, name, build)
	w.told = append(w.told, told)
	if told.DefaultBranch && build.Finished > 0 {
		r.ended(build.Number, build.Status, instruments.LastBuild{
			Success:  build.Status == droneapi.StatusSuccess,
			Duration: max(0, told.Finished.Sub(later(told.Started, told.Created))),
			Finished: told.Finished,
		})
	}
}

// ended takes a build of the default branch that has ended. They need not end in the order of their numbers.
func (r *repository) ended(number int64, status droneapi.Status, build instruments.LastBuild) {
	if number > r.lastNumber {
		r.lastNumber, r.last = number, &build
	}
	switch status {
	case droneapi.StatusSuccess:
		r.lastSucceeded = max(r.lastSucceeded, number)
	case droneapi.StatusFailure, droneapi.StatusError:
		// Of another branch it says nothing of this one.
		if f := r.lastFailed; f == nil || number > f.number || f.branch != r.DefaultBranch {
			r.lastFailed = &failedBuild{LastBuild: build, number: number, status: status, branch: r.DefaultBranch}
		}
	default:
	}
}

// takeTold returns the builds that were told since the last call, in the order in which they ended.
func (w *watcher) takeTold() []instruments.FinishedBuild {
	out := w.told
	w.told = nil
	for _, build := range out {
		w.tally.add(build.Repository, build.Status)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Finished.Before(out[j].Finished) })
	return out
}

// tally counts the builds that were told, by the name their repository goes under and by status. The maps
// inside are replaced, not changed: snapshots share them.
type tally map[string]map[string]int64

func (t tally) add(name, status string) {
	counts := map[string]int64{status: 1}
	for s, n := range t[name] {
		counts[s] += n
	}
	t[name] = counts
}
