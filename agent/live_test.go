package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

// TestQueueByPlatform sees the queue fill and empty: zeros for what was seen before, the same on both editions.
func TestQueueByPlatform(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		const slug = "org/repo"
		drone := dronetest.New(edition)
		drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		r := newRig(t, drone, func(c *watchConfig) {
			c.QueueLabels = []string{"pool"}
			c.Selection = selectionConfig{Include: []string{"*"}, Limit: 10}
		})
		r.mustPoll(t)
		if q := r.newest.Load().Queue; q == nil || len(q) != 0 {
			t.Errorf("an empty queue is told as %v", q)
		}
		b := drone.CreateBuild(slug, dronetest.BuildSpec{Stages: []dronetest.StageSpec{
			{Name: "one", Labels: map[string]string{"pool": "big", "other": "x"}},
			{Name: "two"},
			{Name: "three", OS: "windows"},
		}})
		created := time.Now().Truncate(time.Second)
		drone.StartStage(slug, b.Number, 3, "runner-1")
		r.pass(t, 1)
		want := []instruments.Platform{
			{OS: "linux", Arch: "amd64", Type: "docker", Labels: []string{""}, Pending: 1, Oldest: created},
			{OS: "linux", Arch: "amd64", Type: "docker", Labels: []string{"big"}, Pending: 1, Oldest: created},
			{OS: "windows", Arch: "amd64", Type: "docker", Labels: []string{""}, Running: 1},
		}
		s := r.newest.Load()
		if diff := cmp.Diff(want, s.Queue); diff != "" {
			t.Errorf("the queue (-want +got):\n%s", diff)
		}
		if n, _ := s.BusyWorkers.Get(); n != 1 {
			t.Errorf("%d busy workers, want 1", n)
		}
		repo := instruments.Repo{Name: slug, Pending: instruments.Known(1), Running: instruments.Known(1)}
		if diff := cmp.Diff([]instruments.Repo{repo}, s.Repos, cmp.AllowUnexported(instruments.Count{})); diff != "" {
			t.Errorf("the repositories (-want +got):\n%s", diff)
		}
		drone.FinishBuild(slug, b.Number, "success")
		r.pass(t, 2)
		for i := range want {
			want[i].Pending, want[i].Running, want[i].Oldest = 0, 0, time.Time{}
		}
		if diff := cmp.Diff(want, r.newest.Load().Queue); diff != "" {
			t.Errorf("the queue when it is empty again (-want +got):\n%s", diff)
		}
		if got := r.newest.Load().Repos[0].Finished; got["success"] != 1 {
			t.Errorf("finished builds: %v", got)
		}
	})
}

// TestQueueIsBounded gives a label more values than are told apart.
func TestQueueIsBounded(t *testing.T) {
	cfg := testWatchConfig()
	cfg.QueueLabels = []string{"id"}
	w := newWatcher(nil, cfg, time.Now, nil)
	var stages []droneapi.Stage
	for i := range 2 * maxPlatforms {
		stages = append(stages, droneapi.Stage{
			ID: int64(i), BuildID: int64(i), Status: droneapi.StatusPending, OS: "linux", Arch: "amd64", Type: "docker",
			Labels: map[string]string{"id": fmt.Sprint(i)},
		})
	}
	queue := w.queue(w.countLive(stages))
	var sum int64
	for _, platform := range queue {
		sum += platform.Pending
	}
	if last := queue[len(queue)-1]; len(queue) != maxPlatforms+1 || sum != 2*maxPlatforms || last.OS != instruments.Other {
		t.Errorf("%d kinds with %d stages, the last %+v", len(queue), sum, last)
	}
}

