package agent

import (
	"maps"
	"slices"
	"strings"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// live is what the stages that wait for a runner or run say, counted in every way that is told.
type live struct {
	pendingJobs, runningJobs int64
	// builds are those with such a stage, by id.
	builds map[int64]stageCount
	// repos are the builds in each status by the id of the repository.
	repos     map[int64]stageCount
	platforms map[string]instruments.Platform
	workers   map[string]bool
	// oldest are the times of the oldest stages in each status.
	oldestPending, oldestRunning time.Time
}

// stageCount counts by status.
type stageCount struct{ pending, running int64 }

func (w *watcher) countLive(stages []droneapi.Stage) live {
	out := live{
		builds: map[int64]stageCount{}, repos: map[int64]stageCount{},
		platforms: map[string]instruments.Platform{}, workers: map[string]bool{},
	}
	owners := map[int64]int64{}
	for _, stage := range stages {
		n := out.builds[stage.BuildID]
		platform, key := w.platform(stage)
		if seen, there := out.platforms[key]; there {
			platform = seen
		}
		created := unix(stage.Created)
		switch stage.Status {
		case droneapi.StatusPending:
			n.pending++
			out.pendingJobs++
			platform.Pending++
			platform.Oldest = earlier(platform.Oldest, created)
			out.oldestPending = earlier(out.oldestPending, created)
		case droneapi.StatusRunning:
			n.running++
			out.runningJobs++
			platform.Running++
			out.oldestRunning = earlier(out.oldestRunning, created)
			if stage.Machine != "" {
				out.workers[stage.Machine] = true
			}
		default:
			continue // neither waits nor runs, whatever it does in the queue
		}
		out.builds[stage.BuildID], out.platforms[key] = n, platform
		owners[stage.BuildID] = stage.RepoID
	}
	for id, n := range out.builds {
		repo := out.repos[owners[id]]
		repo.pending += min(1, n.pending)
		repo.running += min(1, n.running)
		out.repos[owners[id]] = repo
	}
	return out
}

// forget takes out a build that does not exist, though stages of it do.
func (l live) forget(id, owner int64) {
	n, repo := l.builds[id], l.repos[owner]
	repo.pending -= min(1, n.pending)
	repo.running -= min(1, n.running)
	l.repos[owner] = repo
	delete(l.builds, id)
}

// platform is the kind of stages that this one is of, without any of them, and a key for it.
func (w *watcher) platform(stage droneapi.Stage) (instruments.Platform, string) {
	out := instruments.Platform{OS: stage.OS, Arch: stage.Arch, Type: stage.Type}
	for _, label := range w.cfg.QueueLabels {
		out.Labels = append(out.Labels, stage.Labels[label])
	}
	return out, strings.Join(append([]string{out.OS, out.Arch, out.Type}, out.Labels...), "\x00")
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// maxPlatforms bounds the kinds of stages that are told apart: a label may have any number of values.
const maxPlatforms = 200

// tellLive fills in what the stages say.
func (w *watcher) tellLive(out *instruments.Snapshot, l live) {
	var pending, running int64
	for _, n := range l.builds {
		pending += min(1, n.pending)
		running += min(1, n.running)
	}
	out.PendingBuilds, out.RunningBuilds = instruments.Known(pending), instruments.Known(running)
	out.PendingJobs, out.RunningJobs = instruments.Known(l.pendingJobs), instruments.Known(l.runningJobs)
	out.BusyWorkers = instruments.Known(int64(len(l.workers)))
	out.Oldest = &instruments.Oldest{Pending: l.oldestPending, Running: l.oldestRunning}
	for _, r := range w.repos {
		for _, open := range r.open {
			if _, isLive := l.builds[open.id]; open.blocked && !isLive {
				out.Oldest.Blocked = earlier(out.Oldest.Blocked, open.created)
			}
		}
	}
	out.Queue = w.queue(l)
}

// queue is what is in the queue of each kind that was ever seen. Those beyond maxPlatforms are one kind.
func (w *watcher) queue(l live) []instruments.Platform {
	other := instruments.Platform{OS: instruments.Other, Arch: instruments.Other, Type: instruments.Other}
	for range w.cfg.QueueLabels {
		other.Labels = append(other.Labels, instruments.Other)
	}
	folded := false
	now := map[string]instruments.Platform{}
	for _, key := range slices.Sorted(maps.Keys(l.platforms)) {
		platform := l.platforms[key]
		if _, known := w.platforms[key]; !known && len(w.platforms) < maxPlatforms {
			w.platforms[key] = instruments.Platform{
				OS: platform.OS, Arch: platform.Arch, Type: platform.Type, Labels: platform.Labels,
			}
		} else if !known {
			folded = true
			other.Pending += platform.Pending
			other.Running += platform.Running
			other.Oldest = earlier(other.Oldest, platform.Oldest)
			continue
		}
		now[key] = platform
	}
	out := make([]instruments.Platform, 0, len(w.platforms)+1)
	for _, key := range slices.Sorted(maps.Keys(w.platforms)) {
		platform := w.platforms[key]
		if there, some := now[key]; some {
			platform = there
		}
		out = append(out, platform)
	}
	if folded {
		out = append(out, other)
	}
	return out
}

// tellRepos fills in what is told of each repository that has series of its own, and of the others together.
// The builds in progress are told where those of the repository are seen.
func (w *watcher) tellRepos(out *instruments.Snapshot, l live, seen bool) {
	var others, folded stageCount
	out.Repos = make([]instruments.Repo, 0, len(w.selection.names)+1)
	for id, r := range w.repos {
		name := w.selection.name(r)
		n := l.repos[id]
		if name == instruments.Other {
			folded.pending++
			others.pending += n.pending
			others.running += n.running
			continue
		}
		repo := instruments.Repo{Name: name, Finished: w.tally[name], Last: r.last}
		if seen && !r.unreachable() || w.server.Edition == enterprise {
			repo.Pending, repo.Running = instruments.Known(n.pending), instruments.Known(n.running)
		}
		out.Repos = append(out.Repos, repo)
	}
	if folded.pending > 0 || len(w.tally[instruments.Other]) > 0 {
		other := instruments.Repo{Name: instruments.Other, Finished: w.tally[instruments.Other]}
		if seen {
			other.Pending, other.Running = instruments.Known(others.pending), instruments.Known(others.running)
		}
		out.Repos = append(out.Repos, other)
	}
}
