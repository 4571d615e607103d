package agent

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

// ended makes a build that begins and ends at once.
func ended(drone *dronetest.Server, slug string) int64 {
	number := drone.CreateBuild(slug, dronetest.BuildSpec{}).Number
	drone.KillBuild(slug, number)
	return number
}

// withPast is a server whose repositories have builds from long ago.
func withPast(edition dronetest.Edition, builds int, slugs ...string) *dronetest.Server {
	drone := dronetest.New(edition)
	for _, slug := range slugs {
		drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		for range builds {
			ended(drone, slug)
		}
	}
	time.Sleep(48 * time.Hour)
	return drone
}

// TestEditionChangesInTheCensus sees that what was not counted yet is not taken for new.
func TestEditionChangesInTheCensus(t *testing.T) {
	for _, killed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			folder := t.TempDir()
			drone := withPast(dronetest.Community, 30, "a/b", "a/c", "a/d")
			r := newStatefulRig(t, drone, folder)
			got := r.listen()
			if err := r.poll(t.Context(), time.Now().Add(-time.Second)); err != nil { // there is no time to count
				t.Fatal(err)
			}
			if killed {
				r = r.restart(t, folder)
				got = r.listen()
			}
			drone.SetEdition(dronetest.Enterprise)
			time.Sleep(6 * time.Minute)
			r.pass(t, 4)
			r.exact(t, "on the other edition")
			if len(*got) != 0 {
				t.Errorf("%d builds of the past were told", len(*got))
			}
		})
	}
}

// TestEditionChangesBeforeAKill sees that no count of the one edition is taken for one of the other.
func TestEditionChangesBeforeAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		drone := withPast(dronetest.Enterprise, 30, "a/b", "a/c")
		r := newStatefulRig(t, drone, folder)
		r.mustPoll(t)
		ended(drone, "a/b")
		r.pass(t, 4)
		drone.SetEdition(dronetest.Community)
		drone.Intercept(dronetest.Status(503, "", dronetest.On("/api/repos"), dronetest.First(3)))
		time.Sleep(6 * time.Minute)
		_ = r.poll(t.Context(), time.Time{})
		r = r.restart(t, folder)
		r.pass(t, 4)
		r.exact(t, "after the kill")
	})
}

// TestBuildsThatEndDuringTheCensus sees that they are told all the same.
func TestBuildsThatEndDuringTheCensus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drone := withPast(dronetest.Community, 30, "a/b", "a/c")
		running := drone.CreateBuild("a/b", dronetest.BuildSpec{}).Number
		drone.StartStage("a/b", running, 1, "runner")
		r := newRig(t, drone)
		got := r.listen()
		fails := dronetest.Status(500, `{"message":"locked"}`)
		drone.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
			return req.URL.Path == "/api/repos/a/c/builds" && fails(w, req)
		})
		r.mustPoll(t) // a/c is not counted, so no open build is asked about
		drone.FinishBuild("a/b", running, "success")
		short := ended(drone, "a/c")
		drone.Intercept(nil)
		r.pass(t, 10)
		want := map[told]bool{{"a/b", running, "success"}: true, {"a/c", short, "killed"}: true}
		if len(*got) != 2 || !want[(*got)[0]] || !want[(*got)[1]] {
			t.Errorf("told %v, want %v", *got, want)
		}
	})
}

// TestListsCutShort has Drone answer with an empty list of builds, once.
func TestListsCutShort(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := withPast(edition, 200, "a/b")
		running := drone.CreateBuild("a/b", dronetest.BuildSpec{}).Number
		drone.StartStage("a/b", running, 1, "runner")
		drone.Intercept(dronetest.Status(200, `[]`, dronetest.On(buildsPath), dronetest.First(1)))
		r := newRig(t, drone)
		got := r.listen()
		r.mustPoll(t)
		r.pass(t, 6)
		r.exact(t, "after a list that was cut short")
		drone.FinishBuild("a/b", running, "success")
		r.pass(t, 6)
		if len(*got) != 1 {
			t.Errorf("told %v, want the one build that ended", *got)
		}
	})
}

