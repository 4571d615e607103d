package agent

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

func TestRecordedAnswersGiveTheTable(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		if err := drone.LoadRecorded(); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, drone)
		r.mustPoll(t)
		want := dronetest.Totals{
			Builds: 212, Users: 7, Repos: 13, PendingBuilds: 5, RunningBuilds: 2, PendingJobs: 6, RunningJobs: 2,
		}
		if got := r.known(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// disorder fills a server with what is normal on real ones and breaks simple counting.
func disorder(drone *dronetest.Server) {
	drone.Populate(dronetest.Population{
		Repos: 60, Inactive: 10, Users: 12, Builds: 3000, OpenBuilds: 45, OpenStages: 60, Seed: 1,
	})
	two := []dronetest.StageSpec{{Name: "one"}, {Name: "two", OS: "windows"}}
	for i := range 30 { // more than fifty open builds in all, some in both gauges
		slug := fmt.Sprintf("busy/repo-%02d", i%3)
		if i < 3 {
			drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		}
		b := drone.CreateBuild(slug, dronetest.BuildSpec{Stages: two})
		if i%2 == 0 {
			drone.StartStage(slug, b.Number, 1, "runner-1")
		}
	}
	for i := range 130 { // more than a page within the lookback, open ones among the oldest
		slug := "busy/many"
		if i == 0 {
			drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		}
		b := drone.CreateBuild(slug, dronetest.BuildSpec{})
		if i > 2 {
			drone.StartStage(slug, b.Number, 1, "runner-2")
			drone.FinishBuild(slug, b.Number, "success")
		}
	}
	drone.AddRepo(dronetest.Repo{Slug: "odd/purged", Active: true})
	drone.AddRepo(dronetest.Repo{Slug: "odd/holes", Active: true})
	drone.AddRepo(dronetest.Repo{Slug: "odd/inactive"})
	drone.AddRepo(dronetest.Repo{Slug: "odd/never", Active: true})
	drone.AddRepo(dronetest.Repo{Slug: "odd/blocked", Active: true})
	drone.AddRepo(dronetest.Repo{Slug: "odd/declined", Active: true})
	for i := range 40 {
		for _, slug := range []string{"odd/purged", "odd/holes", "odd/inactive"} {
			if slug == "odd/holes" && i%7 == 0 {
				drone.AnnounceBuild(slug)
			}
			b := drone.CreateBuild(slug, dronetest.BuildSpec{})
			drone.StartStage(slug, b.Number, 1, "runner-3")
			drone.FinishBuild(slug, b.Number, "failure")
		}
	}
	drone.PurgeBuilds("odd/purged", 31)
	drone.AnnounceBuild("odd/never")
	drone.CreateBuild("odd/blocked", dronetest.BuildSpec{Blocked: true})
	drone.CreateBuild("odd/blocked", dronetest.BuildSpec{Error: "yaml: line 1"})
	b := drone.CreateBuild("odd/declined", dronetest.BuildSpec{Blocked: true, Stages: two})
	drone.DeclineBuild("odd/declined", b.Number)
}

func TestExactInDisorder(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition, dronetest.WithShuffledRepos(3))
		disorder(drone)
		r := newRig(t, drone)
		r.mustPoll(t)
		r.exact(t, "after the first poll")
		r.pass(t, 5)
		r.exact(t, "after five more")
	})
}

// mover moves a server at random, as a working day does.
type mover struct {
	drone *dronetest.Server
	rng   *rand.Rand
	open  []build
	late  []build
	slugs []string
}

type build struct {
	slug   string
	number int64
	state  string
}

