package agent

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"time"

	"drone-otel-agent/droneapi"
)

// The census finds how many builds of a repository Drone stores, without reading them: the counter is only
// an upper bound where builds were purged or never stored. With one build a page, the page of number n is
// empty exactly when fewer than n builds are stored.

// censusPage is how many of the newest builds the census reads of a repository: enough to hold the open
// builds of most, and to count the small ones at once.
const censusPage = 10

// justNow is how long ago a build may have been created for a missing number beside it to be one that is
// still being stored, rather than one that never was.
const justNow = 5 * time.Minute

// census is what one look at a repository found.
type census struct {
	builds int64
	// newest is the id of the build that was stored last.
	newest int64
	// listed are the newest builds, back to the lookback at least.
	listed []droneapi.Build
	ledger ledger
}

// take looks at one repository: two requests, unless builds are missing or many were made lately.
func (w *watcher) take(ctx context.Context, repo droneapi.Repo) (census, error) {
	listed, err := w.listSince(ctx, repo, w.now().Add(-w.cfg.Lookback))
	if err != nil {
		return census{}, err
	}
	out := census{}
	top := repo.Counter
	for _, build := range listed {
		top, out.newest = max(top, build.Number), max(out.newest, build.ID)
	}
	if len(listed) < censusPage {
		out.builds = int64(len(listed))
		if more, err := w.more(ctx, repo, out.builds); err != nil || more {
			return census{}, cmp.Or(err, errNotNow)
		}
	} else if out.builds, err = w.stored(ctx, repo, int64(len(listed)), top, noGuess); err != nil {
		return census{}, err
	}
	out.listed = listed
	out.ledger = w.awaiting(listed, top)
	return out, nil
}

// more tells whether there are more builds than a short list has: Drone cuts one short, with status 200, when its
// database fails in the middle of it. Where the list has as many as were announced there is no need to ask.
func (w *watcher) more(ctx context.Context, repo droneapi.Repo, listed int64) (bool, error) {
	if listed >= repo.Counter {
		return false, nil
	}
	builds, err := w.api.Builds(ctx, repo, int(listed)+1, 1)
	return len(builds) > 0, err
}

// awaiting is the ledger of a repository whose builds were just counted: the numbers that are being stored
// at this moment are not decided on yet.
func (w *watcher) awaiting(listed []droneapi.Build, top int64) ledger {
	out := ledger{settled: top}
	recent := w.now().Add(-justNow).Unix()
	above := top + 1
	for _, build := range listed {
		out.awaitAll(build.Number+1, above-1)
		if above = build.Number; build.Created < recent {
			return out
		}
	}
	if len(listed) == 0 && top > 0 {
		out.await(top) // the only one that may be on its way, the others were removed or never came
	}
	return out
}

// listSince lists a repository's newest builds, each once, the newest first: one short page, and more where
// that does not reach back to since.
func (w *watcher) listSince(ctx context.Context, repo droneapi.Repo, since time.Time) ([]droneapi.Build, error) {
	old := func(page []droneapi.Build) bool { return page[len(page)-1].Created < since.Unix() }
	enough := false
	listed, err := w.list(ctx, repo, censusPage, func(page []droneapi.Build) bool {
		enough = old(page)
		return true
	})
	if err != nil || len(listed) < censusPage || enough {
		return listed, err
	}
	return w.list(ctx, repo, droneapi.MaxBuildsPerPage, old)
}

// list reads pages of builds from the newest on until one is short or enough says so. Drone lists them in the
// order in which they were stored; the result has them by number, and each once, however the pages overlapped
// while builds were added.
func (w *watcher) list(ctx context.Context, repo droneapi.Repo, perPage int, enough func([]droneapi.Build) bool,
) ([]droneapi.Build, error) {
	var out []droneapi.Build
	seen := map[int64]bool{}
	for page := 1; ; page++ {
		builds, err := w.api.Builds(ctx, repo, page, perPage)
		if err != nil {
			return nil, err
		}
		for _, build := range builds {
			if !seen[build.Number] {
				seen[build.Number] = true
				out = append(out, build)
			}
		}
		if last := len(builds) > 0 && enough(builds); last || len(builds) < perPage {
			sort.Slice(out, func(i, j int) bool { return out[i].Number > out[j].Number })
			return out, nil
		}
	}
}

// noGuess is the guess of stored where there is none.
const noGuess = -1

