package dronetest

import (
	"fmt"
	"strconv"
)

// row is all that is kept of a build which ended before the test began: 32 bytes. The rest follows
// from it, always in the same way, when somebody asks. Of a build that is kept in full a row has the
// id and the number only.
type row struct {
	id      uint32
	number  uint32
	created uint32 // Unix seconds
	pending uint32 // seconds from created to started
	runs    uint32 // seconds from started to finished
	stage   uint32 // the id of the first stage
	step    uint32 // the id of the first step
	stages  uint8
	status  uint8 // index of rowStatus
}

// stepsPerStage of a build that is kept as a row.
const stepsPerStage = 3

// rowStatus gives the final statuses that a row can have.
func rowStatus(i uint8) string {
	return [...]string{StatusSuccess, StatusFailure, StatusKilled, StatusError, StatusSkipped}[i]
}

// newRow takes the ids that a finished build needs. pending and runs are seconds.
func (w *world) newRow(number, created int64, pending, runs uint32, stages, status uint8) row {
	w.lastBuild++
	r := row{
		id: uint32(w.lastBuild), number: uint32(number), created: uint32(created),
		pending: pending, runs: runs, stages: stages, status: status,
		stage: uint32(w.lastStage + 1), step: uint32(w.lastStep + 1),
	}
	w.lastStage += int64(stages)
	w.lastStep += int64(stages) * stepsPerStage
	return r
}

// expand makes the build of a row.
func (rp *repo) expand(r row) *Build {
	x := mix(uint64(r.id))
	branch := rp.Branch
	if x%3 == 0 {
		branch = "feature/x-" + strconv.FormatUint(x%37, 10)
	}
	spec := BuildSpec{Branch: branch}
	switch x >> 8 % 20 {
	case 0:
		spec.Event, spec.Cron = "cron", "nightly"
	case 1:
		spec.Event, spec.Ref = "tag", fmt.Sprintf("refs/tags/v1.%d.0", r.number)
	case 2, 3, 4:
		spec.Event = "pull_request"
	}
	created := int64(r.created)
	started, finished := created+int64(r.pending), created+int64(r.pending)+int64(r.runs)
	b := newBuild(rp, int64(r.number), spec, created)
	b.ID, b.Status, b.Timestamp, b.Version = int64(r.id), rowStatus(r.status), created, 3
	b.Started, b.Finished, b.Updated = started, finished, finished
	if b.Status == StatusSkipped {
		b.Started = 0
	}
	for i := range int(r.stages) {
		b.Stages = append(b.Stages, r.expandStage(b, i))
	}
	return b
}

// expandStage makes a stage of a row's build: the last one has the build's status, those before it
// succeeded.
func (r row) expandStage(b *Build, i int) *Stage {
	st := newStage(i+1, StageSpec{}, b.Created)
	st.ID, st.RepoID, st.BuildID = int64(r.stage)+int64(i), b.RepoID, b.ID
	st.Status, st.Version, st.Started, st.Stopped, st.Updated = StatusSuccess, 4, b.Started, b.Finished, b.Finished
	if i == int(r.stages)-1 {
		st.Status = b.Status
	}
	if st.Started != 0 {
		st.Machine = "runner-" + strconv.FormatUint(mix(uint64(st.ID))%8+1, 10)
	}
	if st.Status == StatusFailure {
		st.ExitCode = 1
	}
	if st.Status == StatusError {
		st.Error = "cannot pull the image"
	}
	if st.Started != 0 && st.Status != StatusError {
		st.addSteps(int64(r.step) + int64(i)*stepsPerStage - 1)
		st.endSteps(st.Stopped)
	}
	return st
}
