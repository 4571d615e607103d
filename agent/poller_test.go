package agent

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

// recorded returns a server that holds what the recorded answers say.
func recorded(t *testing.T, edition dronetest.Edition) *dronetest.Server {
	t.Helper()
	drone := dronetest.New(edition)
	if err := drone.LoadRecorded(); err != nil {
		t.Fatal(err)
	}
	return drone
}

// TestFailingPolls puts every fault before the server, one after another, and sees that the figures stay as
// they were, marked as old, that the log says what to do, once, and that all is right when the fault is gone.
func TestFailingPolls(t *testing.T) {
	faults := []struct {
		name  string
		fault dronetest.Interceptor
		cure  string
	}{
		{"token refused", dronetest.Status(401, `{"message":"Unauthorized"}`), "drone does not know the token"},
		{"not an admin", dronetest.Status(403, `{"message":"Forbidden"}`), "drone user update prometheus --admin"},
		{"web page", dronetest.LoginPage(), "login page"},
		{"redirect", dronetest.Redirect("https://sso.example.com/login"), "a login page in front"},
		{"bad gateway", dronetest.Status(502, "<html>Bad Gateway</html>"), "does not reach it"},
		{
			"too many requests", dronetest.Status(429, "", dronetest.Header("Retry-After", "60")),
			"waits as long as it is asked to",
		},
		{"own error", dronetest.Status(500, `{"message":"database is locked"}`), "drone's own log"},
		{"cut short", dronetest.Cut(`[{"id":1,`), "the agent tries again by itself"},
		{"rubbish", dronetest.Status(200, `{"version":`), "no proxy changes or cuts its answers"},
		{"huge", dronetest.Huge(2 << 20), "no drone server answers so much"},
		{"hangs", dronetest.Slow(), "raise drone.timeout"},
	}
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := recorded(t, edition)
		r := newRig(t, drone)
		r.mustPoll(t)
		good := *r.newest.Load()
		for _, f := range faults {
			drone.Intercept(f.fault)
			for range 3 {
				if err := r.poll(t.Context(), time.Time{}); err == nil {
					t.Fatalf("%s: the poll succeeded", f.name)
				}
			}
			s := r.newest.Load()
			if s.Up || s.Fresh != good.Fresh || s.BuildCount != good.BuildCount || s.RunningJobs != good.RunningJobs {
				t.Errorf("%s: after the fault the snapshot is %+v, before it was %+v", f.name, *s, good)
			}
			if n := r.logs.count(f.cure); n != 1 {
				t.Errorf("%s: the log says %q %d times, want once:\n%s", f.name, f.cure, n, r.logs.buf.String())
			}
			drone.Intercept(nil)
			time.Sleep(r.interval)
			r.mustPoll(t)
			r.exact(t, "after: "+f.name)
			if n := r.logs.count("drone answers again"); n != 1 {
				t.Errorf("%s: the end of the fault was logged %d times, want once", f.name, n)
			}
			good = *r.newest.Load()
			r.logs.buf.Reset()
		}
	})
}

// TestFailuresInTheMiddleOfAPoll lets one request in five fail and sees that nothing is counted twice or lost.
func TestFailuresInTheMiddleOfAPoll(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := dronetest.New(edition)
		disorder(drone)
		r := newRig(t, drone)
		var n atomic.Int64
		drone.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
			if n.Add(1)%5 != 0 {
				return false
			}
			w.Header().Set("Retry-After", "3600") // so that the client does not try again by itself
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		for i := range 60 {
			_ = r.poll(t.Context(), time.Time{})
			if i%3 == 0 {
				drone.CreateBuild("odd/holes", dronetest.BuildSpec{})
			}
			time.Sleep(r.interval)
		}
		drone.Intercept(nil)
		r.pass(t, 5)
		r.exact(t, "after an hour of failures")
	})
}