// stored finds how many builds are stored, between least, which is known to be reached, and top. The guess
// is tried first.
func (w *watcher) stored(ctx context.Context, repo droneapi.Repo, least, top, guess int64) (int64, error) {
	reached := func(n int64) (bool, error) {
		builds, err := w.api.Builds(ctx, repo, int(n), 1)
		return len(builds) > 0, err
	}
	// least is reached and beyond is not, at every step.
	beyond := top + 1
	probe := func(n int64) error {
		if n <= least || n >= beyond {
			return nil
		}
		yes, err := reached(n)
		if yes {
			least = n
		} else {
			beyond = n
		}
		return err
	}
	first := top
	if guess != noGuess {
		first = min(guess+1, top)
	}
	if err := probe(first); err != nil {
		return 0, err
	}
	if err := probe(guess); err != nil {
		return 0, err
	}
	for beyond-least > countPage {
		if err := probe(least + (beyond-least)/2); err != nil {
			return 0, err
		}
	}
	for beyond-least > 1 {
		page := least/countPage + 1 // the one that holds build least+1
		builds, err := w.api.Builds(ctx, repo, int(page), countPage)
		if err != nil {
			return 0, err
		}
		if least = (page-1)*countPage + int64(len(builds)); len(builds) < countPage {
			break
		}
	}
	return least, nil
}

// countPage is how many builds are listed to end a search whose range is no larger: one page or two in place
// of half a dozen single builds.
const countPage = 50

// count takes the first census of a repository. Where builds are missing, one that is stored while the
// search goes on would be counted by it and again when its number is seen, so the newest number must be the
// same before and after.
//
// Where the agent knows the repository's ledger already, new builds are followed first, and the ledger stays.
func (w *watcher) count(ctx context.Context, r *repository) error {
	const tries = 3
	followed := r.ledger.settled > 0
	if followed {
		if err := w.follow(ctx, r); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		found, err := w.take(ctx, r.Repo)
		if err != nil {
			return err
		}
		if searched := found.builds >= censusPage && found.builds < found.ledger.settled; searched && try < tries {
			if steady, err := w.steady(ctx, r.Repo, found.newest); err != nil {
				return err
			} else if !steady {
				continue
			}
		}
		if followed && found.ledger.settled > r.ledger.settled {
			return errNotNow // a build came in between; the next poll finds it
		}
		r.builds, r.counted, r.recount = found.builds, true, false
		if !followed {
			r.ledger = found.ledger
		}
		for _, build := range found.listed {
			r.newest = later(r.newest, unix(build.Created))
			switch {
			case r.open[build.Number] != nil:
			case !followed && build.Number > r.first: // it came after the agent
				r.watch(build)
			case mayBeOpen(build):
				r.watch(build).before = build.Status.Final()
			}
		}
		return nil
	}
}

// steady tells whether the build that was stored last is still the one with this id.
func (w *watcher) steady(ctx context.Context, repo droneapi.Repo, newest int64) (bool, error) {
	builds, err := w.api.Builds(ctx, repo, 1, 1)
	return err == nil && len(builds) > 0 && builds[0].ID == newest, err
}

// countAgain checks the number of builds that the agent has arrived at: one request where no build is
// missing, two where as many are as before. Where the number is another, builds were purged or deleted, or
// one came this moment; only the former is taken over.
func (w *watcher) countAgain(ctx context.Context, r *repository) error {
	found, err := w.stored(ctx, r.Repo, 0, r.ledger.settled, r.builds)
	if err != nil {
		return err
	}
	if found != r.builds {
		if newest, err := w.api.Builds(ctx, r.Repo, 1, 1); err != nil {
			return err
		} else if len(newest) > 0 && newest[0].Number > r.ledger.settled || len(r.ledger.awaited) > 0 {
			return nil // looked at again in the next poll
		}
		if found > r.builds {
			w.log.Info("drone stored builds long after it announced them, or its database was restored; counting anew",
				"repository", r.Slug, "counted", r.builds, "stored", found)
			return w.count(ctx, r)
		}
		w.log.Info("builds were removed from drone's database", "repository", r.Slug,
			"counted", r.builds, "stored", found)
	}
	r.builds, r.recount = found, false
	return nil
}

// settle looks up the numbers of a repository that are not decided on, counts the builds that are there now
// and returns them.
func (w *watcher) settle(ctx context.Context, r *repository) ([]droneapi.Build, error) {
	lowest, open := r.ledger.lowest(r.Counter)
	if !open {
		return nil, nil
	}
	perPage := int(min(droneapi.MaxBuildsPerPage, max(censusPage, r.Counter-lowest+2)))
	listed, err := w.list(ctx, r.Repo, perPage, func(page []droneapi.Build) bool {
		return page[len(page)-1].Number <= lowest
	})
	if err != nil {
		return nil, err
	}
	fresh := r.ledger.settle(listed, r.Counter, w.round, patience(w.cfg.Interval))
	r.builds += int64(len(fresh))
	for _, build := range fresh {
		if !build.Status.Known() {
			w.log.Warn("drone names a status that this version does not know; the build is taken for open",
				"repository", r.Slug, "build", build.Number, "status", fmt.Sprintf("%.40q", build.Status))
		}
	}
	return fresh, nil
}
