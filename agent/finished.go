package agent

import (
	"strings"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/instruments"
)

// finished translates a build that ended into what the instruments are told of it.
func finished(r *repository, name string, build droneapi.Build) instruments.FinishedBuild {
	out := instruments.FinishedBuild{
		ID: build.ID, Number: build.Number, Repository: name, Slug: r.Slug,
		Status: string(build.Status), ErrorType: errorType(build), Event: build.Event,
		DefaultBranch: onDefaultBranch(r, build),
		Created:       unix(build.Created), Started: unix(build.Started), Finished: unix(build.Finished),
	}
	for _, stage := range build.Stages {
		s := instruments.FinishedStage{
			Name: stage.Name, Type: stage.Type, OS: stage.OS, Arch: stage.Arch, Status: string(stage.Status),
			Created: unix(stage.Created), Started: unix(stage.Started), Stopped: unix(stage.Stopped),
		}
		for _, step := range stage.Steps {
			s.Steps = append(s.Steps, instruments.FinishedStep{
				Name: step.Name, Status: string(step.Status), Started: unix(step.Started), Stopped: unix(step.Stopped),
			})
		}
		out.Stages = append(out.Stages, s)
	}
	return out
}

// onDefaultBranch tells whether a build is one of the default branch itself. A pull request has the branch it
// is meant for as its target, and is none.
func onDefaultBranch(r *repository, build droneapi.Build) bool {
	switch build.Event {
	case "pull_request", "tag":
		return false
	}
	return build.Target != "" && build.Target == r.DefaultBranch
}

// What makes a build fail, as instruments.FinishedBuild names it.
const (
	errorStep    = "step"
	errorConfig  = "config"
	errorRunner  = "runner"
	errorTimeout = "timeout"
	errorOther   = "_OTHER"
)

// errorType finds what made a build fail; empty where it did not.
func errorType(build droneapi.Build) string {
	if build.Status != droneapi.StatusFailure && build.Status != droneapi.StatusError {
		return ""
	}
	if build.Error != "" {
		return errorConfig
	}
	step := false
	for _, stage := range build.Stages {
		switch {
		case strings.Contains(stage.Error, "deadline exceeded"), strings.Contains(stage.Error, "timeout"):
			return errorTimeout
		case stage.Error != "":
			return errorRunner
		}
		for _, s := range stage.Steps {
			step = step || !s.IgnoreError && (s.Status == droneapi.StatusFailure || s.Status == droneapi.StatusError)
		}
	}
	if step {
		return errorStep
	}
	return errorOther
}
