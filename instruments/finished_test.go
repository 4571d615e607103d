package instruments

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// build is one of octocat/hello with the times in seconds after its creation; 0 is never.
func build(status, errorType string, started, finished int) FinishedBuild {
	b := FinishedBuild{
		ID: 4711, Number: 42, Repository: "octocat/hello", Slug: "octocat/hello", Event: "push",
		Status: status, ErrorType: errorType, DefaultBranch: true, Created: start,
	}
	b.Started, b.Finished = moment(started), moment(finished)
	return b
}

func moment(seconds int) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return after(seconds)
}

// short takes what is the same in every line away.
func short(lines []string) []string {
	for i, line := range lines {
		line = strings.NewReplacer("cicd.pipeline.name=octocat/hello ", "", "cicd.pipeline.run.", "", "cicd.pipeline.", "",
			"drone.branch.class=", "", "drone.build.event=", "").Replace(line)
		lines[i] = line
	}
	return lines
}

func TestFinishedBuild(t *testing.T) {
	for _, tc := range []struct {
		name  string
		build FinishedBuild
		want  []string
	}{
		{"success", build("success", "", 10, 70), []string{
			"duration{result=success state=executing default} 60 of 1",
			"duration{state=pending default} 10 of 1",
		}},
		{"failure of a step", build("failure", "step", 10, 70), []string{
			"duration{result=failure state=executing default error.type=step} 60 of 1",
			"duration{state=pending default} 10 of 1",
			"errors{error.type=step} 1",
		}},
		{"error of a runner", build("error", "runner", 10, 70), []string{
			"duration{result=error state=executing default error.type=runner} 60 of 1",
			"duration{state=pending default} 10 of 1",
			"errors{error.type=runner} 1",
		}},
		{"killed while it ran", build("killed", "", 10, 70), []string{
			"duration{result=cancellation state=executing default} 60 of 1",
			"duration{state=pending default} 10 of 1",
		}},
		{"killed for taking too long", build("killed", "timeout", 10, 70), []string{
			"duration{result=cancellation state=executing default error.type=timeout} 60 of 1",
			"duration{state=pending default} 10 of 1",
			"errors{error.type=timeout} 1",
		}},
		{"killed while it waited", build("killed", "", 30, 30), []string{
			"duration{result=cancellation state=pending default} 30 of 1",
		}},
		{"skipped for a newer one", build("skipped", "", 30, 30), []string{
			"duration{result=skip state=pending default} 30 of 1",
		}},
		{"skipped, without a start", build("skipped", "", 0, 30), []string{
			"duration{result=skip state=pending default} 30 of 1",
		}},
		{"declined", build("declined", "", 0, 30), nil},
		{"declined, with a start", build("declined", "", 30, 30), nil},
		{"a faulty configuration", build("error", "config", 1, 1), []string{"errors{error.type=config} 1"}},
		{"an error without a start", build("error", "config", 0, 1), []string{"errors{error.type=config} 1"}},
		{"done within a second", build("success", "", 1, 1), []string{
			"duration{result=success state=executing default} 0 of 1",
			"duration{state=pending default} 1 of 1",
		}},
		{"clocks that disagree", build("failure", "step", -5, -7), []string{
			"duration{result=failure state=executing default error.type=step} 0 of 1",
			"duration{state=pending default} 0 of 1",
			"errors{error.type=step} 1",
		}},
		{"no end", build("success", "", 10, 0), []string{"duration{state=pending default} 10 of 1"}},
		{"a failure nobody explained", build("failure", "", 10, 20), []string{
			"duration{result=failure state=executing default error.type=_OTHER} 10 of 1",
			"duration{state=pending default} 10 of 1",
			"errors{error.type=_OTHER} 1",
		}},
		{"a failure in other words", build("failure", "exit code 7", 10, 20), []string{
			"duration{result=failure state=executing default error.type=_OTHER} 10 of 1",
			"duration{state=pending default} 10 of 1",
			"errors{error.type=_OTHER} 1",
		}},
		{"a status nobody knows", build("vanished", "", 10, 20), []string{
			"duration{state=executing default} 10 of 1",
			"duration{state=pending default} 10 of 1",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.Finished(tc.build)
			got := short(r.lines(t, "cicd.", "drone."))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestStartedByItsStages: a build with equal start and end ran where one of its stages did.
func TestStartedByItsStages(t *testing.T) {
	for _, tc := range []struct {
		name  string
		stage FinishedStage
		want  bool
	}{
		{"killed in its first second", FinishedStage{Status: "killed", Started: after(30), Stopped: after(30)}, true},
		{"cancelled while it waited", FinishedStage{Status: "skipped", Started: after(30), Stopped: after(30)}, false},
		{"never started", FinishedStage{Status: "error", Stopped: after(30)}, false},
	} {
		b := build("killed", "", 30, 30)
		b.Stages = []FinishedStage{{Status: "skipped"}, tc.stage}
		if got := b.ran(); got != tc.want {
			t.Errorf("%s: the build ran: %v", tc.name, got)
		}
	}
}

func TestBranchClassAndEvent(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Events = true })
	b := build("success", "", 10, 70)
	r.Finished(b)
	b.DefaultBranch, b.Event = false, "pull_request"
	r.Finished(b)
	b.Event = "made up"
	r.Finished(b)
	b.Event = ""
	r.Finished(b)
	want := []string{
		"duration{result=success state=executing default push} 60 of 1",
		"duration{result=success state=executing other _other} 60 of 1",
		"duration{result=success state=executing other pull_request} 60 of 1",
		"duration{result=success state=executing other} 60 of 1",
		"duration{state=pending default push} 10 of 1",
		"duration{state=pending other _other} 10 of 1",
		"duration{state=pending other pull_request} 10 of 1",
		"duration{state=pending other} 10 of 1",
	}
	if diff := cmp.Diff(want, short(r.lines(t, "cicd."))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// staged is a build with stages and steps in all states.
func staged() FinishedBuild {
	b := build("killed", "", 10, 100)
	b.Stages = []FinishedStage{
		{Name: "linux", Type: "docker", OS: "linux", Arch: "amd64", Status: "failure",
			Created: start, Started: after(10), Stopped: after(60), Steps: []FinishedStep{
				{Name: "clone", Status: "success", Started: after(10), Stopped: after(12)},
				{Name: "test", Status: "failure", Started: after(12), Stopped: after(59)},
				{Name: "publish", Status: "skipped"},
			}},
		{Name: "arm", Type: "docker", OS: "linux", Arch: "arm64", Status: "killed",
			Created: start, Started: after(20), Stopped: after(100), Steps: []FinishedStep{
				{Name: "clone", Status: "killed", Started: after(20), Stopped: after(19)},
				{Name: "test", Status: "skipped", Started: after(100), Stopped: after(100)},
				{Name: "notify", Status: "running", Started: after(20)},
			}},
		{Name: "release", OS: "linux", Arch: "amd64", Status: "skipped",
			Created: start, Started: after(60), Stopped: after(60)},
		{Name: "docs", OS: "linux", Arch: "amd64", Status: "error", Created: start, Stopped: after(60)},
	}
	return b
}

var (
	stageLines = []string{
		"drone.stage.duration{arch=amd64 result=failure state=executing os=linux stage=linux} 50 of 1",
		"drone.stage.duration{arch=amd64 state=pending os=linux stage=linux} 10 of 1",
		"drone.stage.duration{arch=arm64 result=cancellation state=executing os=linux stage=arm} 80 of 1",
		"drone.stage.duration{arch=arm64 state=pending os=linux stage=arm} 20 of 1",
	}
	stepLines = []string{
		"drone.step.duration{result=cancellation stage=arm step=clone} 0 of 1",
		"drone.step.duration{result=failure stage=linux step=test} 47 of 1",
		"drone.step.duration{result=success stage=linux step=clone} 2 of 1",
	}
)

func TestStagesAndSteps(t *testing.T) {
	for _, tc := range []struct {
		name          string
		stages, steps bool
		want          []string
	}{
		{"neither", false, false, nil},
		{"stages", true, false, stageLines},
		{"steps", false, true, stepLines},
		{"both", true, true, append(stageLines[:len(stageLines):len(stageLines)], stepLines...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.Stages, o.Steps = tc.stages, tc.steps })
			b := staged()
			r.Finished(b)
			if diff := cmp.Diff(tc.want, short(r.lines(t, "drone.st"))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(staged(), b); diff != "" {
				t.Errorf("the build was changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestFailed(t *testing.T) {
	r := newRig(t, nil)
	r.RequestFailed("timeout")
	r.RequestFailed("timeout")
	r.RequestFailed("")
	r.now = after(3600) // it tells of the agent
	want := []string{
		"cicd.system.errors{cicd.system.component=drone-api error.type=_OTHER} 1",
		"cicd.system.errors{cicd.system.component=drone-api error.type=timeout} 2",
	}
	if diff := cmp.Diff(want, r.lines(t, "cicd.")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAtOnce is for the race detector: builds end while both readers collect.
func TestAtOnce(t *testing.T) {
	r := newRig(t, everything)
	r.snapshot = fullSnapshot()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { r.Finished(staged()) })
		all.Go(func() { r.RequestFailed("500") })
		all.Go(func() { r.points(t) })
	}
	all.Wait()
	want := "cicd.system.errors{cicd.system.component=drone-api error.type=500} 4"
	if got := r.lines(t, "cicd.system"); len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
