package agent

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
	"drone-otel-agent/statuspage"
)

// How many builds of each state and how many failures people are shown.
const (
	shownBuilds   = 100
	shownFailures = 20
)

// sight is what people are told beside the snapshot: which builds have not ended, and where default branches failed.
// It is known where the snapshot's own figures of it are.
func (w *watcher) sight(s *instruments.Snapshot) sight {
	var out sight
	if s.Oldest != nil {
		out.builds = w.openBuilds()
	}
	if s.Repos != nil {
		out.failures = w.lastFailures()
	}
	return out
}

// named is the name that people are shown of a repository, and whether it is the repository's own. One that the
// configuration excludes from the metrics is not named here either.
func (w *watcher) named(r *repository) (name string, own bool) {
	if r == nil || !w.selection.matches(r.Slug) {
		return instruments.Other, false
	}
	return r.Slug, true
}

// buildURL is the page of a build in Drone.
func (w *watcher) buildURL(slug string, number int64) string {
	parts := strings.Split(slug, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.TrimSuffix(w.api.Server(), "/") + "/" + strings.Join(parts, "/") + "/" + strconv.FormatInt(number, 10)
}

// queued are the stages in the queue that wait for a runner or run, by the id of their build; enterprise edition only.
func (e *enterpriseState) queued() map[int64][]droneapi.Stage {
	out := map[int64][]droneapi.Stage{}
	for _, stage := range e.stages {
		live := stage.Status == droneapi.StatusPending || stage.Status == droneapi.StatusRunning
		if live && !e.orphans[stage.BuildID] {
			out[stage.BuildID] = append(out[stage.BuildID], stage)
		}
	}
	return out
}

// openBuilds are the builds that have not ended: those with a stage that waits or runs, and those that wait for
// approval.
func (w *watcher) openBuilds() *statuspage.Builds {
	queued := w.enterprise.queued()
	byState := map[statuspage.BuildState][]statuspage.Build{}
	add := func(b statuspage.Build) { byState[b.State] = append(byState[b.State], b) }
	for _, r := range w.repos {
		for _, open := range r.open {
			of := open.stages
			if w.server.Edition == enterprise {
				of = queued[open.id]
				delete(queued, open.id)
			}
			switch {
			case len(of) > 0:
				add(w.openBuild(r, open, of))
			case open.blocked:
				b := w.openBuild(r, open, nil)
				b.State = statuspage.Blocked
				add(b)
			}
		}
	}
	for _, of := range queued { // of a repository whose builds Drone does not list
		add(w.openBuild(w.repos[of[0].RepoID], &openBuild{}, of))
	}
	out := &statuspage.Builds{Open: []statuspage.Build{}}
	for _, state := range []statuspage.BuildState{statuspage.Waiting, statuspage.Blocked, statuspage.Running} {
		some := byState[state]
		slices.SortFunc(some, olderFirst)
		out.Total += len(some)
		out.Open = append(out.Open, some[:min(len(some), shownBuilds)]...)
	}
	return out
}

func olderFirst(a, b statuspage.Build) int {
	return cmp.Or(
		orZero(a.Created).Compare(orZero(b.Created)), cmp.Compare(a.Repository, b.Repository),
		cmp.Compare(orZero(a.Number), orZero(b.Number)),
	)
}

// orZero is what is known, or the zero value.
func orZero[T any](known *T) T {
	if known == nil {
		var zero T
		return zero
	}
	return *known
}

// openBuild is one with these stages. It runs where any of them does.
func (w *watcher) openBuild(r *repository, open *openBuild, stages []droneapi.Stage) statuspage.Build {
	name, own := w.named(r)
	out := statuspage.Build{
		Repository: name, State: statuspage.Waiting, Platforms: []string{}, Machines: []string{},
	}
	if number := open.number; own && number > 0 {
		out.Number, out.URL = &number, w.buildURL(name, number)
	}
	var oldest time.Time
	for _, stage := range stages {
		out.Platforms = among(out.Platforms, stage.OS+"/"+stage.Arch)
		oldest = earlier(oldest, unix(stage.Created))
		if stage.Status == droneapi.StatusPending {
			out.Jobs.Pending++
			continue
		}
		out.State = statuspage.Running
		out.Jobs.Running++
		if stage.Machine != "" {
			out.Machines = among(out.Machines, stage.Machine)
		}
	}
	if out.Created = momentOf(open.created); out.Created == nil {
		out.Created = momentOf(oldest)
	}
	return out
}

// among puts a name where it belongs among names in their order, once.
func among(names []string, name string) []string {
	at, there := slices.BinarySearch(names, name)
	if there {
		return names
	}
	return slices.Insert(names, at, name)
}

// lastFailures are the newest failed builds of default branches, the newest first. Of most repositories it is
// only asked whether theirs is one of them: there may be many thousands.
func (w *watcher) lastFailures() []statuspage.Failure {
	newest := make([]*repository, 0, shownFailures+1)
	for _, r := range w.repos {
		full := len(newest) == shownFailures
		if !r.failed() || full && newerFirst(r, newest[shownFailures-1]) > 0 {
			continue
		}
		if _, own := w.named(r); !own {
			continue
		}
		at, _ := slices.BinarySearchFunc(newest, r, newerFirst)
		newest = slices.Insert(newest, at, r)
		newest = newest[:min(len(newest), shownFailures)]
	}
	out := make([]statuspage.Failure, 0, len(newest))
	for _, r := range newest {
		out = append(out, statuspage.Failure{
			Repository: r.Slug, Number: r.lastFailed.number, URL: w.buildURL(r.Slug, r.lastFailed.number),
			Status: string(r.lastFailed.status), Finished: moment(r.lastFailed.Finished),
			Seconds: r.lastFailed.Duration.Seconds(), Fixed: r.lastSucceeded > r.lastFailed.number,
		})
	}
	return out
}

func newerFirst(a, b *repository) int {
	return cmp.Or(b.lastFailed.Finished.Compare(a.lastFailed.Finished), cmp.Compare(a.Slug, b.Slug))
}
