package agent

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

// told is a build that ended, as a test names it.
type told struct {
	slug   string
	number int64
	status string
}

// listen collects what a rig tells.
func (r *rig) listen() *[]told {
	out := &[]told{}
	r.finished = func(b instruments.FinishedBuild) {
		*out = append(*out, told{b.Slug, b.Number, b.Status})
	}
	return out
}

// restart makes a new agent on the same server and the same state, as after a kill: the old one does not get to
// say good-bye.
func (r *rig) restart(t *testing.T, folder string) *rig {
	t.Helper()
	if r.state != nil {
		r.state.close()
	}
	return newStatefulRig(t, r.drone, folder)
}

func newStatefulRig(t *testing.T, drone *dronetest.Server, folder string) *rig {
	t.Helper()
	r := newRig(t, drone, func(c *watchConfig) { c.UsersInterval = time.Minute })
	r.state = openState(folder, "http://drone.test", slog.New(slog.NewTextHandler(r.logs, nil)))
	t.Cleanup(r.state.close)
	r.state.load(r.watcher)
	return r
}

// TestEachBuildIsToldOnce goes through the ways a build may end.
func TestEachBuildIsToldOnce(t *testing.T) {
	const slug = "org/repo"
	cases := []struct {
		name string
		play func(t *testing.T, r *rig)
		want []told
	}{
		{"seen all along", func(t *testing.T, r *rig) {
			b := r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.pass(t, 2)
			r.drone.StartStage(slug, b.Number, 1, "runner")
			r.pass(t, 2)
			r.drone.FinishBuild(slug, b.Number, "failure")
		}, []told{{slug, 3, "failure"}}},
		{"born and gone between two polls", func(_ *testing.T, r *rig) {
			b := r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.drone.StartStage(slug, b.Number, 1, "runner")
			r.drone.FinishBuild(slug, b.Number, "success")
		}, []told{{slug, 3, "success"}}},
		{"without stages", func(_ *testing.T, r *rig) {
			r.drone.CreateBuild(slug, dronetest.BuildSpec{Error: "yaml: line 3"})
		}, []told{{slug, 3, "error"}}},
		{"out of order", func(t *testing.T, r *rig) {
			for range 3 {
				r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			}
			r.pass(t, 1)
			for _, number := range []int64{5, 3, 4} {
				r.drone.StartStage(slug, number, 1, "runner")
				r.drone.FinishBuild(slug, number, "success")
				r.pass(t, 1)
			}
		}, []told{{slug, 5, "success"}, {slug, 3, "success"}, {slug, 4, "success"}}},
		{"announced before its row", func(t *testing.T, r *rig) {
			number := r.drone.AnnounceBuild(slug)
			r.pass(t, 1)
			r.drone.StoreBuild(slug, number, dronetest.BuildSpec{})
			r.drone.StartStage(slug, number, 1, "runner")
			r.drone.FinishBuild(slug, number, "success")
		}, []told{{slug, 3, "success"}}},
		{"a number that never comes", func(t *testing.T, r *rig) {
			r.drone.AnnounceBuild(slug)
			r.pass(t, 2)
			r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.drone.KillBuild(slug, 4)
		}, []told{{slug, 4, "killed"}}},
		{"blocked for a day", func(t *testing.T, r *rig) {
			b := r.drone.CreateBuild(slug, dronetest.BuildSpec{Blocked: true})
			r.pass(t, 1)
			time.Sleep(24 * time.Hour)
			r.pass(t, 1)
			r.drone.ApproveBuild(slug, b.Number)
			r.pass(t, 1)
			r.drone.StartStage(slug, b.Number, 1, "runner")
			r.drone.FinishBuild(slug, b.Number, "success")
		}, []told{{slug, 3, "success"}}},
		{"declined", func(t *testing.T, r *rig) {
			b := r.drone.CreateBuild(slug, dronetest.BuildSpec{Blocked: true})
			r.pass(t, 1)
			r.drone.DeclineBuild(slug, b.Number)
		}, []told{{slug, 3, "declined"}}},
		{"renamed", func(t *testing.T, r *rig) {
			b := r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.pass(t, 1)
			r.drone.RenameRepo(slug, "org/other")
			r.drone.StartStage("org/other", b.Number, 1, "runner")
			r.drone.FinishBuild("org/other", b.Number, "success")
			r.pass(t, 4)
			r.drone.RenameRepo("org/other", slug)
		}, []told{{"org/other", 3, "success"}}},
		{"deactivated", func(t *testing.T, r *rig) {
			b := r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.pass(t, 1)
			r.drone.SetRepoActive(slug, false)
			r.drone.KillBuild(slug, b.Number)
		}, []told{{slug, 3, "killed"}}},
		{"a repository that answers 404 for a while", func(t *testing.T, r *rig) {
			open := r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.pass(t, 1)
			r.drone.Intercept(dronetest.Chain(
				dronetest.Status(404, `{"message":"Not Found"}`, dronetest.On("/api/repos/{owner}/{name}/builds")),
				dronetest.Status(404, `{"message":"Not Found"}`, dronetest.On("/api/repos/{owner}/{name}/builds/{number}")),
			))
			r.pass(t, 4)
			r.drone.KillBuild(slug, open.Number)
			b := r.drone.CreateBuild(slug, dronetest.BuildSpec{})
			r.drone.KillBuild(slug, b.Number)
			r.pass(t, 8)
			r.drone.Intercept(nil)
			time.Sleep(time.Hour)
		}, []told{{slug, 3, "killed"}, {slug, 4, "killed"}}},
		{"a repository that is new", func(_ *testing.T, r *rig) {
			r.drone.AddRepo(dronetest.Repo{Slug: "org/new", Active: true})
			b := r.drone.CreateBuild("org/new", dronetest.BuildSpec{})
			r.drone.KillBuild("org/new", b.Number)
		}, []told{{"org/new", 1, "killed"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
				drone := dronetest.New(edition)
				drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
				for range 2 { // of the past, never told
					b := drone.CreateBuild(slug, dronetest.BuildSpec{})
					drone.KillBuild(slug, b.Number)
				}
				time.Sleep(time.Hour)
				r := newRig(t, drone)
				got := r.listen()
				r.mustPoll(t)
				c.play(t, r)
				r.pass(t, 12)
				if diff := cmp.Diff(c.want, *got, cmp.AllowUnexported(told{})); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestNothingIsLostByARestart lets builds end while the agent is down.
func TestNothingIsLostByARestart(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		folder := t.TempDir()
		drone := dronetest.New(edition)
		drone.Populate(dronetest.Population{Repos: 300, Builds: 3000, Seed: 5})
		slug := drone.Repos()[0].Slug
		r := newStatefulRig(t, drone, folder)
		got := r.listen()
		r.mustPoll(t)
		open := drone.CreateBuild(slug, dronetest.BuildSpec{})
		r.pass(t, 1)
		if len(*got) != 0 {
			t.Fatalf("told %v before anything ended", *got)
		}
		drone.KillBuild(slug, open.Number)
		short := drone.CreateBuild(slug, dronetest.BuildSpec{})
		drone.KillBuild(slug, short.Number)
		drone.AddRepo(dronetest.Repo{Slug: "came/meanwhile", Active: true})
		drone.CreateBuild("came/meanwhile", dronetest.BuildSpec{Error: "no"})

		r = r.restart(t, folder)
		got = r.listen()
		drone.ResetAccounting()
		r.mustPoll(t)
		if n := drone.RequestCount(); n > 12 {
			t.Errorf("the restart cost %d requests, want a handful: %v", n, drone.Requests())
		}
		r.exact(t, "after the restart")
		want := []told{{"came/meanwhile", 1, "error"}, {slug, open.Number, "killed"}, {slug, short.Number, "killed"}}
		byName := func(list []told) map[told]int {
			out := map[told]int{}
			for _, one := range list {
				out[one]++
			}
			return out
		}
		if diff := cmp.Diff(byName(want), byName(*got), cmp.AllowUnexported(told{})); diff != "" {
			t.Errorf("told after the restart (-want +got):\n%s", diff)
		}
		r = r.restart(t, folder)
		got = r.listen()
		r.mustPoll(t)
		if len(*got) != 0 {
			t.Errorf("told again after another restart: %v", *got)
		}
	})
}
