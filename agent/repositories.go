package agent

import (
	"context"
	"time"

	"drone-otel-agent/droneapi"
)

// listRepositories asks for all repositories and takes over what changed.
func (w *watcher) listRepositories(ctx context.Context) error {
	listed, err := w.api.Repos(ctx)
	if err != nil {
		return err
	}
	if len(listed) > 0 && len(w.listed) == len(listed) && &listed[0] == &w.listed[0] {
		return nil // the client gave the same answer again
	}
	here := make(map[int64]bool, len(listed))
	for _, repo := range listed {
		here[repo.ID] = true
	}
	if w.listed != nil && w.doubtful(here) {
		return nil
	}
	first := w.listed == nil && !w.restored
	w.listed = listed
	for _, repo := range listed {
		if back := w.removed[repo.ID]; back != nil {
			w.repos[repo.ID] = back
			delete(w.removed, repo.ID)
		}
		known := w.repos[repo.ID]
		if known == nil {
			w.repos[repo.ID] = w.newRepository(repo, first)
			continue
		}
		if repo.Counter < known.Counter {
			w.log.Warn("a repository's counter went back, as after a restore of drone's database; its builds are counted anew",
				"repository", repo.Slug, "from", known.Counter, "to", repo.Counter)
			*known = *w.newRepository(repo, true)
			w.enterprise.due = time.Time{}
		}
		known.Repo = repo
	}
	for id, known := range w.repos {
		if !here[id] {
			w.removed[id] = known
			delete(w.repos, id)
		}
	}
	return nil
}

// doubtful tells whether a list of repositories is better asked for again: some that are known are missing in it, for
// the first time. Drone cuts a list short, with status 200, when its database fails in the middle of it.
func (w *watcher) doubtful(here map[int64]bool) bool {
	missing := 0
	for id := range w.repos {
		if !here[id] {
			missing++
		}
	}
	if w.doubted = missing > 0 && !w.doubted; w.doubted {
		w.log.Debug("repositories are missing in drone's list; asking again", "missing", missing, "listed", len(here))
		w.enterprise.polls = listEvery
	}
	return w.doubted
}

// newBuilds is, at an agent's first start, up to how many builds a repository may have that is seen for the first
// time after the first list, and is taken for new. One with more has a past: the first list was cut short, which Drone
// does not say.
const newBuilds = 25

// newRepository is one that is seen for the first time. Of one that was there before the agent nothing of the
// past is told, and its builds are in the exact total, or found by a census; of any other all is new.
func (w *watcher) newRepository(repo droneapi.Repo, before bool) *repository {
	if repo.Counter > newBuilds && !before && !w.restored {
		before = true
		w.enterprise.due = time.Time{}
	}
	out := &repository{Repo: repo, counted: !before, first: repo.Counter}
	if before && w.server.Edition == enterprise {
		out.ledger.settled = repo.Counter
	}
	w.touched[repo.ID] = out
	return out
}

// admit gives series of their own to repositories, once it is known how active they are.
func (w *watcher) admit() {
	if w.server.Edition == enterprise || w.restored || w.community.complete {
		w.selection.admit(w.repos)
	}
}

// sum is how many builds the repositories are known to have, those of removed ones included.
func (w *watcher) sum() int64 {
	out := int64(0)
	for _, repos := range []map[int64]*repository{w.repos, w.removed} {
		for _, r := range repos {
			out += r.stored()
		}
	}
	return out
}
