package instruments

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inStage is a build with one stage of one step.
func inStage(repository, stage, arch, step string) FinishedBuild {
	b := build("success", "", 10, 70)
	b.Repository = repository
	b.Stages = []FinishedStage{{
		Name: stage, OS: "linux", Arch: arch, Status: "success", Created: start, Started: after(10), Stopped: after(70),
		Steps: []FinishedStep{{Name: step, Status: "success", Started: after(10), Stopped: after(70)}},
	}}
	return b
}

// counts gives how many series an instrument has, how many values were recorded in them, and their sum.
func counts(points []point, name string) (series int, values uint64, sum float64) {
	for _, p := range points {
		if p.name == name {
			series++
			if t, ok := p.value.(total); ok {
				values, sum = values+t.count, sum+t.sum
			}
		}
	}
	return series, values, sum
}

// TestOtherHasNoParts: the stages of the repositories that are folded are not told apart, their platforms are.
func TestOtherHasNoParts(t *testing.T) {
	r := newRig(t, everything)
	r.Finished(inStage(Other, "a", "amd64", "x"))
	r.Finished(inStage(Other, "b", "amd64", "y"))
	r.Finished(inStage(Other, "c", "arm64", "z"))
	const of = "{cicd.pipeline.name=_other cicd.pipeline.result=success "
	want := []string{
		"drone.stage.duration{arch=amd64 cicd.pipeline.name=_other cicd.pipeline.result=success " +
			"cicd.pipeline.run.state=executing os=linux stage=_other} 120 of 2",
		"drone.stage.duration{arch=amd64 cicd.pipeline.name=_other cicd.pipeline.run.state=pending os=linux stage=_other}" +
			" 20 of 2",
		"drone.stage.duration{arch=arm64 cicd.pipeline.name=_other cicd.pipeline.result=success " +
			"cicd.pipeline.run.state=executing os=linux stage=_other} 60 of 1",
		"drone.stage.duration{arch=arm64 cicd.pipeline.name=_other cicd.pipeline.run.state=pending os=linux stage=_other}" +
			" 10 of 1",
		"drone.step.duration" + of + "stage=_other step=_other} 180 of 3",
	}
	if diff := cmp.Diff(want, r.lines(t, "drone.st")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestGeneratedNames: names that are new in every build do not make series without end, and none is lost.
func TestGeneratedNames(t *testing.T) {
	const builds = 1000
	for _, tc := range []struct {
		name                    string
		build                   func(i int) FinishedBuild
		wantStages, wantStepped int
	}{
		{"stages", func(i int) FinishedBuild {
			return inStage("octocat/hello", fmt.Sprint("stage", i), "amd64", "test")
		}, 2 * (maxStages + 1), maxStages + 1},
		{"steps", func(i int) FinishedBuild {
			return inStage("octocat/hello", "default", "amd64", fmt.Sprint("step", i))
		}, 2, maxSteps + 1},
		{"platforms", func(i int) FinishedBuild {
			return inStage("octocat/hello", "default", fmt.Sprint("arch", i), "test")
		}, 2 * (maxPlatforms + 1), 1},
		{"all of them", func(i int) FinishedBuild {
			return inStage("octocat/hello", fmt.Sprint("stage", i), fmt.Sprint("arch", i), fmt.Sprint("step", i))
		}, 2 * (maxStages + 1), maxStages + 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, everything)
			for i := range builds {
				r.Finished(tc.build(i))
				r.Finished(tc.build(0)) // those that had their own series keep them
			}
			points := r.points(t)
			series, values, sum := counts(points, "drone.stage.duration")
			if series != tc.wantStages || values != 4*builds || sum != 2*builds*(60+10) {
				t.Errorf("stages: %d series of %d values, sum %v; want %d of %d", series, values, sum, tc.wantStages, 4*builds)
			}
			series, values, sum = counts(points, "drone.step.duration")
			if series != tc.wantStepped || values != 2*builds || sum != 2*builds*60 {
				t.Errorf("steps: %d series of %d values, sum %v; want %d of %d", series, values, sum, tc.wantStepped, 2*builds)
			}
		})
	}
}

// TestNothingOverflows: ten thousand repositories have ten thousand series, and the SDK merges none.
func TestNothingOverflows(t *testing.T) {
	const repositories = 10_000
	r := newRig(t, everything)
	r.snapshot = manyRepositories(repositories)
	for i := range repositories {
		b := inStage(r.snapshot.Repos[i].Name, "default", "amd64", "test")
		r.Finished(b)
		b.Repository = Other
		r.Finished(b)
	}
	points := r.points(t)
	for _, p := range points {
		if p.attributes.HasValue("otel.metric.overflow") {
			t.Fatalf("%v was merged", p)
		}
	}
	for name, want := range map[string]int{
		"cicd.pipeline.run.active": 2 * (repositories + 1), "drone.build.finished": 3*repositories + 2,
		"cicd.pipeline.run.duration": 2 * (repositories + 1), "drone.stage.duration": 2 * (repositories + 1),
		"drone.step.duration": repositories + 1, "drone.repo.last_build.success": repositories,
	} {
		if series, _, _ := counts(points, name); series != want {
			t.Errorf("%s has %d series, want %d", name, series, want)
		}
	}
	_, values, sum := counts(points, "cicd.pipeline.run.duration")
	if values != 4*repositories || sum != 2*repositories*70 {
		t.Errorf("%d durations have the sum %v", values, sum)
	}
}

// manyRepositories is a snapshot of n repositories and the rest.
func manyRepositories(n int) *Snapshot {
	s := &Snapshot{Up: true, Fresh: start, Polled: start}
	for i := range n {
		s.Repos = append(s.Repos, Repo{
			Name: fmt.Sprintf("octocat/repository-%d", i), Pending: Known(0), Running: Known(1),
			Finished: map[string]int64{"success": 100, "failure": 7, "killed": 1},
			Last:     &LastBuild{Success: true, Finished: start},
		})
	}
	s.Repos = append(s.Repos, Repo{Name: Other, Pending: Known(0), Running: Known(1)})
	return s
}
