package instruments

import "time"

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