func TestSelection(t *testing.T) {
	repos := map[int64]*repository{}
	add := func(id int64, slug string, active bool, newest int64, counter int64) {
		repos[id] = &repository{
			Repo: droneapi.Repo{ID: id, Slug: slug, Active: active, Counter: counter}, newest: unix(newest),
		}
	}
	add(1, "org/old", true, 100, 900)
	add(2, "org/new", true, 200, 5)
	add(3, "org/secret", true, 300, 5)
	add(4, "else/where", true, 300, 5)
	add(5, "org/inactive", false, 300, 5)
	add(6, "org/busy", true, 0, 50)
	s := newSelection(selectionConfig{Include: []string{"org/*"}, Exclude: []string{"*/secret"}, Limit: 2})
	s.admit(repos)
	want := map[int64]string{2: "org/new", 1: "org/old"}
	if diff := cmp.Diff(want, s.names); diff != "" {
		t.Errorf("at the start (-want +got):\n%s", diff)
	}
	add(7, "org/newest", true, 999, 5)
	repos[2].Slug = "org/renamed"
	s.admit(repos)
	if diff := cmp.Diff(want, s.names); diff != "" {
		t.Errorf("a newcomer where there is no room (-want +got):\n%s", diff)
	}
	if got := s.name(repos[3]); got != instruments.Other {
		t.Errorf("an excluded repository is %s", got)
	}
	all := newSelection(selectionConfig{Include: []string{"*"}, Limit: 100})
	all.admit(repos)
	if len(all.names) != 6 {
		t.Errorf("all active repositories are %v", all.names)
	}
}

func TestErrorType(t *testing.T) {
	failing := []droneapi.Step{{Name: "test", Status: droneapi.StatusFailure}}
	ignored := []droneapi.Step{{Name: "lint", Status: droneapi.StatusFailure, IgnoreError: true}}
	cases := []struct {
		name  string
		build droneapi.Build
		want  string
	}{
		{"good", droneapi.Build{Status: droneapi.StatusSuccess}, ""},
		{"killed", droneapi.Build{Status: droneapi.StatusKilled}, ""},
		{"configuration", droneapi.Build{Status: droneapi.StatusError, Error: "yaml: line 1"}, errorConfig},
		{"step", droneapi.Build{Status: droneapi.StatusFailure, Stages: []droneapi.Stage{{Steps: failing}}}, errorStep},
		{"ignored step", droneapi.Build{
			Status: droneapi.StatusFailure, Stages: []droneapi.Stage{{Steps: ignored}},
		}, errorOther},
		{"runner", droneapi.Build{Status: droneapi.StatusError, Stages: []droneapi.Stage{{Error: "no image"}}}, errorRunner},
		{"timeout", droneapi.Build{Status: droneapi.StatusError, Stages: []droneapi.Stage{
			{Error: "context deadline exceeded", Steps: failing},
		}}, errorTimeout},
		{"nothing said", droneapi.Build{Status: droneapi.StatusFailure}, errorOther},
	}
	for _, c := range cases {
		if got := errorType(c.build); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestSumsOverOther folds most of many repositories and sees that nothing is lost in the sums.
func TestSumsOverOther(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		drone.Populate(dronetest.Population{Repos: 100, Inactive: 10, Builds: 500, OpenBuilds: 40, OpenStages: 50, Seed: 3})
		r := newRig(t, drone, func(c *watchConfig) {
			c.Selection = selectionConfig{Include: []string{"*"}, Limit: 7}
		})
		r.mustPoll(t)
		ended := 0
		for _, repo := range drone.Repos() {
			if repo.Active {
				drone.KillBuild(repo.Slug, drone.CreateBuild(repo.Slug, dronetest.BuildSpec{}).Number)
				ended++
			}
		}
		r.pass(t, 4)
		var pending, running, finished int64
		s := r.newest.Load()
		for _, repo := range s.Repos {
			p, _ := repo.Pending.Get()
			n, _ := repo.Running.Get()
			pending, running, finished = pending+p, running+n, finished+repo.Finished["killed"]
		}
		want := drone.Totals()
		if int(pending) != want.PendingBuilds || int(running) != want.RunningBuilds || int(finished) != ended {
			t.Errorf("the sums are %d pending, %d running, %d finished; want %d, %d, %d", pending, running, finished,
				want.PendingBuilds, want.RunningBuilds, ended)
		}
		if len(s.Repos) != 8 || s.Repositories.Folded != 83 {
			t.Errorf("%d repositories are told, %d folded", len(s.Repos), s.Repositories.Folded)
		}
	})
}
