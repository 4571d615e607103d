package dronetest

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Statuses of builds, stages and steps, as the API spells them.
const (
	StatusBlocked  = "blocked"
	StatusWaiting  = "waiting_on_dependencies"
	StatusPending  = "pending"
	StatusRunning  = "running"
	StatusSuccess  = "success"
	StatusFailure  = "failure"
	StatusKilled   = "killed"
	StatusError    = "error"
	StatusSkipped  = "skipped"
	StatusDeclined = "declined"
)

// Visibilities of a repository: who but admins may read it. Public: anyone; internal: any user;
// private: users with a permission of their own ([Server.GrantRead]).
const (
	Public   = "public"
	Internal = "internal"
	Private  = "private"
)

// User is a row of /api/users. Times are Unix seconds.
type User struct {
	ID        int64  `json:"id"`
	Login     string `json:"login"`
	Email     string `json:"email"`
	Machine   bool   `json:"machine"`
	Admin     bool   `json:"admin"`
	Active    bool   `json:"active"`
	Avatar    string `json:"avatar"`
	Syncing   bool   `json:"syncing"`
	Synced    int64  `json:"synced"`
	Created   int64  `json:"created"`
	Updated   int64  `json:"updated"`
	LastLogin int64  `json:"last_login"`
	// Token is what the user authorizes with; it is in no answer.
	Token string `json:"-"`
}

// Repo is a row of /api/repos. Times are Unix seconds, Timeout is in minutes, Counter is the number
// of the newest build that was announced.
type Repo struct {
	ID            int64  `json:"id"`
	UID           string `json:"uid"`
	UserID        int64  `json:"user_id"`
	Namespace     string `json:"namespace"`
	Name          string `json:"name"`
	Slug          string `json:"slug"`
	SCM           string `json:"scm"`
	HTTPURL       string `json:"git_http_url"`
	SSHURL        string `json:"git_ssh_url"`
	Link          string `json:"link"`
	Branch        string `json:"default_branch"`
	Private       bool   `json:"private"`
	Visibility    string `json:"visibility"`
	Active        bool   `json:"active"`
	Config        string `json:"config_path"`
	Trusted       bool   `json:"trusted"`
	Protected     bool   `json:"protected"`
	IgnoreForks   bool   `json:"ignore_forks"`
	IgnorePulls   bool   `json:"ignore_pull_requests"`
	CancelPulls   bool   `json:"auto_cancel_pull_requests"`
	CancelPush    bool   `json:"auto_cancel_pushes"`
	CancelRunning bool   `json:"auto_cancel_running"`
	Timeout       int64  `json:"timeout"`
	Throttle      int64  `json:"throttle,omitempty"`
	Counter       int64  `json:"counter"`
	Synced        int64  `json:"synced"`
	Created       int64  `json:"created"`
	Updated       int64  `json:"updated"`
	Version       int64  `json:"version"`
	Build         *Build `json:"build,omitempty"`
	Archived      bool   `json:"archived"`
}

// Build is a build as /api/repos/{owner}/{name}/builds/{number} tells it; lists leave Stages out.
// Times are Unix seconds, 0 where it has not happened.
type Build struct {
	ID           int64             `json:"id"`
	RepoID       int64             `json:"repo_id"`
	Trigger      string            `json:"trigger"`
	Number       int64             `json:"number"`
	Parent       int64             `json:"parent,omitempty"`
	Status       string            `json:"status"`
	Error        string            `json:"error,omitempty"`
	Event        string            `json:"event"`
	Action       string            `json:"action"`
	Link         string            `json:"link"`
	Timestamp    int64             `json:"timestamp"`
	Title        string            `json:"title,omitempty"`
	Message      string            `json:"message"`
	Before       string            `json:"before"`
	After        string            `json:"after"`
	Ref          string            `json:"ref"`
	Fork         string            `json:"source_repo"`
	Source       string            `json:"source"`
	Target       string            `json:"target"`
	Author       string            `json:"author_login"`
	AuthorName   string            `json:"author_name"`
	AuthorEmail  string            `json:"author_email"`
	AuthorAvatar string            `json:"author_avatar"`
	Sender       string            `json:"sender"`
	Params       map[string]string `json:"params,omitempty"`
	Cron         string            `json:"cron,omitempty"`
	Deploy       string            `json:"deploy_to,omitempty"`
	DeployID     int64             `json:"deploy_id,omitempty"`
	Debug        bool              `json:"debug,omitempty"`
	Started      int64             `json:"started"`
	Finished     int64             `json:"finished"`
	Created      int64             `json:"created"`
	Updated      int64             `json:"updated"`
	Version      int64             `json:"version"`
	Stages       []*Stage          `json:"stages,omitempty"`
}