func (m *mover) step() {
	slug := m.slugs[m.rng.IntN(len(m.slugs))]
	if len(m.open) > 15 { // as many as there are runners, about
		m.moveOpen()
		return
	}
	switch n := m.rng.IntN(20); {
	case n < 6:
		spec := dronetest.BuildSpec{Blocked: m.rng.IntN(8) == 0}
		for i := range 1 + m.rng.IntN(3) {
			spec.Stages = append(spec.Stages, dronetest.StageSpec{Name: fmt.Sprint("stage-", i)})
		}
		b := build{slug, m.drone.CreateBuild(slug, spec).Number, "pending"}
		if spec.Blocked {
			b.state = "blocked"
		}
		m.open = append(m.open, b)
	case n == 6:
		m.late = append(m.late, build{slug: slug, number: m.drone.AnnounceBuild(slug)})
	case n == 7 && len(m.late) > 0:
		last := m.late[len(m.late)-1]
		m.late = nil
		m.drone.StoreBuild(last.slug, last.number, dronetest.BuildSpec{})
		m.open = append(m.open, build{last.slug, last.number, "pending"})
	case n == 8: // born and gone between two polls
		b := m.drone.CreateBuild(slug, dronetest.BuildSpec{})
		m.drone.StartStage(slug, b.Number, 1, "runner")
		m.drone.FinishBuild(slug, b.Number, "success")
	case n == 9:
		m.drone.SetRepoActive(slug, m.rng.IntN(3) > 0)
	case n == 10:
		m.drone.AddUser(dronetest.User{Login: fmt.Sprint("user-", m.rng.Int64()), Active: true})
	default:
		m.moveOpen()
	}
}

func (m *mover) moveOpen() {
	if len(m.open) == 0 {
		return
	}
	i := m.rng.IntN(len(m.open))
	b := &m.open[i]
	switch {
	case b.state == "blocked":
		m.drone.ApproveBuild(b.slug, b.number)
		b.state = "pending"
	case b.state == "pending":
		m.drone.StartStage(b.slug, b.number, 1, "runner")
		b.state = "running"
	case m.rng.IntN(4) == 0:
		m.drone.KillBuild(b.slug, b.number)
		m.open = append(m.open[:i], m.open[i+1:]...)
	default:
		m.drone.FinishBuild(b.slug, b.number, "success")
		m.open = append(m.open[:i], m.open[i+1:]...)
	}
}

// TestExactThroughADay polls a server that moves all the time. What the agent may learn late by design it
// is given the time to learn before the figures are compared: four polls for a build too short for the queue,
// a minute for the users, two for a build that waited long for approval.
func TestExactThroughADay(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		for seed := range uint64(4) {
			drone := dronetest.New(edition)
			drone.Populate(dronetest.Population{Repos: 20, Builds: 300, OpenBuilds: 5, Seed: seed})
			m := &mover{drone: drone, rng: rand.New(rand.NewPCG(seed, 1))}
			for _, repo := range drone.Repos() {
				m.slugs = append(m.slugs, repo.Slug)
			}
			r := newRig(t, drone, func(c *watchConfig) { c.UsersInterval = time.Minute })
			r.mustPoll(t)
			for round := range 60 {
				for range m.rng.IntN(12) {
					m.step()
				}
				if round%2 == 1 {
					m.late = nil // they would be stored after they were given up
				}
				if round%5 == 4 {
					r.pass(t, 10)
					m.late = nil
					r.exact(t, fmt.Sprintf("seed %d, round %d", seed, round))
				} else {
					r.pass(t, 1)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	})
}

func TestQuietPollsCost(t *testing.T) {
	want := map[dronetest.Edition]map[string]int{
		dronetest.Enterprise: {"GET /api/queue": 16, "GET /api/repos": 4},
		dronetest.Community:  {"GET /api/repos": 16},
	}
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		drone.Populate(dronetest.Population{Repos: 200, Builds: 5000, Users: 10, Seed: 2})
		r := newRig(t, drone, func(c *watchConfig) { c.UsersInterval = time.Hour })
		r.mustPoll(t)
		drone.ResetAccounting()
		r.pass(t, 16)
		got := drone.Requests()
		if len(got) != len(want[edition]) {
			t.Errorf("requests of 16 quiet polls: %v, want %v", got, want[edition])
		}
		for request, n := range want[edition] {
			if got[request] != n {
				t.Errorf("%s: %d times in 16 quiet polls, want %d", request, got[request], n)
			}
		}
	})
}

