package agent

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

const (
	buildsPath = "/api/repos/{owner}/{name}/builds"
	buildPath  = "/api/repos/{owner}/{name}/builds/{number}"
)

// oneRunning is a server with one repository and one build that runs, polled once.
func oneRunning(t *testing.T, edition dronetest.Edition) *rig {
	t.Helper()
	drone := dronetest.New(edition)
	drone.AddRepo(dronetest.Repo{Slug: "a/b", Active: true})
	b := drone.CreateBuild("a/b", dronetest.BuildSpec{})
	drone.StartStage("a/b", b.Number, 1, "runner")
	r := newRig(t, drone)
	r.mustPoll(t)
	r.exact(t, "at the start")
	return r
}

// TestPassingFaults lets one answer be wrong once, as when Drone's database fails for a moment, and sees that nothing
// is lost, and that no figure is told meanwhile that is not so: unknown it may be.
func TestPassingFaults(t *testing.T) {
	const locked = `{"message":"database is locked"}`
	once := func(status int, path string) dronetest.Interceptor {
		body := locked
		if status == http.StatusOK {
			body = "[]"
		}
		return dronetest.Status(status, body, dronetest.On(path), dronetest.First(1))
	}
	cases := []struct {
		name  string
		fault dronetest.Interceptor
		// news makes the agent ask about the repository.
		news bool
	}{
		{"a build denied", once(404, buildPath), false},
		{"a build fails", once(500, buildPath), false},
		{"a repository denied", once(404, buildsPath), true},
		{"a repository forbidden", once(403, buildsPath), true},
		{"a repository fails", once(500, buildsPath), true},
		{"no repositories", once(200, "/api/repos"), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
				r := oneRunning(t, edition)
				got := r.listen()
				if c.news {
					r.drone.CreateBuild("a/b", dronetest.BuildSpec{})
				}
				r.drone.Intercept(c.fault)
				for poll := range 6 {
					r.pass(t, 1)
					r.consistent(t, "after the fault")
					s, want := r.known(), r.drone.Totals()
					if s.RunningBuilds != -1 && s.RunningBuilds != want.RunningBuilds ||
						s.RunningJobs != -1 && s.RunningJobs != want.RunningJobs || s.Repos != want.Repos {
						t.Errorf("%d polls after the fault: %+v, drone says %+v", poll, s, want)
					}
				}
				r.exact(t, "six polls later")
				if n := r.newest.Load().Repositories.Unreachable; n != 0 {
					t.Errorf("%d repositories are unreachable", n)
				}
				r.drone.FinishBuild("a/b", 1, "success")
				r.pass(t, 4)
				if len(*got) != 1 {
					t.Errorf("told %v, want the one build that ended", *got)
				}
			})
		})
	}
}

// TestOneFigureFails sees that the others are told, and that Drone is not asked for its dearest answer all the time.
func TestOneFigureFails(t *testing.T) {
	for _, path := range []string{"/api/system/stats", "/api/users"} {
		synctest.Test(t, func(t *testing.T) {
			r := oneRunning(t, dronetest.Enterprise)
			r.drone.Intercept(dronetest.Status(500, `{"message":"locked"}`, dronetest.On(path)))
			time.Sleep(61 * time.Minute)
			r.drone.ResetAccounting()
			r.pass(t, 20) // five minutes
			if s := r.newest.Load(); !s.Up {
				t.Errorf("%s fails and nothing is up", path)
			}
			r.exact(t, "while "+path+" fails")
			if n := r.drone.Requests()["GET "+path]; n < 4 || n > 6 {
				t.Errorf("%s was asked for %d times in five minutes, want about once a minute", path, n)
			}
			r.pass(t, 60)
			unknown := r.known()
			if path == "/api/users" && unknown.Users != -1 || path != "/api/users" && unknown.Builds != -1 {
				t.Errorf("after twenty minutes the old figure is still told: %+v", unknown)
			}
			r.drone.Intercept(nil)
			r.pass(t, 5)
			r.exact(t, "after "+path+" answers again")
		})
	}
}

// TestHang sees that a Drone that hangs is noticed within one request's time.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := oneRunning(t, dronetest.Enterprise)
		r.drone.Intercept(dronetest.Slow())
		start := time.Now()
		if err := r.poll(t.Context(), time.Time{}); err == nil {
			t.Error("the poll succeeded")
		}
		if took := time.Since(start); took > 31*time.Second || r.newest.Load().Up {
			t.Errorf("noticed after %s, up %v", took, r.newest.Load().Up)
		}
	})
}

// TestFirstListCutShort begins with a list that lacks what has a history, which is neither new nor counted twice.
func TestFirstListCutShort(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		drone.AddRepo(dronetest.Repo{Slug: "a/b", Active: true})
		for range 60 {
			drone.KillBuild("a/b", drone.CreateBuild("a/b", dronetest.BuildSpec{}).Number)
		}
		drone.Intercept(dronetest.Status(200, `[]`, dronetest.On("/api/repos"), dronetest.First(2)))
		r := newRig(t, drone)
		got := r.listen()
		r.pass(t, 6)
		r.exact(t, "after the whole list came")
		if len(*got) != 0 {
			t.Errorf("%d builds of the past were told", len(*got))
		}
	})
}

// TestOrphanedStages has stages in the queue whose build Drone removed: they are jobs, and no builds.
func TestOrphanedStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := oneRunning(t, dronetest.Enterprise)
		two := []dronetest.StageSpec{{Name: "one"}, {Name: "two"}}
		r.drone.CreateBuild("a/b", dronetest.BuildSpec{Stages: two})
		r.pass(t, 2)
		r.drone.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path != "/api/queue" {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`[{"id":1,"repo_id":1,"build_id":1,"status":"running"},` +
				`{"id":2,"repo_id":1,"build_id":2,"status":"pending"},{"id":3,"repo_id":1,"build_id":2,"status":"pending"},` +
				`{"id":90,"repo_id":1,"build_id":77,"status":"running"},{"id":91,"repo_id":1,"build_id":78,"status":"pending"}]`))
			return true
		})
		r.pass(t, strayTries+1)
		got := r.known()
		if got.PendingBuilds != 1 || got.RunningBuilds != 1 || got.PendingJobs != 3 || got.RunningJobs != 2 {
			t.Errorf("with two orphans in the queue: %+v", got)
		}
		r.consistent(t, "with two orphans in the queue")
	})
}
