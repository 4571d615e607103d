package agent

import (
	"cmp"
	"maps"
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

// liveStages are the stages that wait for a runner or run, wherever the edition has them from.
func (w *watcher) liveStages() []droneapi.Stage {
	if w.server.Edition == enterprise {
		return w.enterprise.stages
	}
	var out []droneapi.Stage
	for _, r := range w.repos {
		for _, open := range r.open {
			out = append(out, open.stages...)
		}
	}
	return out
}

// openBuilds are the builds that have not ended: those with a stage that waits or runs, and those that wait for
// approval.
func (w *watcher) openBuilds() *statuspage.Builds {
	stages := map[int64][]droneapi.Stage{}
	for _, stage := range w.liveStages() {
		live := stage.Status == droneapi.StatusPending || stage.Status == droneapi.StatusRunning
		if live && !w.enterprise.orphans[stage.BuildID] {
			stages[stage.BuildID] = append(stages[stage.BuildID], stage)
		}
	}
	byState := map[statuspage.BuildState][]statuspage.Build{}
	add := func(b statuspage.Build) { byState[b.State] = append(byState[b.State], b) }
	for _, r := range w.repos {
		for _, open := range r.open {
			switch of := stages[open.id]; {
			case len(of) > 0:
				add(w.openBuild(r, open.number, of))
				delete(stages, open.id)
			case open.blocked:
				b := w.openBuild(r, open.number, nil)
				b.State, b.Since = statuspage.Blocked, momentOf(open.created)
				add(b)
			}
		}
	}
	for _, of := range stages { // of a repository whose builds Drone does not list
		add(w.openBuild(w.repos[of[0].RepoID], 0, of))
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
	since := func(b statuspage.Build) time.Time {
		if b.Since == nil {
			return time.Time{}
		}
		return *b.Since
	}
	number := func(b statuspage.Build) int64 {
		if b.Number == nil {
			return 0
		}
		return *b.Number
	}
	return cmp.Or(since(a).Compare(since(b)), cmp.Compare(a.Repository, b.Repository), cmp.Compare(number(a), number(b)))
}

// openBuild is one with these stages. It runs where any of them does.
func (w *watcher) openBuild(r *repository, number int64, stages []droneapi.Stage) statuspage.Build {
	name, own := w.named(r)
	out := statuspage.Build{Repository: name, State: statuspage.Waiting}
	if own && number > 0 {
		out.Number, out.URL = &number, w.buildURL(name, number)
	}
	var waits, runs time.Time
	platforms, machines := map[string]bool{}, map[string]bool{}
	for _, stage := range stages {
		platforms[stage.OS+"/"+stage.Arch] = true
		if stage.Status == droneapi.StatusPending {
			out.Jobs.Pending++
			waits = earlier(waits, unix(stage.Created))
			continue
		}
		out.Jobs.Running++
		runs = earlier(runs, later(unix(stage.Started), unix(stage.Created)))
		if stage.Machine != "" {
			machines[stage.Machine] = true
		}
	}
	out.Since = momentOf(waits)
	if out.Jobs.Running > 0 {
		out.State, out.Since = statuspage.Running, momentOf(runs)
	}
	out.Platforms, out.Machines = slices.Sorted(maps.Keys(platforms)), slices.Sorted(maps.Keys(machines))
	return out
}

// lastFailures are the newest failed builds of default branches, the newest first.
func (w *watcher) lastFailures() []statuspage.Failure {
	out := []statuspage.Failure{}
	for _, r := range w.repos {
		name, own := w.named(r)
		if r.lastFailed == nil || !own {
			continue
		}
		out = append(out, statuspage.Failure{
			Repository: name, Number: r.lastFailed.number, URL: w.buildURL(name, r.lastFailed.number),
			Status: string(r.lastFailed.status), Finished: r.lastFailed.Finished,
			Seconds: r.lastFailed.Duration.Seconds(), Fixed: r.last.Success,
		})
	}
	slices.SortFunc(out, func(a, b statuspage.Failure) int {
		return cmp.Or(b.Finished.Compare(a.Finished), cmp.Compare(a.Repository, b.Repository))
	})
	return out[:min(len(out), shownFailures)]
}
