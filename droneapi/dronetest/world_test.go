package dronetest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
)

const slug = "org0/one"

// clock is a server's time that a test moves by hand.
type clock struct {
	mu  sync.Mutex
	now int64
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(c.now, 0)
}

func (c *clock) pass(seconds int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += seconds
}

// newWorld gives a server at Unix time 1000 with one active repository.
func newWorld(t *testing.T) (*dronetest.Server, *clock) {
	t.Helper()
	c := &clock{now: 1000}
	s := dronetest.New(dronetest.Enterprise, dronetest.WithClock(c.time))
	s.AddRepo(dronetest.Repo{Slug: slug, Active: true})
	return s, c
}

func path(slug string, number int64) string {
	return fmt.Sprintf("/api/repos/%s/builds/%d", slug, number)
}

// into asks as the admin and decodes the answer.
func into[T any](t *testing.T, s *dronetest.Server, path string) T {
	t.Helper()
	a := get(t, s, path, dronetest.DefaultToken)
	if a.Status != 200 {
		t.Fatalf("GET %s: status %d: %s", path, a.Status, a.Body)
	}
	var v T
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return v
}

// life is what the transitions change, on one line: status, started, finished, then the stages.
func life(t *testing.T, s *dronetest.Server, number int64) string {
	t.Helper()
	b := into[dronetest.Build](t, s, path(slug, number))
	out := fmt.Sprintf("%s %d-%d", b.Status, b.Started, b.Finished)
	for _, st := range b.Stages {
		out += fmt.Sprintf(" | %s %s %d-%d", st.Name, st.Status, st.Started, st.Stopped)
	}
	return out
}

