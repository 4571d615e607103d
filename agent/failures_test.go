package agent

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
)

// red is a failure, as a test names it.
type red struct {
	Slug   string
	Number int64
	Status string
	Fixed  bool
}

// reds are the failures that people are shown, which must agree with what the metrics say of the newest build.
func (r *rig) reds(t *testing.T) []red {
	t.Helper()
	var out []red
	now := map[string]bool{}
	for _, f := range r.seen().failures {
		out = append(out, red{f.Repository, f.Number, f.Status, f.Fixed})
		if now[f.Repository] = f.Fixed; f.URL != fmt.Sprintf("http://drone.test/%s/%d", f.Repository, f.Number) {
			t.Errorf("%s #%d is at %s", f.Repository, f.Number, f.URL)
		}
	}
	for _, repo := range r.newest.Load().Repos {
		if repo.Last == nil || !repo.Last.Success || len(out) == shownFailures { // then some may be beyond the list
			continue
		}
		if fixed, listed := now[repo.Name]; listed && !fixed {
			t.Errorf("%s: the last build succeeded, and it is listed as still red", repo.Name)
		}
	}
	return out
}

// end ends a build after it has run for a while.
func (r *rig) end(t *testing.T, slug string, number int64, status string) {
	t.Helper()
	r.drone.StartStage(slug, number, 1, "runner")
	r.pass(t, 2)
	r.drone.FinishBuild(slug, number, status)
	r.pass(t, 1)
}

