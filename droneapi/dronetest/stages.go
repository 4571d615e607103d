package dronetest

import (
	"fmt"
	"slices"
)

// StartStage lets a runner start a stage that is pending: the stage and its first step run, a build
// that was pending runs. Stages are numbered from 1.
func (s *Server) StartStage(slug string, number int64, stage int, machine string) {
	s.change("start stage of", slug, number, func(b *Build) error {
		st, err := b.stage(stage)
		if err != nil {
			return err
		}
		return s.world.start(b, st, machine, s.unix())
	})
}

// FinishStage ends a stage with a final status and, as Drone does, skips or schedules the stages
// that waited for it; when none is left the build ends with the status that follows.
func (s *Server) FinishStage(slug string, number int64, stage int, status string) {
	s.change("finish stage of", slug, number, func(b *Build) error {
		st, err := b.stage(stage)
		if err != nil {
			return err
		}
		return s.world.finish(b, st, status, s.unix())
	})
}

// FinishBuild takes a build to its end: the first open stage ends with the status, those that run
// regardless of it succeed, all on the machine runner-1 where they had none. Status is one of
// success, failure, error, killed and skipped; the latter two are a user's and the system's cancel.
func (s *Server) FinishBuild(slug string, number int64, status string) {
	s.change("finish", slug, number, func(b *Build) error {
		now := s.unix()
		if status == StatusKilled || status == StatusSkipped {
			return s.world.cancel(b, status, now)
		}
		for {
			i := slices.IndexFunc(b.Stages, func(st *Stage) bool {
				return st.Status == StatusPending || st.Status == StatusRunning
			})
			if i < 0 {
				break
			}
			st := b.Stages[i]
			if st.Status == StatusPending {
				if err := s.world.start(b, st, "runner-1", now); err != nil {
					return err
				}
			}
			if err := s.world.finish(b, st, status, now); err != nil {
				return err
			}
			status = StatusSuccess
		}
		if !done(b.Status) {
			return fmt.Errorf("a stage is %s", b.Stages[len(b.Stages)-1].Status)
		}
		return nil
	})
}

// ApproveBuild approves every blocked stage: those without dependencies become pending.
func (s *Server) ApproveBuild(slug string, number int64) {
	s.change("approve", slug, number, s.world.approve)
}

// DeclineBuild declines every blocked stage and the build. Drone sets no finish time then.
func (s *Server) DeclineBuild(slug string, number int64) {
	s.change("decline", slug, number, s.world.decline)
}

// KillBuild cancels a build as a user does: what ran is killed, what did not is skipped.
func (s *Server) KillBuild(slug string, number int64) {
	s.change("kill", slug, number, func(b *Build) error { return s.world.cancel(b, StatusKilled, s.unix()) })
}

// SkipBuild cancels a build as the system does when a newer one makes it needless.
func (s *Server) SkipBuild(slug string, number int64) {
	s.change("skip", slug, number, func(b *Build) error { return s.world.cancel(b, StatusSkipped, s.unix()) })
}

// change runs do on a build with the lock held.
func (s *Server) change(what, slug string, number int64, do func(*Build) error) {
	s.withRepo(what+" build in", slug, func(rp *repo) {
		err := fmt.Errorf("no such build")
		if b := rp.build(number); b != nil {
			if err = do(b); err == nil {
				s.world.index(b)
			}
		}
		if err != nil {
			panic(fmt.Sprintf("dronetest: %s build %s/%d: %v", what, slug, number, err))
		}
	})
}

func (b *Build) stage(number int) (*Stage, error) {
	if number < 1 || number > len(b.Stages) {
		return nil, fmt.Errorf("no stage %d of %d", number, len(b.Stages))
	}
	return b.Stages[number-1], nil
}

// start is what operator/manager's setup does.
func (w *world) start(b *Build, st *Stage, machine string, now int64) error {
	if st.Status != StatusPending {
		return fmt.Errorf("stage %d is %s, not pending", st.Number, st.Status)
	}
	st.Status, st.Machine, st.Started, st.Updated = StatusRunning, machine, now, now
	st.Version++
	w.lastStep = st.addSteps(w.lastStep)
	if len(st.Steps) > 0 {
		st.Steps[0].Status, st.Steps[0].Started = StatusRunning, now
	}
	if b.Status == StatusPending {
		b.Status, b.Started, b.Updated = StatusRunning, now, now
		b.Version++
	}
	return nil
}

// addSteps makes the planned steps, pending, and gives the last id that it took.
func (st *Stage) addSteps(lastID int64) int64 {
	for i, name := range st.plan {
		lastID++
		st.Steps = append(st.Steps, &Step{
			ID: lastID, StageID: st.ID, Number: i + 1, Name: name, Status: StatusPending, Version: 1,
			Image: "docker.io/library/golang:1.26",
		})
	}
	return lastID
}

