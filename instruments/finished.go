package instruments

import (
	"slices"
	"time"
)

// FinishedBuild is a build that ended, as it was then. Each is told once.
type FinishedBuild struct {
	// ID is Drone's, unique on the server; Number is that of the build in its repository.
	ID, Number int64
	// Repository is the name its series go under: the slug, or "_other".
	Repository string
	// Slug is the repository's own name, for people.
	Slug string
	// Status is Drone's: success, failure, killed, error, skipped or declined.
	Status string
	// Event is Drone's: push, pull_request, tag, cron, promote, rollback or custom.
	Event string
	// ErrorType is what made it fail: step, config, runner, timeout or _OTHER; empty where it did not.
	ErrorType string
	// DefaultBranch tells whether it was a build of the repository's default branch (and no pull request).
	DefaultBranch bool
	// Created, Started and Finished are the zero time where it has not happened.
	Created, Started, Finished time.Time
	Stages                     []FinishedStage
}

// FinishedStage is one pipeline of a build that ended.
type FinishedStage struct {
	Name, Type, OS, Arch string
	Status               string
	// Created, Started and Stopped are the zero time where it has not happened.
	Created, Started, Stopped time.Time
	Steps                     []FinishedStep
}

// FinishedStep is one step of a stage.
type FinishedStep struct {
	Name, Status string
	// Started and Stopped are the zero time where it has not happened.
	Started, Stopped time.Time
}

// ran tells whether any of the build was executed. That it has a start says little: Drone gives one that is
// cancelled while it waits, or that could not be made for a faulty configuration, the same start and end.
func (b *FinishedBuild) ran() bool {
	switch {
	case b.Started.IsZero():
		return false
	case !b.Started.Equal(b.Finished), b.Status == statusSuccess, b.Status == statusFailure:
		return true
	}
	return slices.ContainsFunc(b.Stages, func(s FinishedStage) bool { return s.ran() })
}

// waited is how long the build was pending, in seconds, where that is known: until it started, or until it
// was cancelled. A build that was declined waited for a person, one with a faulty configuration for nobody.
func (b *FinishedBuild) waited() (seconds float64, known bool) {
	switch {
	case b.ran():
		return span(b.Created, b.Started)
	case b.Status == statusKilled, b.Status == statusSkipped:
		return span(b.Created, b.Finished)
	}
	return 0, false
}

// executed is how long the build ran, in seconds, where it did.
func (b *FinishedBuild) executed() (seconds float64, known bool) {
	if !b.ran() {
		return 0, false
	}
	return span(b.Started, b.Finished)
}

// ran tells whether a runner took the stage. One that is cancelled before has the same start and end.
func (s *FinishedStage) ran() bool { return !s.Started.IsZero() && s.Status != statusSkipped }

// ran tells whether the step was executed; see [FinishedStage].
func (s *FinishedStep) ran() bool { return !s.Started.IsZero() && s.Status != statusSkipped }

// span is the time between two moments in seconds, where both are known. Clocks of runners differ: a span is
// never negative.
func span(from, to time.Time) (seconds float64, known bool) {
	if from.IsZero() || to.IsZero() {
		return 0, false
	}
	return max(0, to.Sub(from).Seconds()), true
}