func TestLastFailures(t *testing.T) {
	const slug = "a/b"
	run := func(t *testing.T, r *rig, statuses ...string) {
		t.Helper()
		for _, status := range statuses {
			r.end(t, slug, r.drone.CreateBuild(slug, dronetest.BuildSpec{}).Number, status)
		}
	}
	cases := []struct {
		name string
		play func(t *testing.T, r *rig)
		want []red
	}{
		{"none", func(t *testing.T, r *rig) { run(t, r, "success") }, nil},
		{"still red", func(t *testing.T, r *rig) { run(t, r, "success", "failure") }, []red{{slug, 2, "failure", false}}},
		{"fixed", func(t *testing.T, r *rig) {
			run(t, r, "failure", "success", "success")
		}, []red{{slug, 1, "failure", true}}},
		{"again", func(t *testing.T, r *rig) { run(t, r, "failure", "success", "error") }, []red{{slug, 3, "error", false}}},
		{"killed", func(t *testing.T, r *rig) { run(t, r, "success", "killed") }, nil},
		{"killed after a failure", func(t *testing.T, r *rig) {
			run(t, r, "failure", "killed")
		}, []red{{slug, 1, "failure", false}}},
		{"killed after it was fixed", func(t *testing.T, r *rig) {
			run(t, r, "failure", "success", "killed")
		}, []red{{slug, 1, "failure", true}}},
		{"of what was the default branch", func(t *testing.T, r *rig) {
			run(t, r, "failure")
			r.drone.UpdateRepo(slug, func(repo *dronetest.Repo) { repo.Branch = "trunk" })
			r.pass(t, 6)
		}, nil},
		{"of another default branch than before", func(t *testing.T, r *rig) {
			run(t, r, "success", "failure")
			r.drone.UpdateRepo(slug, func(repo *dronetest.Repo) { repo.Branch = "trunk" })
			r.pass(t, 6)
			run(t, r, "failure")
		}, []red{{slug, 3, "failure", false}}},
		{"switched off", func(t *testing.T, r *rig) {
			run(t, r, "failure")
			r.drone.SetRepoActive(slug, false)
			r.pass(t, 6)
		}, nil},
		{"no stages", func(t *testing.T, r *rig) {
			r.drone.CreateBuild(slug, dronetest.BuildSpec{Error: "yaml: line 3"})
			r.pass(t, 4)
		}, []red{{slug, 1, "error", false}}},
		{"another branch", func(t *testing.T, r *rig) {
			r.end(t, slug, r.drone.CreateBuild(slug, dronetest.BuildSpec{Branch: "topic"}).Number, "failure")
		}, nil},
		{"the older one fails later", func(t *testing.T, r *rig) {
			r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.pass(t, 1)
			r.end(t, slug, 2, "success")
			r.end(t, slug, 1, "failure")
		}, []red{{slug, 1, "failure", true}}},
		{"the older one fails later, too", func(t *testing.T, r *rig) {
			r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.pass(t, 1)
			r.end(t, slug, 2, "failure")
			r.end(t, slug, 1, "error")
		}, []red{{slug, 2, "failure", false}}},
		{"removed", func(t *testing.T, r *rig) {
			run(t, r, "failure")
			r.drone.DeleteRepo(slug)
			r.pass(t, 10)
		}, nil},
		{"excluded", func(t *testing.T, r *rig) {
			r.end(t, "secret/repo", r.drone.CreateBuild("secret/repo", dronetest.BuildSpec{}).Number, "failure")
		}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
				drone := dronetest.New(edition)
				for _, slug := range []string{slug, "secret/repo", "a/quiet"} {
					drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
				}
				r := newRig(t, drone, func(c *watchConfig) {
					c.Selection = selectionConfig{Include: []string{"*"}, Exclude: []string{"secret/*"}, Limit: 1000}
				})
				r.mustPoll(t)
				c.play(t, r)
				if diff := cmp.Diff(c.want, r.reds(t)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestManyFailures shows the newest, of those without series of their own, too.
func TestManyFailures(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		var want []red
		for i := range 30 {
			slug := fmt.Sprintf("a/repo-%02d", i)
			drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		}
		r := newRig(t, drone, func(c *watchConfig) { c.Selection = selectionConfig{Include: []string{"*"}, Limit: 3} })
		r.mustPoll(t)
		for i := range 30 {
			slug := fmt.Sprintf("a/repo-%02d", i*7%30)
			r.end(t, slug, drone.CreateBuild(slug, dronetest.BuildSpec{}).Number, "failure")
			if i >= 30-shownFailures {
				want = append([]red{{slug, 1, "failure", false}}, want...)
			}
		}
		if diff := cmp.Diff(want, r.reds(t)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestFailuresSurviveARestart restarts the agent, with everything that is told of a failure.
func TestFailuresSurviveARestart(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		folder := t.TempDir()
		drone := dronetest.New(edition)
		for _, slug := range []string{"a/red", "a/green"} {
			drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		}
		r := newStatefulRig(t, drone, folder)
		r.watcher.selection = newSelection(selectionConfig{Include: []string{"*"}, Limit: 10})
		r.mustPoll(t)
		for _, slug := range []string{"a/red", "a/green"} {
			r.end(t, slug, drone.CreateBuild(slug, dronetest.BuildSpec{}).Number, "error")
		}
		r.end(t, "a/green", drone.CreateBuild("a/green", dronetest.BuildSpec{}).Number, "success")
		want := r.seen().failures
		if len(want) != 2 || want[0].Seconds != 30 || !want[0].Fixed || want[1].Fixed || want[1].Status != "error" {
			t.Fatalf("before the restart: %+v", want)
		}
		r = r.restart(t, folder)
		r.watcher.selection = newSelection(selectionConfig{Include: []string{"*"}, Limit: 10})
		time.Sleep(r.interval)
		r.mustPoll(t)
		if diff := cmp.Diff(want, r.seen().failures); diff != "" {
			t.Errorf("after the restart (-before +after):\n%s", diff)
		}
	})
}

// TestFailureInARecord reads what this version and the one before it wrote, which knew the newest build alone.
func TestFailureInARecord(t *testing.T) {
	const (
		last   = `{"number":4,"seconds":1.5,"finished":9}`
		failed = `{"number":3,"seconds":2,"finished":8,"status":"error","branch":"main"}`
	)
	cases := []struct{ name, record, want string }{
		{"nothing ended", `{}`, "null 0"},
		{"before: green", `{"last":{"number":4,"success":true,"seconds":1,"finished":9}}`, "null 4"},
		{"before: red, or something else", `{"last":` + last + `}`, "null 0"},
		{"red", `{"last":` + last + `,"failed":` + failed + `}`, `[3,"error",2,8,"main"] 0`},
		{"green again", `{"last":` + last + `,"failed":` + failed + `,"succeeded":4}`, `[3,"error",2,8,"main"] 4`},
		{"no such build", `{"last":{"success":true}}`, "error"},
		{"no such failure", `{"failed":{"number":-1}}`, "error"},
	}
	for _, c := range cases {
		got := "error"
		if r, err := decodeRecord(1, []byte(c.record)); err == nil {
			var seen any
			if f := r.lastFailed; f != nil {
				seen = []any{f.number, f.status, f.Duration.Seconds(), f.Finished.Unix(), f.branch}
			}
			raw, _ := json.Marshal(seen)
			got = fmt.Sprint(string(raw), " ", r.lastSucceeded)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
