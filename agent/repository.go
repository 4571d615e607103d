package agent

import (
	"strings"
	"time"

	"drone-otel-agent/droneapi"
)

// repository is what the agent knows of one repository of Drone. One goroutine at a time works on it.
type repository struct {
	droneapi.Repo
	ledger ledger

	// counted tells whether builds holds since some moment, and recount whether it shall be counted again.
	counted, recount bool
	// builds is how many builds of it Drone stores: on the enterprise edition those that came after the
	// last exact total, on the community edition all.
	builds int64
	// open are the builds that have not ended, by number; community edition only.
	open map[int64]*openBuild

	// refusals is how often in a row Drone did not serve its builds; 0 where it does.
	refusals int
	// askAgain is when a repository that was refused is asked for again.
	askAgain time.Time
}

// openBuild is a build that has not ended, as last seen.
type openBuild struct {
	number           int64
	created          time.Time
	pending, running int64
	// askAgain is when it is asked about again; the zero time means at every poll.
	askAgain time.Time
}

// nested tells whether the namespace holds a slash: Drone lists such a repository and answers 404 to every
// request for it, however it is escaped.
func (r *repository) nested() bool { return strings.Contains(r.Namespace, "/") }

// readable tells whether it makes sense to ask for the repository's builds now.
func (r *repository) readable(now time.Time) bool {
	return !r.nested() && (r.refusals == 0 || !now.Before(r.askAgain))
}

// unreachable tells whether Drone does not serve the repository's builds.
func (r *repository) unreachable() bool { return r.nested() || r.refusals > 0 }

// How long a repository that Drone refused is left alone: the time doubles with every refusal.
const (
	refusedFirst = time.Minute
	refusedMost  = time.Hour
)

// refused notes that Drone does not serve the repository's builds. Where it says that there is no such
// repository they are counted by its counter, which is all there is to know, and its open builds are
// forgotten: they cannot be asked about. An error of the server's own is taken for that only when it lasts;
// what was open may still be, see blind.
func (r *repository) refused(now time.Time, gone bool) {
	r.askAgain = now.Add(min(refusedMost, refusedFirst<<min(r.refusals, 10)))
	r.refusals++
	if gone || r.counted || r.refusals >= refusalsBelieved {
		r.countByCounter()
	}
	if gone {
		r.open = nil
	}
}

// refusalsBelieved is after how many errors of the server's own a repository is counted by its counter.
const refusalsBelieved = 3

// blind tells whether the repository has open builds whose state is not known.
func (r *repository) blind() bool { return r.refusals > 0 && len(r.open) > 0 }

// countByCounter takes every announced number for a stored build.
func (r *repository) countByCounter() {
	if r.counted {
		r.builds += max(0, r.Counter-r.ledger.settled)
	} else {
		r.builds = r.Counter
	}
	r.counted = true
	r.ledger = ledger{settled: r.Counter}
}

// watch begins to follow a build that has not ended. One that was declined is looked at too: Drone declines
// stage by stage, and the first makes the build's status final while the others still wait.
func (r *repository) watch(build droneapi.Build) {
	if build.Status.Final() && build.Status != droneapi.StatusDeclined {
		return
	}
	if r.open == nil {
		r.open = map[int64]*openBuild{}
	}
	if r.open[build.Number] == nil {
		r.open[build.Number] = &openBuild{
			number: build.Number, created: time.Unix(build.Created, 0),
		}
	}
}

// A build none of whose stages waits for a runner or runs, as one that waits for approval, is asked about
// ever less often: after a sixtieth of its age, so that a build approved after an hour is seen within a minute.
const (
	idleShare = 60
	idleMost  = 2 * time.Minute
)

// update takes what Drone says of an open build now, and forgets it once it has ended. A build has ended when
// its status is final and none of its stages is pending or running: Drone writes the build first.
func (r *repository) update(build droneapi.Build, now time.Time) {
	seen := r.open[build.Number]
	seen.pending, seen.running = 0, 0
	for _, stage := range build.Stages {
		switch stage.Status {
		case droneapi.StatusPending:
			seen.pending++
		case droneapi.StatusRunning:
			seen.running++
		}
	}
	live := seen.pending > 0 || seen.running > 0
	if build.Status.Final() && !live {
		delete(r.open, build.Number)
		return
	}
	seen.askAgain = time.Time{}
	// Between two of its stages a build is running for a moment while none of them is.
	if !live && build.Status != droneapi.StatusRunning {
		seen.askAgain = now.Add(min(idleMost, max(0, now.Sub(seen.created)/idleShare)))
	}
}