// Stage is a pipeline of a build, what Drone's metrics call a job; rows of /api/queue leave Steps
// out. Times are Unix seconds.
type Stage struct {
	ID        int64             `json:"id"`
	RepoID    int64             `json:"repo_id"`
	BuildID   int64             `json:"build_id"`
	Number    int               `json:"number"`
	Name      string            `json:"name"`
	Kind      string            `json:"kind,omitempty"`
	Type      string            `json:"type,omitempty"`
	Status    string            `json:"status"`
	Error     string            `json:"error,omitempty"`
	ErrIgnore bool              `json:"errignore"`
	ExitCode  int               `json:"exit_code"`
	Machine   string            `json:"machine,omitempty"`
	OS        string            `json:"os"`
	Arch      string            `json:"arch"`
	Variant   string            `json:"variant,omitempty"`
	Kernel    string            `json:"kernel,omitempty"`
	Limit     int               `json:"limit,omitempty"`
	LimitRepo int               `json:"throttle,omitempty"`
	Started   int64             `json:"started"`
	Stopped   int64             `json:"stopped"`
	Created   int64             `json:"created"`
	Updated   int64             `json:"updated"`
	Version   int64             `json:"version"`
	OnSuccess bool              `json:"on_success"`
	OnFailure bool              `json:"on_failure"`
	DependsOn []string          `json:"depends_on,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Steps     []*Step           `json:"steps,omitempty"`

	plan []string // names of the steps that a runner will report when it starts the stage
}

// Step is a step of a stage. Times are Unix seconds.
type Step struct {
	ID        int64    `json:"id"`
	StageID   int64    `json:"step_id"` // Drone's own mistake: it holds the stage's id
	Number    int      `json:"number"`
	Name      string   `json:"name"`
	Status    string   `json:"status"`
	Error     string   `json:"error,omitempty"`
	ErrIgnore bool     `json:"errignore,omitempty"`
	ExitCode  int      `json:"exit_code"`
	Started   int64    `json:"started,omitempty"`
	Stopped   int64    `json:"stopped,omitempty"`
	Version   int64    `json:"version"`
	DependsOn []string `json:"depends_on,omitempty"`
	Image     string   `json:"image,omitempty"`
	Detached  bool     `json:"detached,omitempty"`
	Schema    string   `json:"schema,omitempty"`
}

// stageRow is a row of /api/builds/incomplete/v2. The two limits are numbers in quotes there.
type stageRow struct {
	RepoNamespace     string `json:"repo_namespace"`
	RepoName          string `json:"repo_name"`
	RepoSlug          string `json:"repo_slug"`
	BuildNumber       int64  `json:"build_number"`
	BuildAuthor       string `json:"build_author"`
	BuildAuthorName   string `json:"build_author_name"`
	BuildAuthorEmail  string `json:"build_author_email"`
	BuildAuthorAvatar string `json:"build_author_avatar"`
	BuildSender       string `json:"build_sender"`
	BuildStarted      int64  `json:"build_started"`
	BuildFinished     int64  `json:"build_finished"`
	BuildCreated      int64  `json:"build_created"`
	BuildUpdated      int64  `json:"build_updated"`
	StageName         string `json:"stage_name"`
	StageKind         string `json:"stage_kind"`
	StageType         string `json:"stage_type"`
	StageStatus       string `json:"stage_status"`
	StageMachine      string `json:"stage_machine"`
	StageOS           string `json:"stage_os"`
	StageArch         string `json:"stage_arch"`
	StageVariant      string `json:"stage_variant"`
	StageKernel       string `json:"stage_kernel"`
	StageLimit        int    `json:"stage_limit,string"`
	StageLimitRepo    int    `json:"stage_limit_repo,string"`
	StageStarted      int64  `json:"stage_started"`
	StageStopped      int64  `json:"stage_stopped"`
}

// encode gives v as Drone's json.Encoder does, with the newline at the end. The types of this
// package always encode.
func encode(v any) []byte {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		panic("dronetest: encode: " + err.Error())
	}
	return b.Bytes()
}

// clone gives a copy that shares nothing with the world, for callers outside the lock.
func (b *Build) clone() Build {
	c := *b
	c.Stages = make([]*Stage, len(b.Stages))
	for i, st := range b.Stages {
		s := *st
		s.DependsOn = slices.Clone(st.DependsOn)
		s.Steps = make([]*Step, len(st.Steps))
		for j, step := range st.Steps {
			p := *step
			s.Steps[j] = &p
		}
		c.Stages[i] = &s
	}
	return c
}

// has tells whether a stage of the build has the status, which is what Drone counts builds by.
func (b *Build) has(status string) bool {
	return slices.ContainsFunc(b.Stages, func(st *Stage) bool { return st.Status == status })
}

// done tells whether a build, stage or step with the status is over, as Drone's IsDone does.
func done(status string) bool {
	switch status {
	case StatusWaiting, StatusPending, StatusRunning, StatusBlocked:
		return false
	}
	return true
}