// TestReloadObeysRetryAfter: a new configuration does not make the agent ask a server that wants to be left alone.
func TestReloadObeysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drone := recorded(t, dronetest.Enterprise)
		drone.Intercept(dronetest.Status(429, "", dronetest.Header("Retry-After", "1800")))
		r := newRig(t, drone)
		managed(r, 0)
		var polls []time.Duration
		began := time.Now()
		r.published = func(*instruments.Snapshot) { polls = append(polls, time.Since(began).Round(time.Minute)) }
		ctx, done := awhile(t, 40*time.Minute), make(chan struct{})
		go func() {
			defer close(done)
			r.run(ctx)
		}()
		for range 5 {
			time.Sleep(time.Minute)
			r.change(newRig(t, drone).watcher.api, testWatchConfig())
		}
		<-done
		if len(polls) != 2 || polls[1] != 30*time.Minute {
			t.Errorf("polls after %s, want one at once and one after half an hour", polls)
		}
	})
}

// TestPollsBackOff runs the loop itself through good and bad times.
func TestPollsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drone := recorded(t, dronetest.Enterprise)
		r := newRig(t, drone)
		count := func(d time.Duration) int {
			polls := 0
			r.published = func(*instruments.Snapshot) { polls++ }
			r.run(awhile(t, d))
			return polls
		}
		if n := count(10 * time.Minute); n < 37 || n > 44 {
			t.Errorf("%d polls in ten good minutes, want about 41", n)
		}
		drone.Intercept(dronetest.Status(500, `{"message":"no"}`))
		if n := count(10 * time.Minute); n < 9 || n > 15 {
			t.Errorf("%d polls in ten bad minutes, want about 12", n)
		}
		drone.Intercept(dronetest.Status(429, "", dronetest.Header("Retry-After", "240")))
		drone.ResetAccounting()
		if n := count(10 * time.Minute); n != 3 || drone.RequestCount() != 3 {
			t.Errorf("%d polls with %d requests in ten minutes where each answer asks for four, want 3", n, drone.RequestCount())
		}
		drone.Intercept(nil)
		if count(20 * time.Second); !r.newest.Load().Up {
			t.Error("not up after the fault is gone")
		}
	})
}

// TestLongCensusIsSpreadOverPolls gives a poll less time than the census needs, and sees that what is known
// is told meanwhile, and that nothing else is.
func TestLongCensusIsSpreadOverPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drone := dronetest.New(dronetest.Community)
		drone.Populate(dronetest.Population{Repos: 400, Builds: 20_000, OpenBuilds: 50, Users: 5, Seed: 9})
		drone.Intercept(dronetest.Delay(100 * time.Millisecond))
		r := newRig(t, drone)
		partial := 0
		for range 20 {
			if err := r.poll(t.Context(), time.Now().Add(5*time.Second)); err != nil {
				t.Fatal(err)
			}
			got := r.known()
			if got.Builds >= 0 {
				break
			}
			partial++
			if got.Repos != 400 || got.Users != 6 || got.RunningJobs != -1 || got.PendingBuilds != -1 {
				t.Errorf("in the middle of the census: %+v", got)
			}
		}
		if partial < 2 {
			t.Errorf("the census took %d polls, it was to take several", partial+1)
		}
		r.exact(t, "after the census")
	})
}

func TestServerChangesItsEdition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drone := recorded(t, dronetest.Enterprise)
		r := newRig(t, drone)
		r.mustPoll(t)
		for _, edition := range []dronetest.Edition{dronetest.Community, dronetest.Enterprise} {
			drone.SetEdition(edition)
			drone.SetVersion("2.26.0")
			time.Sleep(6 * time.Minute)
			r.pass(t, 1)
			r.exact(t, edition.String())
			if s := r.newest.Load().Server; s.Edition != edition.String() || s.Version != "2.26.0" {
				t.Errorf("the server is told as %+v, want %s", *s, edition)
			}
		}
	})
}

func TestRepositoriesComeGoAndMove(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := recorded(t, edition)
		r := newRig(t, drone)
		r.mustPoll(t)
		drone.RenameRepo("org0/service-00011", "org1/renamed")
		drone.CreateBuild("org1/renamed", dronetest.BuildSpec{})
		drone.AddRepo(dronetest.Repo{Slug: "new/repo", Active: true})
		drone.CreateBuild("new/repo", dronetest.BuildSpec{})
		drone.SetRepoActive("org0/service-00012", false)
		r.pass(t, 4)
		r.exact(t, "after a new one, a rename and a deactivation")
		drone.DeleteRepo("org0/service-00010") // its builds stay in drone's database
		r.pass(t, 4)
		r.exact(t, "after a removal")
	})
}
