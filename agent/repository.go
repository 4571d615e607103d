package agent

import (
	"strings"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
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
	// first is the counter with which the repository was first seen.
	first int64
	// open are the builds that have not ended or were not told yet, by number.
	open map[int64]*openBuild
	// newest is when the newest build that was seen was created.
	newest time.Time
	// last is the newest build of the default branch that was told, and lastNumber its number.
	last       *instruments.LastBuild
	lastNumber int64
	// lastFailed is the newest that failed, nil where none was seen, and lastSucceeded the number of the newest that
	// succeeded. One that was killed, declined or skipped says nothing of the branch.
	lastFailed    *failedBuild
	lastSucceeded int64

	// gone tells that Drone says there is no such repository, or none for this user.
	gone bool
	// refusals is how often in a row Drone did not serve its builds; 0 where it does.
	refusals int
	// askAgain is when a repository that was refused is asked for again.
	askAgain time.Time
}

// failedBuild is a build that failed of what was the default branch then.
type failedBuild struct {
	instruments.LastBuild

	number int64
	status droneapi.Status
	branch string
}

// failed tells whether there is a failure to show: of an active repository's default branch.
func (r *repository) failed() bool {
	return r.lastFailed != nil && r.Active && r.lastFailed.branch == r.DefaultBranch
}

// openBuild is a build that has not ended, as last seen.
type openBuild struct {
	id, number int64
	created    time.Time
	// stages are those that wait for a runner or run.
	stages []droneapi.Stage
	// seen tells that stages is Drone's answer and not just empty; denied is how often in a row Drone denied the
	// build and listed it.
	seen   bool
	denied int
	// blocked tells that a stage of it waits for approval.
	blocked bool
	// before tells that it was there before the agent first saw its repository: if it turns out to have ended
	// already, it is of the past and is not told.
	before bool
	// askAgain is when it is asked about again; the zero time means at the next poll.
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

// How long a repository is left alone whose refusals are believed: the time doubles with every further one.
const (
	refusedFirst = time.Minute
	refusedMost  = time.Hour
)

// refusalsBelieved is how many refusals in a row make a repository one that Drone does not serve: it is counted by its
// counter, and its open builds are no longer shown.
const refusalsBelieved = 3

// refused notes that Drone does not serve the repository's builds. What was open is kept: when the repository
// comes back it is asked about, and told if it ended.
//
// Drone answers 404 and 500 also where its database failed for a moment, so the repository is asked again at once, and
// only when the refusals last are its open builds no longer shown.
func (r *repository) refused(now time.Time, gone bool) {
	r.refusals++
	r.askAgain = now
	if r.refusals < refusalsBelieved {
		return
	}
	r.askAgain = now.Add(min(refusedMost, refusedFirst<<min(r.refusals-refusalsBelieved, 10)))
	if r.gone = gone; gone {
		for _, open := range r.open {
			open.stages = nil
		}
	}
}

// served notes that Drone serves them again.
func (r *repository) served() {
	r.refusals, r.gone, r.recount = 0, false, true
}

// known tells whether stored can be told. A server that fails by itself is believed only when it lasts.
func (r *repository) known() bool {
	return r.counted || r.nested() || r.gone || r.refusals >= refusalsBelieved
}

// stored is how many builds the repository has, as far as is known (see builds). Where Drone does not serve
// them, every number that was announced since is taken for a stored build: the counter is all there is.
func (r *repository) stored() int64 {
	if r.unreachable() {
		return r.builds + max(0, r.Counter-r.ledger.settled)
	}
	return r.builds
}

// blind tells whether the repository has open builds whose state is not known.
func (r *repository) blind() bool {
	if r.gone || r.nested() {
		return false // they are not shown, see refused
	}
	for _, open := range r.open {
		if !open.seen || open.denied > 0 || r.refusals > 0 && len(open.stages) > 0 {
			return true
		}
	}
	return false
}

// watch begins to follow a build until it has ended and was told.
func (r *repository) watch(build droneapi.Build) *openBuild {
	r.newest = later(r.newest, unix(build.Created))
	if r.open == nil {
		r.open = map[int64]*openBuild{}
	}
	if r.open[build.Number] == nil {
		r.open[build.Number] = &openBuild{id: build.ID, number: build.Number, created: unix(build.Created)}
	}
	return r.open[build.Number]
}

// mayBeOpen tells whether a build that was there before the agent may still have stages that run or wait.
// Drone declines stage by stage, and the first makes the build's status final while the others still wait.
func mayBeOpen(build droneapi.Build) bool {
	return !build.Status.Final() || build.Status == droneapi.StatusDeclined
}

// A build none of whose stages waits for a runner or runs, as one that waits for approval, is asked about
// ever less often: after a sixtieth of its age, so that a build approved after an hour is seen within a minute.
const (
	idleShare = 60
	idleMost  = 2 * time.Minute
)

// update takes what Drone says of an open build now, and tells whether it has ended; then it is no longer
// open. A build has ended when its status is final and none of its stages is pending or running: Drone writes
// the build first.
func (r *repository) update(build droneapi.Build, now time.Time) (ended bool) {
	seen := r.open[build.Number]
	seen.seen, seen.denied = true, 0
	seen.id, seen.stages, seen.blocked = build.ID, nil, build.Status == droneapi.StatusBlocked
	for _, stage := range build.Stages {
		seen.blocked = seen.blocked || stage.Status == droneapi.StatusBlocked
		if stage.Status == droneapi.StatusPending || stage.Status == droneapi.StatusRunning {
			stage.Steps = nil
			seen.stages = append(seen.stages, stage)
		}
	}
	if build.Status.Final() && len(seen.stages) == 0 {
		delete(r.open, build.Number)
		return true
	}
	seen.askAgain = time.Time{}
	// Between two of its stages a build is running for a moment while none of them is.
	if len(seen.stages) == 0 && build.Status != droneapi.StatusRunning {
		seen.askAgain = now.Add(min(idleMost, max(0, now.Sub(seen.created)/idleShare)))
	}
	return false
}

// unix is the time of Drone's seconds, where 0 is none.
func unix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