// checkTotals compares what changes with builds; users and repositories are 1 and 1.
func checkTotals(t *testing.T, s *dronetest.Server, want dronetest.Totals) {
	t.Helper()
	want.Users, want.Repos = 1, 1
	if diff := cmp.Diff(want, s.Totals()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

var threeStages = dronetest.BuildSpec{Stages: []dronetest.StageSpec{
	{Name: "test"},
	{Name: "image", DependsOn: []string{"test"}},
	{Name: "notify", DependsOn: []string{"test", "image"}, OnFailure: true},
}}

func TestBuildWithDependencies(t *testing.T) {
	s, c := newWorld(t)
	b := s.CreateBuild(slug, threeStages)
	step := func(want string, totals dronetest.Totals) {
		t.Helper()
		if got := life(t, s, b.Number); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		totals.Builds = 1
		checkTotals(t, s, totals)
		c.pass(10)
	}
	step("pending 0-0 | test pending 0-0 | image waiting_on_dependencies 0-0 | notify waiting_on_dependencies 0-0",
		dronetest.Totals{PendingBuilds: 1, PendingJobs: 1})
	s.StartStage(slug, 1, 1, "runner-1")
	step("running 1010-0 | test running 1010-0 | image waiting_on_dependencies 0-0 | "+
		"notify waiting_on_dependencies 0-0", dronetest.Totals{RunningBuilds: 1, RunningJobs: 1})
	s.FinishStage(slug, 1, 1, dronetest.StatusSuccess)
	step("running 1010-0 | test success 1010-1020 | image pending 0-0 | notify waiting_on_dependencies 0-0",
		dronetest.Totals{PendingBuilds: 1, PendingJobs: 1})
	s.StartStage(slug, 1, 2, "runner-2")
	s.FinishStage(slug, 1, 2, dronetest.StatusFailure)
	step("running 1010-0 | test success 1010-1020 | image failure 1030-1030 | notify pending 0-0",
		dronetest.Totals{PendingBuilds: 1, PendingJobs: 1})
	s.StartStage(slug, 1, 3, "runner-2")
	s.FinishStage(slug, 1, 3, dronetest.StatusSuccess)
	step("failure 1010-1040 | test success 1010-1020 | image failure 1030-1030 | notify success 1040-1040",
		dronetest.Totals{})
}

func TestEnds(t *testing.T) {
	const waiting = "waiting_on_dependencies 0-0"
	two := dronetest.BuildSpec{Stages: []dronetest.StageSpec{{Name: "a"}, {Name: "b"}}}
	blocked := threeStages
	blocked.Blocked = true
	for _, tt := range []struct {
		name string
		spec dronetest.BuildSpec
		do   func(s *dronetest.Server)
		want string
	}{
		{"success", threeStages, func(s *dronetest.Server) { s.FinishBuild(slug, 1, dronetest.StatusSuccess) },
			"success 1000-1000 | test success 1000-1000 | image success 1000-1000 | notify success 1000-1000"},
		{"failure skips what depends on success", threeStages,
			func(s *dronetest.Server) { s.FinishBuild(slug, 1, dronetest.StatusFailure) },
			"failure 1000-1000 | test failure 1000-1000 | image skipped 1000-1000 | notify success 1000-1000"},
		{"a runner's error", dronetest.BuildSpec{},
			func(s *dronetest.Server) { s.FinishStage(slug, 1, 1, dronetest.StatusError) },
			"error 1000-1000 | default error 1000-1000"},
		{"kill", two, func(s *dronetest.Server) {
			s.StartStage(slug, 1, 2, "runner-1")
			s.KillBuild(slug, 1)
		}, "killed 1000-1000 | a skipped 1000-1000 | b killed 1000-1000"},
		{"skip", two, func(s *dronetest.Server) { s.SkipBuild(slug, 1) },
			"skipped 1000-1000 | a skipped 1000-1000 | b skipped 1000-1000"},
		{"the first bad stage names the build", two, func(s *dronetest.Server) {
			s.StartStage(slug, 1, 2, "runner-1")
			s.FinishStage(slug, 1, 2, dronetest.StatusFailure)
			s.FinishStage(slug, 1, 1, dronetest.StatusError)
		}, "error 1000-1000 | a error 1000-1000 | b failure 1000-1000"},
		{"a bad YAML file", dronetest.BuildSpec{Error: "yaml: line 7"}, func(*dronetest.Server) {},
			"error 1000-1000"},
		{"blocked", blocked, func(*dronetest.Server) {},
			"pending 0-0 | test blocked 0-0 | image blocked 0-0 | notify blocked 0-0"},
		{"approved", blocked, func(s *dronetest.Server) { s.ApproveBuild(slug, 1) },
			"pending 0-0 | test pending 0-0 | image " + waiting + " | notify " + waiting},
		{"declined", blocked, func(s *dronetest.Server) { s.DeclineBuild(slug, 1) },
			"declined 0-0 | test declined 0-0 | image declined 0-0 | notify declined 0-0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newWorld(t)
			s.CreateBuild(slug, tt.spec)
			tt.do(s)
			if got := life(t, s, 1); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSteps(t *testing.T) {
	s, c := newWorld(t)
	s.CreateBuild(slug, dronetest.BuildSpec{Stages: []dronetest.StageSpec{{Steps: []string{"a", "b", "c"}}}})
	steps := func() string {
		out := ""
		for _, st := range into[dronetest.Build](t, s, path(slug, 1)).Stages[0].Steps {
			out += fmt.Sprintf("%s %s %d %d-%d,", st.Name, st.Status, st.ExitCode, st.Started, st.Stopped)
		}
		return out
	}
	s.StartStage(slug, 1, 1, "runner-1")
	if got, want := steps(), "a running 0 1000-0,b pending 0 0-0,c pending 0 0-0,"; got != want {
		t.Errorf("running: got %s, want %s", got, want)
	}
	if a := get(t, s, path(slug, 1)+"/logs/1/1", dronetest.DefaultToken); a.Status != 404 {
		t.Errorf("log of a step that runs: %+v, want 404", a)
	}
	c.pass(60)
	s.FinishStage(slug, 1, 1, dronetest.StatusFailure)
	if got, want := steps(), "a success 0 1000-1030,b failure 1 1030-1060,c skipped 0 0-0,"; got != want {
		t.Errorf("failed: got %s, want %s", got, want)
	}
	if st := into[dronetest.Build](t, s, path(slug, 1)).Stages[0]; st.ExitCode != 1 || st.Machine != "runner-1" {
		t.Errorf("the failed stage has exit code %d and machine %q", st.ExitCode, st.Machine)
	}
	type line struct {
		Pos  int
		Out  string
		Time int64
	}
	got := into[[]line](t, s, path(slug, 1)+"/logs/1/2")
	if want := (line{2, "exit 1\n", 30}); len(got) != 3 || got[2] != want {
		t.Errorf("log of the failed step: %+v, want %+v at its end", got, want)
	}
}

func TestNumbers(t *testing.T) {
	s, _ := newWorld(t)
	s.CreateBuild(slug, dronetest.BuildSpec{})
	late, never := s.AnnounceBuild(slug), s.AnnounceBuild(slug)
	s.CreateBuild(slug, dronetest.BuildSpec{})
	if late != 2 || never != 3 {
		t.Errorf("announced %d and %d, want 2 and 3", late, never)
	}
	if repos := into[[]dronetest.Repo](t, s, "/api/repos"); repos[0].Counter != 4 {
		t.Errorf("counter is %d, want 4", repos[0].Counter)
	}
	missing := get(t, s, path(slug, late), dronetest.DefaultToken)
	if want := (answer{404, "application/json", `{"message":"sql: no rows in result set"}` + "\n"}); missing != want {
		t.Errorf("announced only: %+v, want %+v", missing, want)
	}
	s.StoreBuild(slug, late, dronetest.BuildSpec{})
	checkTotals(t, s, dronetest.Totals{Builds: 3, PendingBuilds: 3, PendingJobs: 3})
	if got := numbers(t, s, ""); got != "2 4 1" {
		t.Errorf("builds are listed as %s, want 2 4 1: by id, and 2 was stored last", got)
	}
	for _, n := range []int64{1, 2, 4} {
		if b := into[dronetest.Build](t, s, path(slug, n)); b.Number != n {
			t.Errorf("build %d is %d", n, b.Number)
		}
	}
	s.PurgeBuilds(slug, 3)
	checkTotals(t, s, dronetest.Totals{Builds: 1, PendingBuilds: 1, PendingJobs: 1})
	if got := numbers(t, s, ""); got != "4" {
		t.Errorf("after the purge there are %s, want 4", got)
	}
}

// numbers lists the builds of the repository, as the server does.
func numbers(t *testing.T, s *dronetest.Server, query string) string {
	t.Helper()
	var out []string
	for _, b := range into[[]dronetest.Build](t, s, "/api/repos/"+slug+"/builds"+query) {
		if b.Stages != nil {
			t.Errorf("build %d is listed with stages", b.Number)
		}
		out = append(out, fmt.Sprint(b.Number))
	}
	return strings.Join(out, " ")
}

func TestRepositories(t *testing.T) {
	s, _ := newWorld(t)
	s.CreateBuild(slug, dronetest.BuildSpec{})
	s.AddRepo(dronetest.Repo{Slug: "group/sub/two", Active: true})
	s.AddRepo(dronetest.Repo{Slug: "org0/three"})
	s.RenameRepo(slug, "org9/uno")
	s.SetRepoActive("org0/three", true)
	s.UpdateRepo("org0/three", func(r *dronetest.Repo) { r.Branch = "trunk" })
	var got []string
	for _, r := range into[[]dronetest.Repo](t, s, "/api/repos") {
		got = append(got, fmt.Sprint(r.ID, " ", r.Namespace, " ", r.Name, " ", r.Slug, " ", r.Branch, " ", r.Active))
	}
	want := []string{
		"1 org9 uno org9/uno main true", "2 group/sub two group/sub/two main true", "3 org0 three org0/three trunk true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("repositories (-want +got):\n%s", diff)
	}
	if a := get(t, s, path("org9/uno", 1), dronetest.DefaultToken); a.Status != 200 {
		t.Errorf("build of the renamed repository: %+v", a)
	}
	notFound := answer{404, "application/json", `{"message":"Not Found"}` + "\n"}
	for _, p := range []string{
		"/api/repos/org0/one/builds", "/api/repos/group/sub/two/builds", "/api/repos/group%2Fsub/two/builds",
		"/api/repos/group%252Fsub/two/builds/1", "/api/repos/group/sub%2Ftwo/builds/1",
	} {
		if a := get(t, s, p, dronetest.DefaultToken); a != notFound {
			t.Errorf("GET %s: %+v, want %+v", p, a, notFound)
		}
	}

	s.DeleteRepo("org9/uno")
	// Drone keeps the rows of the builds and goes on counting them.
	orphaned := dronetest.Totals{Builds: 1, Users: 1, Repos: 2, PendingBuilds: 1, PendingJobs: 1}
	if diff := cmp.Diff(orphaned, s.Totals()); diff != "" {
		t.Errorf("totals after deletion (-want +got):\n%s", diff)
	}
	if got := into[[]dronetest.Stage](t, s, "/api/queue"); len(got) != 1 {
		t.Errorf("the queue has %d stages after deletion, want 1", len(got))
	}
	if got := into[[]any](t, s, "/api/builds/incomplete/v2"); len(got) != 0 {
		t.Errorf("incomplete/v2 has %d rows after deletion, want 0", len(got))
	}
}

func TestMisuse(t *testing.T) {
	for name, do := range map[string]func(s *dronetest.Server){
		"unknown repository":     func(s *dronetest.Server) { s.CreateBuild("a/b", dronetest.BuildSpec{}) },
		"unknown build":          func(s *dronetest.Server) { s.KillBuild(slug, 9) },
		"unknown stage":          func(s *dronetest.Server) { s.StartStage(slug, 1, 2, "r") },
		"stage not pending":      func(s *dronetest.Server) { s.StartStage(slug, 1, 1, "r"); s.StartStage(slug, 1, 1, "r") },
		"status not final":       func(s *dronetest.Server) { s.FinishStage(slug, 1, 1, dronetest.StatusRunning) },
		"nothing blocked":        func(s *dronetest.Server) { s.ApproveBuild(slug, 1) },
		"number never announced": func(s *dronetest.Server) { s.StoreBuild(slug, 2, dronetest.BuildSpec{}) },
		"slug taken":             func(s *dronetest.Server) { s.AddRepo(dronetest.Repo{Slug: slug}) },
		"slug without namespace": func(s *dronetest.Server) { s.AddRepo(dronetest.Repo{Slug: "one"}) },
		"login taken":            func(s *dronetest.Server) { s.AddUser(dronetest.User{Login: "prometheus"}) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newWorld(t)
			s.CreateBuild(slug, dronetest.BuildSpec{})
			defer func() {
				v := recover()
				if msg, ok := v.(string); !ok || !strings.HasPrefix(msg, "dronetest: ") {
					t.Errorf("recovered %v, want a message of dronetest", v)
				}
				// The lock must be free again.
				s.Totals()
			}()
			do(s)
		})
	}
}
