package statuspage

import "time"

// Status is all that the page tells, and the document at /api/v1/status. What is nil is not known (or, where the field
// says so, was never). Names and meanings of its fields stay as they are as long as the path says v1; fields may come.
type Status struct {
	// Time is when this was put together. All ages are to be counted from it.
	Time  time.Time `json:"time"`
	Agent Agent     `json:"agent"`
	Drone Drone     `json:"drone"`
	Push  Push      `json:"push"`
	// Figures are Drone's seven, in the order of the page.
	Figures []Figure `json:"figures"`
	// Repositories is how many there are, nil while not known.
	Repositories *Repositories `json:"repositories"`
	// Queue is the jobs that wait and run by platform, with zeros for those seen before; nil while not known.
	Queue []Platform `json:"queue"`
	// Builds are those that have not ended; nil while not known.
	Builds *Builds `json:"builds"`
	// Failures are the newest failed builds of default branches, one a repository, the newest first; nil while not
	// known. One that was killed, declined or skipped is none.
	Failures []Failure `json:"default_branch_failures"`
}

// Agent is what watches.
type Agent struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// PollInterval is the time between two polls, in seconds.
	PollInterval float64 `json:"poll_interval_seconds"`
	// ConfigurationRefused tells that the newest configuration was not taken over; the log says why.
	ConfigurationRefused bool `json:"configuration_refused"`
}

// Drone is the server that is watched, and how watching it goes.
type Drone struct {
	// Server is its address. Version and Edition are empty while not known.
	Server  string `json:"server"`
	Version string `json:"version"`
	Edition string `json:"edition"`
	// Up tells whether the last poll succeeded, nil before the first.
	Up *bool `json:"up"`
	// Polled is when the last poll ended, and PollSeconds how long it took; nil before the first.
	Polled      *time.Time `json:"polled"`
	PollSeconds *float64   `json:"poll_seconds"`
	// Fresh is when the last good poll began, nil before the first. What waits and runs is of then; users, and what
	// else is asked for seldom, may be some minutes older.
	Fresh *time.Time `json:"data_time"`
	// Stale tells that it is so long ago that the figures are no longer told.
	Stale bool `json:"stale"`
	// Trouble is why the last poll failed; nil where it did not.
	Trouble *Trouble `json:"trouble"`
}

// Trouble is a failure that lasts.
type Trouble struct {
	Error string `json:"error"`
	// Cure is what to do about it; empty where that is not known.
	Cure string `json:"cure,omitempty"`
	// Since is when it began.
	Since time.Time `json:"since"`
}

// Push is how the push to the OpenTelemetry Collector goes.
type Push struct {
	// State is off, waiting (nothing was pushed yet), ok, or away (the last push was not taken).
	State string `json:"state"`
	// Endpoint is where the metrics go; empty where State is off.
	Endpoint string `json:"endpoint,omitempty"`
	// LastSuccess is when the Collector last took a push; nil is never.
	LastSuccess *time.Time `json:"last_success"`
	// Trouble is why it does not; nil unless State is away.
	Trouble *Trouble `json:"trouble"`
	// Rejected is what the Collector says of the part of the metrics that it does not take; empty where it takes all.
	Rejected string `json:"rejected,omitempty"`
}

// Figure is one of Drone's seven figures.
type Figure struct {
	// Name is that of the metric in Prometheus.
	Name string `json:"name"`
	// Value is nil while not known.
	Value *int64 `json:"value"`
	// History is the figure in the last hour, the oldest first.
	History []Point `json:"history"`
}

// Point is a figure at one moment.
type Point struct {
	Time time.Time `json:"time"`
	// Value is nil where it was not known then.
	Value *int64 `json:"value"`
}

// Repositories counts them by what the agent can do with them.
type Repositories struct {
	Active   int64 `json:"active"`
	Inactive int64 `json:"inactive"`
	// Unreachable are those whose builds Drone does not let the agent read.
	Unreachable int64 `json:"unreachable"`
	// Folded are those without series of their own.
	Folded int64 `json:"folded"`
}

// Platform is one kind of jobs.
type Platform struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	Type string `json:"type"`
	// Labels are those that the configuration splits the queue by.
	Labels map[string]string `json:"labels,omitempty"`
	Jobs   Jobs              `json:"jobs"`
	// Oldest is when the oldest pending job came; nil where none is pending.
	Oldest *time.Time `json:"oldest_pending"`
}

// Jobs counts stages by their status.
type Jobs struct {
	Pending int64 `json:"pending"`
	Running int64 `json:"running"`
}

// BuildState is what an open build does.
type BuildState string

// What a build does that has not ended.
const (
	Waiting BuildState = "pending" // all of its jobs that could run wait for a runner
	Running BuildState = "running" // at least one of its jobs runs
	Blocked BuildState = "blocked" // it waits for somebody's approval
)

// Builds are the builds that have not ended.
type Builds struct {
	// Total is how many there are. Open are the oldest of them in each state, of many not all.
	Total int     `json:"total"`
	Open  []Build `json:"open"`
}

// Build is one that has not ended.
type Build struct {
	// Repository is its slug, or "_other" where the configuration excludes it.
	Repository string `json:"repository"`
	// Number is nil where Drone did not tell it, or the repository is not named.
	Number *int64 `json:"number"`
	// URL is its page in Drone; empty where Number is nil.
	URL   string     `json:"url,omitempty"`
	State BuildState `json:"state"`
	// Created is when it came: its age counts from then. Of one that Drone does not list it is when the oldest of its
	// jobs came that waits or runs; nil where Drone does not say.
	Created *time.Time `json:"created"`
	Jobs    Jobs       `json:"jobs"`
	// Platforms are those of its jobs that wait or run, as os/arch, and Machines the runners that have them.
	Platforms []string `json:"platforms"`
	Machines  []string `json:"machines"`
}

// Failure is a failed build of a default branch.
type Failure struct {
	Repository string `json:"repository"`
	Number     int64  `json:"number"`
	URL        string `json:"url"`
	// Status is Drone's: failure or error.
	Status   string    `json:"status"`
	Finished time.Time `json:"finished"`
	// Seconds is how long it ran.
	Seconds float64 `json:"duration_seconds"`
	// Fixed tells that a newer build of the branch succeeded.
	Fixed bool `json:"fixed"`
}