// TestABuildCosts counts the requests that one build makes in its life, beside the list of repositories and
// the queue: the listing that finds it, the answer that tells how it ended, and on the community edition one
// for each poll while it is open.
func TestABuildCosts(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		drone.Populate(dronetest.Population{Repos: 50, Builds: 1000, Seed: 2})
		slug := drone.Repos()[0].Slug
		r := newRig(t, drone, func(c *watchConfig) { c.UsersInterval = time.Hour })
		r.mustPoll(t)
		drone.ResetAccounting()
		b := drone.CreateBuild(slug, dronetest.BuildSpec{})
		r.pass(t, 1)
		drone.StartStage(slug, b.Number, 1, "runner")
		r.pass(t, 2)
		drone.FinishBuild(slug, b.Number, "success")
		r.pass(t, 3)
		got := drone.Requests()
		list, detail := got["GET /api/repos/{owner}/{name}/builds"], got["GET /api/repos/{owner}/{name}/builds/{number}"]
		if list != 1 {
			t.Errorf("the builds were listed %d times, want 1", list)
		}
		if want := map[dronetest.Edition]int{dronetest.Enterprise: 1, dronetest.Community: 4}[edition]; detail != want {
			t.Errorf("the build was asked about %d times, want %d", detail, want)
		}
		r.exact(t, "at the end")
	})
}

// TestPurgeIsFoundByTheRecount shows what the recount is for.
func TestPurgeIsFoundByTheRecount(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		disorder(drone)
		r := newRig(t, drone)
		r.mustPoll(t)
		drone.PurgeBuilds("busy/many", 61)
		drone.PurgeBuilds("odd/holes", 20)
		r.pass(t, missedPolls) // until no number is awaited any more
		time.Sleep(time.Hour)
		r.pass(t, 2)
		r.exact(t, "an hour after a purge")
	})
}

func TestRefusedRepositoriesCostNothing(t *testing.T) {
	const template = "/api/repos/{owner}/{name}/builds"
	for _, status := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusInternalServerError} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
				drone := dronetest.New(edition)
				drone.AddRepo(dronetest.Repo{Slug: "fine/repo", Active: true})
				drone.AddRepo(dronetest.Repo{Slug: "odd/repo", Active: true})
				drone.AddRepo(dronetest.Repo{Slug: "group/sub/repo", Active: true})
				for range 20 {
					for _, slug := range []string{"fine/repo", "odd/repo", "group/sub/repo"} {
						b := drone.CreateBuild(slug, dronetest.BuildSpec{})
						drone.StartStage(slug, b.Number, 1, "runner")
						drone.FinishBuild(slug, b.Number, "success")
					}
				}
				fault := dronetest.Status(status, `{"message":"no"}`, dronetest.On(template))
				drone.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
					return req.URL.Path == "/api/repos/odd/repo/builds" && fault(w, req)
				})
				r := newRig(t, drone)
				r.mustPoll(t)
				drone.CreateBuild("odd/repo", dronetest.BuildSpec{})
				drone.CreateBuild("fine/repo", dronetest.BuildSpec{})
				r.pass(t, 20)
				if edition == dronetest.Enterprise {
					r.exact(t, "with a repository refused")
				} else if got := r.known().Builds; got != 62 {
					t.Errorf("%d builds with a repository refused, want 62", got)
				}
				if said := r.logs.count("drone does not serve the builds of a repository"); said != 1 {
					t.Errorf("the refusal was logged %d times, want once", said)
				}
				drone.Intercept(nil)
				drone.CreateBuild("odd/repo", dronetest.BuildSpec{})
				time.Sleep(time.Hour)
				r.pass(t, 2)
				r.exact(t, "after the repository is served again")
			})
		})
	}
}