// finish is what operator/manager's teardown does.
func (w *world) finish(b *Build, st *Stage, status string, now int64) error {
	if done(st.Status) || st.Status == StatusBlocked || !done(status) {
		return fmt.Errorf("stage %d is %s and cannot become %s", st.Number, st.Status, status)
	}
	if st.Started == 0 {
		st.Started = now
	}
	st.Status, st.Stopped, st.Updated = status, now, now
	st.Version++
	switch status {
	case StatusFailure:
		st.ExitCode = 1
	case StatusError:
		st.Error = "the runner lost its machine"
	}
	st.endSteps(now)
	b.skipDownstream(now)
	b.scheduleDownstream(now)
	b.complete(now)
	return nil
}

// endSteps spreads the steps over the stage's time. In a failed stage the last but one step failed,
// in one that was killed or lost it was cut short; those after it were skipped.
func (st *Stage) endSteps(now int64) {
	bad := len(st.Steps)
	if st.Status != StatusSuccess {
		bad = max(0, len(st.Steps)-2)
	}
	each := (now - st.Started) / int64(max(1, min(bad+1, len(st.Steps))))
	for i, step := range st.Steps {
		step.Version++
		if i > bad {
			step.Status = StatusSkipped
			continue
		}
		step.Started = st.Started + int64(i)*each
		step.Stopped = step.Started + each
		step.Status = StatusSuccess
		if i == bad {
			step.Status, step.Stopped = st.Status, now
			if step.ExitCode = 1; st.Status != StatusFailure {
				step.ExitCode = 130
			}
		}
	}
}

// skipDownstream skips stages whose dependencies are over and whose conditions are not met. One pass
// in the order of the stages, as Drone makes it.
func (b *Build) skipDownstream(now int64) {
	failed := slices.ContainsFunc(b.Stages, func(st *Stage) bool {
		return st.Status == StatusFailure || st.Status == StatusKilled || st.Status == StatusError
	})
	for _, st := range b.Stages {
		met := failed && st.OnFailure || !failed && st.OnSuccess
		if st.Status != StatusWaiting || met || !b.depsDone(st) {
			continue
		}
		st.Status, st.Started, st.Stopped = StatusSkipped, now, now
		st.Version++
	}
}

// scheduleDownstream makes stages pending whose dependencies are over.
func (b *Build) scheduleDownstream(now int64) {
	for _, st := range b.Stages {
		if st.Status != StatusWaiting || len(st.DependsOn) == 0 || !b.depsDone(st) {
			continue
		}
		st.Status, st.Updated = StatusPending, now
		st.Version++
	}
}

func (b *Build) depsDone(st *Stage) bool {
	return !slices.ContainsFunc(b.Stages, func(o *Stage) bool {
		return slices.Contains(st.DependsOn, o.Name) && !done(o.Status)
	})
}

// complete ends the build when all stages are over; declined ones keep it open for ever. The first
// stage that went wrong gives the status.
func (b *Build) complete(now int64) {
	status := StatusSuccess
	for _, st := range b.Stages {
		if !done(st.Status) || st.Status == StatusDeclined {
			return
		}
		bad := st.Status == StatusKilled || st.Status == StatusFailure || st.Status == StatusError
		if bad && status == StatusSuccess {
			status = st.Status
		}
	}
	b.Status, b.Finished = status, now
	if b.Started == 0 {
		b.Started = now
	}
	b.Version++
}

func (w *world) approve(b *Build) error {
	blocked := 0
	for _, st := range b.Stages {
		if st.Status != StatusBlocked {
			continue
		}
		blocked++
		st.Status = StatusPending
		if len(st.DependsOn) > 0 {
			st.Status = StatusWaiting
		}
		st.Version++
	}
	if blocked == 0 {
		return fmt.Errorf("no stage is blocked")
	}
	return nil
}

func (w *world) decline(b *Build) error {
	for _, st := range b.Stages {
		if st.Status != StatusBlocked {
			return fmt.Errorf("stage %d is %s, not blocked", st.Number, st.Status)
		}
	}
	for _, st := range b.Stages {
		st.Status = StatusDeclined
		st.Version++
	}
	b.Status = StatusDeclined
	b.Version++
	return nil
}

// cancel is what service/canceler and the handler behind "drone build stop" do.
func (w *world) cancel(b *Build, status string, now int64) error {
	if b.Status != StatusPending && b.Status != StatusRunning {
		return fmt.Errorf("it is %s, neither pending nor running", b.Status)
	}
	b.Status, b.Finished = status, now
	if b.Started == 0 {
		b.Started = now
	}
	b.Version++
	for _, st := range b.Stages {
		if done(st.Status) {
			continue
		}
		stopped := cancelled(&st.Status, &st.Started, now)
		st.Stopped = stopped
		st.Version++
		for _, step := range st.Steps {
			if !done(step.Status) {
				step.Stopped = cancelled(&step.Status, &step.Started, now)
				step.ExitCode = 130
				step.Version++
			}
		}
	}
	return nil
}

// cancelled sets the status and the start of a stage or step that a cancel ends.
func cancelled(status *string, started *int64, now int64) (stopped int64) {
	if *started != 0 {
		*status = StatusKilled
	} else {
		*status, *started = StatusSkipped, now
	}
	return now
}
