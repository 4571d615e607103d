package agent

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/statuspage"
)

// seen is what people are shown after the last poll.
func (r *rig) seen() sight { return r.watcher.sight(r.newest.Load()) }

// consistent fails the test where the builds that people are shown are others than those that the metrics count.
func (r *rig) consistent(t *testing.T, when string) {
	t.Helper()
	figures, builds := r.known(), r.seen().builds
	if builds == nil || figures.PendingBuilds < 0 {
		if builds != nil || figures.PendingBuilds >= 0 {
			t.Errorf("%s: %d builds wait, and people are shown %v", when, figures.PendingBuilds, builds)
		}
		return
	}
	pending, running := 0, 0
	for _, b := range builds.Open {
		if b.Jobs.Pending > 0 {
			pending++
		}
		if b.Jobs.Running > 0 {
			running++
		}
	}
	if pending != figures.PendingBuilds || running != figures.RunningBuilds || builds.Total != len(builds.Open) {
		t.Errorf("%s: %d wait and %d run of %d builds that people are shown, the metrics say %d and %d", when,
			pending, running, builds.Total, figures.PendingBuilds, figures.RunningBuilds)
	}
}

// TestSightOfBuilds has one build of each kind.
func TestSightOfBuilds(t *testing.T) {
	const odd = "o rg/na#me?%"
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		for _, slug := range []string{"a/waits", "a/both", odd, "a/blocked", "a/ended", "group/sub/repo", "secret/repo"} {
			drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		}
		r := newRig(t, drone, func(c *watchConfig) {
			c.Selection = selectionConfig{Include: []string{"*"}, Exclude: []string{"secret/*"}, Limit: 1}
		})
		r.mustPoll(t)                                   // on the enterprise edition it does not see what was blocked before
		began := time.Now().UTC().Truncate(time.Second) // which is how Drone counts
		create := func(slug string, spec dronetest.BuildSpec) {
			drone.CreateBuild(slug, spec)
			time.Sleep(10 * time.Second)
		}
		create("a/waits", dronetest.BuildSpec{})
		create("a/both", dronetest.BuildSpec{Stages: []dronetest.StageSpec{
			{Name: "one", OS: "windows"}, {Name: "two"}, {Name: "three"}, {Name: "four"},
		}})
		create(odd, dronetest.BuildSpec{})
		create("a/blocked", dronetest.BuildSpec{Blocked: true})
		create("a/ended", dronetest.BuildSpec{})
		create("group/sub/repo", dronetest.BuildSpec{})
		create("secret/repo", dronetest.BuildSpec{})
		drone.StartStage("a/both", 1, 2, "runner-2")
		time.Sleep(10 * time.Second)
		drone.StartStage("a/both", 1, 1, "runner-1")
		drone.StartStage(odd, 1, 1, "runner-2")
		drone.KillBuild("a/ended", 1)
		r.mustPoll(t)
		r.consistent(t, "after a poll")

		build := func(slug, path string, state statuspage.BuildState, since int, jobs ...int64) statuspage.Build {
			out := statuspage.Build{
				Repository: slug, State: state, Created: to(began.Add(time.Duration(since) * time.Second)),
				Jobs: statuspage.Jobs{Pending: jobs[0], Running: jobs[1]}, Platforms: []string{"linux/amd64"}, Machines: []string{},
			}
			if path != "" {
				out.Number, out.URL = to(int64(1)), "http://drone.test/"+path+"/1"
			}
			return out
		}
		blocked := build("a/blocked", "a/blocked", statuspage.Blocked, 30, 0, 0)
		blocked.Platforms = []string{}
		both := build("a/both", "a/both", statuspage.Running, 10, 2, 2)
		both.Platforms, both.Machines = []string{"linux/amd64", "windows/amd64"}, []string{"runner-1", "runner-2"}
		runs := build(odd, "o%20rg/na%23me%3F%25", statuspage.Running, 20, 0, 1)
		runs.Machines = []string{"runner-2"}
		want := []statuspage.Build{build("a/waits", "a/waits", statuspage.Waiting, 0, 1, 0)}
		if edition == dronetest.Enterprise { // whose queue has what Drone does not list
			want = append(want, build("group/sub/repo", "", statuspage.Waiting, 50, 1, 0))
		}
		want = append(want, build("_other", "", statuspage.Waiting, 60, 1, 0), blocked, both, runs)
		if diff := cmp.Diff(&statuspage.Builds{Total: len(want), Open: want}, r.seen().builds); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestApprovedBuild sees that a build that waited long for approval, and ran for a short time, is not shown as one that
// waits when it has ended.
func TestApprovedBuild(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		drone.AddRepo(dronetest.Repo{Slug: "a/b", Active: true})
		r := newRig(t, drone, everything)
		r.mustPoll(t)
		drone.CreateBuild("a/b", dronetest.BuildSpec{Blocked: true})
		r.pass(t, 4*120) // two hours: it is asked about every two minutes
		drone.ApproveBuild("a/b", 1)
		drone.StartStage("a/b", 1, 1, "runner")
		for r.known().RunningBuilds == 0 {
			r.pass(t, 1)
		}
		drone.FinishBuild("a/b", 1, "success")
		r.pass(t, 1)
		if builds := r.seen().builds; builds.Total != 0 {
			t.Errorf("shown when it has ended: %+v", builds.Open)
		}
	})
}

