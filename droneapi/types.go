package droneapi

// Status is the status of a build, a stage or a step, in Drone's words.
type Status string

// The statuses that Drone 1.0 to 2.25 know. The first four are open, the others final.
const (
	StatusBlocked  Status = "blocked"
	StatusWaiting  Status = "waiting_on_dependencies"
	StatusPending  Status = "pending"
	StatusRunning  Status = "running"
	StatusSuccess  Status = "success"
	StatusFailure  Status = "failure"
	StatusKilled   Status = "killed"
	StatusError    Status = "error"
	StatusSkipped  Status = "skipped"
	StatusDeclined Status = "declined"
)

// Known tells whether this is a status that the client knows.
func (s Status) Known() bool {
	switch s {
	case StatusBlocked, StatusWaiting, StatusPending, StatusRunning:
		return true
	}
	return s.Final()
}

// Final tells whether nothing follows this status. A status that is not known is not final: whoever has it
// is asked about again.
func (s Status) Final() bool {
	switch s {
	case StatusSuccess, StatusFailure, StatusKilled, StatusError, StatusSkipped, StatusDeclined:
		return true
	}
	return false
}

// User is an account, as /api/user and /api/users list it.
type User struct {
	ID      int64  `json:"id"`
	Login   string `json:"login"`
	Machine bool   `json:"machine"`
	Admin   bool   `json:"admin"`
	Active  bool   `json:"active"`
}

// Repo is a repository, as /api/repos lists it.
type Repo struct {
	ID            int64  `json:"id"`
	Namespace     string `json:"namespace"`
	Name          string `json:"name"`
	Slug          string `json:"slug"`
	DefaultBranch string `json:"default_branch"`
	// Active tells whether Drone builds it.
	Active bool `json:"active"`
	// Counter is the number of its newest build. Drone raises it before it stores the build, so the build
	// may not exist yet, or never.
	Counter int64 `json:"counter"`
}

// Build is one run of a repository's pipelines. The builds list has it without its stages.
type Build struct {
	// ID is unique on the server.
	ID int64 `json:"id"`
	// Number is unique in the repository, from 1.
	Number int64  `json:"number"`
	Status Status `json:"status"`
	// Error is what kept the build from running, as a configuration that cannot be read.
	Error string `json:"error"`
	// Event is what caused it: push, pull_request, tag, cron, promote, rollback or custom.
	Event string `json:"event"`
	// Target is the branch it is for.
	Target string `json:"target"`
	// Created, Started and Finished are Unix seconds, 0 where it has not happened.
	Created  int64   `json:"created"`
	Started  int64   `json:"started"`
	Finished int64   `json:"finished"`
	Stages   []Stage `json:"stages"`
}

// Stage is one pipeline of a build, what Drone's metrics call a job. The queue has it without its steps.
type Stage struct {
	ID      int64  `json:"id"`
	RepoID  int64  `json:"repo_id"`
	BuildID int64  `json:"build_id"`
	Name    string `json:"name"`
	// Type is the kind of runner: docker, kubernetes, exec, ssh, ...
	Type   string `json:"type"`
	Status Status `json:"status"`
	// Error is what the runner or the server has to say of its failure; empty where a step failed.
	Error string `json:"error"`
	// Machine is the runner that took it.
	Machine string            `json:"machine"`
	OS      string            `json:"os"`
	Arch    string            `json:"arch"`
	Labels  map[string]string `json:"labels"`
	// Created, Started and Stopped are Unix seconds, 0 where it has not happened.
	Created int64  `json:"created"`
	Started int64  `json:"started"`
	Stopped int64  `json:"stopped"`
	Steps   []Step `json:"steps"`
}

// Step is one command or plugin of a stage.
type Step struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// IgnoreError tells that its failure does not make the stage fail.
	IgnoreError bool `json:"errignore"`
	// Started and Stopped are Unix seconds, 0 where it has not happened.
	Started int64 `json:"started"`
	Stopped int64 `json:"stopped"`
}

// Stats is the part of /api/system/stats that is exact.
type Stats struct {
	// Builds is the number of builds the server stores.
	Builds int64
}