// TestPatienceAtTheRecount looks for an awaited number several times in one poll.
func TestPatienceAtTheRecount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drone := withPast(dronetest.Enterprise, 3, "a/b", "a/busy")
		r := newRig(t, drone)
		got := r.listen()
		r.mustPoll(t)
		time.Sleep(61 * time.Minute)
		drone.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path == "/api/system/stats" {
				drone.CreateBuild("a/busy", dronetest.BuildSpec{})
			}
			return false
		})
		number := drone.AnnounceBuild("a/b")
		r.mustPoll(t)
		drone.Intercept(nil)
		drone.StoreBuild("a/b", number, dronetest.BuildSpec{})
		drone.KillBuild("a/b", number)
		r.pass(t, 6)
		if len(*got) != 1 || (*got)[0].number != number {
			t.Errorf("told %v, want the build that was stored late", *got)
		}
	})
}

// TestUnseenBuildsAreUnknown lets Drone fail at the first answer about a build.
func TestUnseenBuildsAreUnknown(t *testing.T) {
	for _, status := range []int{404, 500} {
		synctest.Test(t, func(t *testing.T) {
			r := oneRunning(t, dronetest.Community)
			r.drone.AddRepo(dronetest.Repo{Slug: "a/c", Active: true})
			r.pass(t, 1)
			r.drone.CreateBuild("a/c", dronetest.BuildSpec{})
			r.drone.Intercept(dronetest.Status(status, `{"message":"locked"}`, dronetest.On(buildPath), dronetest.First(3)))
			for range 8 {
				r.pass(t, 1)
				if got := r.known().PendingBuilds; got != -1 && got != 1 {
					t.Errorf("%d: %d builds are told as pending, want 1 or nothing", status, got)
				}
			}
			r.exact(t, "at the end")
		})
	}
}

// TestOneBadRepository has an answer for one repository that cannot be true: it is that repository's own trouble.
func TestOneBadRepository(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := withPast(edition, 3, "a/b", "a/bad")
		bad := dronetest.Status(200, `[{"id":1,"number":1,"status":"success","created":-1}]`)
		drone.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
			return req.URL.Path == "/api/repos/a/bad/builds" && bad(w, req)
		})
		r := newRig(t, drone)
		r.pass(t, 2)
		ended(drone, "a/b")
		ended(drone, "a/bad")
		r.pass(t, 8)
		r.exact(t, "with one repository that answers rubbish")
	})
}

// TestOneRepositoryHangs: Drone never answers about one repository. The others are seen all the same, the agent does
// not wait for it all the time, and all is right when it answers again.
func TestOneRepositoryHangs(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := withPast(edition, 3, "a/b", "a/slow")
		slow := dronetest.Slow()
		drone.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
			return strings.HasPrefix(req.URL.Path, "/api/repos/a/slow/builds") && slow(w, req)
		})
		r := newRig(t, drone)
		r.pass(t, 2)
		ended(drone, "a/slow")
		began := time.Now()
		for range 20 {
			ended(drone, "a/b")
			r.pass(t, 1)
		}
		if took := time.Since(began); took > 20*r.interval+5*31*time.Second {
			t.Errorf("20 polls took %s: the agent waits for the repository in all of them", took)
		}
		r.pass(t, 4)
		if got := r.newest.Load().Repos[0].Finished["killed"]; got != 20 {
			t.Errorf("%d builds were told beside a repository that hangs, want 20", got)
		}
		drone.Intercept(nil)
		time.Sleep(time.Hour)
		r.pass(t, 3)
		r.exact(t, "when it answers again")
		if got := r.newest.Load().Repos[0].Finished["killed"]; got != 21 {
			t.Errorf("%d builds were told in the end, want 21", got)
		}
	})
}