// TestSightOfMany shows the oldest of each state, and says how many there are.
func TestSightOfMany(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		for i := range 235 {
			slug := fmt.Sprintf("a/repo-%03d", i)
			drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
			drone.CreateBuild(slug, dronetest.BuildSpec{})
			if i%2 == 0 {
				drone.StartStage(slug, 1, 1, "runner")
			}
			time.Sleep(time.Second)
		}
		r := newRig(t, drone, everything)
		r.mustPoll(t)
		builds := r.seen().builds
		if builds.Total != 235 || len(builds.Open) != 2*shownBuilds {
			t.Fatalf("%d of %d builds, want %d of 235", len(builds.Open), builds.Total, 2*shownBuilds)
		}
		for i, b := range builds.Open {
			want := fmt.Sprintf("a/repo-%03d", 2*(i%shownBuilds)+1-i/shownBuilds)
			if b.Repository != want {
				t.Errorf("build %d is of %s, want %s", i, b.Repository, want)
			}
		}
	})
}

// TestBuildsShownAreThoseCounted holds the list against the figures through a simulated day.
func TestBuildsShownAreThoseCounted(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		simulator := dronetest.NewSimulator(drone, 3)
		r := newRig(t, drone, everything)
		most := 0
		for range 24 * 60 {
			time.Sleep(time.Minute)
			simulator.Step()
			r.mustPoll(t)
			r.consistent(t, time.Now().String())
			most = max(most, r.seen().builds.Total)
		}
		if most < 10 {
			t.Errorf("%d builds at most: the day was too quiet to prove anything", most)
		}
	})
}

// TestSightOfTheUnknown sees that what is not known is not shown as none.
func TestSightOfTheUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, recorded(t, dronetest.Community), everything)
		if err := r.poll(t.Context(), time.Now().Add(-time.Second)); err != nil { // there is no time for the census
			t.Fatal(err)
		}
		if seen := r.seen(); seen.builds != nil || seen.failures != nil {
			t.Errorf("before the census: %+v", seen)
		}
		r.mustPoll(t)
		if seen := r.seen(); seen.builds == nil || seen.failures == nil {
			t.Errorf("after the census: %+v", seen)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := oneRunning(t, dronetest.Community)
		r.drone.Intercept(dronetest.Status(500, `{"message":"locked"}`, dronetest.On(buildPath)))
		r.pass(t, 1)
		if seen := r.seen(); seen.builds != nil || seen.failures == nil {
			t.Errorf("while a build cannot be seen: %+v", seen)
		}
	})
}

// TestSightOfRemovedRepository leaves stages in the queue of a repository that is gone.
func TestSightOfRemovedRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := oneRunning(t, dronetest.Enterprise)
		r.drone.DeleteRepo("a/b")
		r.pass(t, 8)
		r.consistent(t, "after the removal")
		for _, b := range r.seen().builds.Open {
			if b.Repository != "_other" || b.Number != nil || b.URL != "" {
				t.Errorf("shown: %+v", b)
			}
		}
	})
}