// TestHangInTheMiddle: Drone lists its repositories and hangs then, which is seen within the time of one request.
func TestHangInTheMiddle(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		slugs := []string{"a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8", "a/9"}
		drone := withPast(edition, 3, slugs...)
		r := newRig(t, drone)
		r.pass(t, 2)
		slow := dronetest.Slow()
		drone.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
			return strings.HasPrefix(req.URL.Path, "/api/repos/") && slow(w, req)
		})
		for _, slug := range slugs {
			ended(drone, slug)
		}
		for r.newest.Load().Up {
			began := time.Now()
			err := r.poll(t.Context(), began.Add(r.interval))
			if took := time.Since(began); took > 32*time.Second {
				t.Fatalf("the poll took %s (%v), want the time of one request", took, err)
			}
			time.Sleep(r.interval)
		}
		drone.Intercept(nil)
		r.pass(t, 6)
		r.exact(t, "when it answers again")
	})
}

// TestNameIsTakenOver renames a repository and gives its old name to a new one.
func TestNameIsTakenOver(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := withPast(edition, 1, "a/b")
		r := newRig(t, drone, func(c *watchConfig) { c.Selection = selectionConfig{Include: []string{"*"}, Limit: 9} })
		r.mustPoll(t)
		ended(drone, "a/b")
		r.pass(t, 4)
		drone.RenameRepo("a/b", "a/moved")
		drone.AddRepo(dronetest.Repo{Slug: "a/b", Active: true})
		r.pass(t, 4)
		names := map[string]int{}
		for _, repo := range r.newest.Load().Repos {
			names[repo.Name]++
		}
		if names["a/b"] != 1 || names[instruments.Other] != 1 {
			t.Errorf("the series are of %v", names)
		}
	})
}

// TestProxyAnswersForTheQueue sees that a page in the place of the queue does not make another edition.
func TestProxyAnswersForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := oneRunning(t, dronetest.Enterprise)
		r.drone.Intercept(dronetest.Status(404, "<html>not here</html>", dronetest.On("/api/queue"), dronetest.First(1)))
		time.Sleep(r.interval)
		if err := r.poll(t.Context(), time.Time{}); err == nil {
			t.Error("the poll succeeded without the queue")
		}
		r.pass(t, 1)
		if edition := r.newest.Load().Server.Edition; edition != enterprise {
			t.Errorf("the edition is %s", edition)
		}
		r.exact(t, "after it")
	})
}

// TestStateCutInHalf cuts a state of several megabytes: what bbolt reads of it then lies past the end of the file.
func TestStateCutInHalf(t *testing.T) {
	folder := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	s := openState(folder, "http://drone.test", log)
	repos := map[int64]*repository{}
	for id := int64(1); id <= 5000; id++ {
		repos[id] = &repository{Repo: droneapi.Repo{ID: id, Slug: fmt.Sprintf("org/repository-%d", id), Counter: id}}
	}
	s.save(community, repos)
	s.close()
	path := filepath.Join(folder, stateFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	again := openState(folder, "http://drone.test", log)
	defer again.close()
	w := newWatcher(nil, testWatchConfig(), time.Now, log)
	again.load(w)
	if left := again.save(community, repos); left != nil || len(w.repos) != 0 {
		t.Errorf("%d repositories were read from half a file, %d could not be written", len(w.repos), len(left))
	}
	if aside, _ := filepath.Glob(path + ".unusable-*"); len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
}

// TestForeignDatabase finds a good database of something else.
func TestForeignDatabase(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, stateFile)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	logs := &logBuffer{}
	s := openState(folder, "http://drone.test", slog.New(slog.NewTextHandler(logs, nil)))
	defer s.close()
	if logs.count("a database of something else") != 1 {
		t.Errorf("the log:\n%s", logs.buf.String())
	}
}
