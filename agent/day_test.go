package agent

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

var (
	daySeed  = flag.Uint64("day.seed", 1, "seed of the simulated day")
	dayPolls = flag.Int("day.polls", 1000, "length of the simulated day; 5760 polls are 24 hours")
)

// day is a server's day and what should be told of it: a plain model, made of nothing but what the server says
// in the end.
type day struct {
	*mover
	// before is the counter of each repository, by id, when the agent came.
	before map[int64]int64
	// want is the status of each build that ended since, by id.
	want map[int64]string
	// away is the repository that answers 404 at the moment, and until when; failing the requests that fail.
	away    string
	until   int
	failing int
}

func newDay(drone *dronetest.Server, seed uint64) *day {
	d := &day{
		mover:  &mover{drone: drone, rng: rand.New(rand.NewPCG(seed, 7))},
		before: map[int64]int64{}, want: map[int64]string{},
	}
	for _, repo := range drone.Repos() {
		d.slugs = append(d.slugs, repo.Slug)
		d.before[repo.ID] = repo.Counter
	}
	drone.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		switch {
		case d.failing > 0 && d.rng.IntN(3) == 0:
			d.failing--
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
		case d.away != "" && strings.HasPrefix(req.URL.Path, "/api/repos/"+d.away+"/"):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message":"Not Found"}`))
		default:
			return false
		}
		return true
	})
	return d
}

// disturb brings the disorders that do not belong to single builds.
func (d *day) disturb(round int) {
	if round >= d.until {
		d.away = ""
	}
	i := d.rng.IntN(len(d.slugs))
	switch d.rng.IntN(40) {
	case 0:
		d.failing = 1 + d.rng.IntN(6)
	case 1:
		d.away, d.until = d.slugs[i], round+1+d.rng.IntN(20)
	case 2:
		to := fmt.Sprintf("moved/repo-%d", round)
		d.drone.RenameRepo(d.slugs[i], to)
		for k := range d.open {
			if d.open[k].slug == d.slugs[i] {
				d.open[k].slug = to
			}
		}
		d.late, d.slugs[i] = nil, to
	case 3:
		d.purge(d.slugs[i])
	case 4:
		slug := fmt.Sprintf("new/repo-%d", round)
		d.before[d.drone.AddRepo(dronetest.Repo{Slug: slug, Active: true}).ID] = 0
		d.slugs = append(d.slugs, slug)
	}
}

// purge removes a repository's older builds, so old that they were all told.
func (d *day) purge(slug string) {
	repo := d.repo(slug)
	below := repo.Counter - 40
	for _, open := range d.open {
		if open.slug == slug {
			below = min(below, open.number)
		}
	}
	if below > d.before[repo.ID] {
		d.note(repo, below)
		d.drone.PurgeBuilds(slug, below)
	}
}

func (d *day) repo(slug string) dronetest.Repo {
	for _, repo := range d.drone.Repos() {
		if repo.Slug == slug {
			return repo
		}
	}
	panic("no repository " + slug)
}

// note adds the builds of a repository that have ended, up to a number, to those that should be told.
func (d *day) note(repo dronetest.Repo, below int64) {
	for number := d.before[repo.ID] + 1; number < below; number++ {
		b, stored := d.drone.Build(repo.Slug, number)
		if stored && b.Status != "pending" && b.Status != "running" {
			d.want[b.ID] = b.Status
		}
	}
}

// TestEveryBuildToldOnceThroughADay drives a server through a random day, with every disorder there is, failing
// requests and restarts, and compares what was told with what should have been, and the figures with the server's
// own. Another day: go test ./agent -run ThroughADay -day.seed 42 -day.polls 5760
func TestEveryBuildToldOnceThroughADay(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		t.Logf("-day.seed %d -day.polls %d", *daySeed, *dayPolls)
		folder := t.TempDir()
		drone := dronetest.New(edition)
		drone.Populate(dronetest.Population{Repos: 25, Builds: 300, Seed: *daySeed})
		d := newDay(drone, *daySeed)
		r := newStatefulRig(t, drone, folder)
		told := map[int64]string{}
		collect := func(b instruments.FinishedBuild) {
			if before, twice := told[b.ID]; twice {
				t.Errorf("build %d of %s was told as %s and again as %s", b.Number, b.Slug, before, b.Status)
			}
			told[b.ID] = b.Status
		}
		r.finished = collect
		r.mustPoll(t)
		for round := range *dayPolls {
			for range d.rng.IntN(8) {
				d.step()
			}
			if round%2 == 1 {
				d.late = nil // they would be stored after they were given up
			}
			d.disturb(round)
			if d.rng.IntN(50) == 0 {
				r = r.restart(t, folder)
				r.finished = collect
			}
			time.Sleep(r.interval)
			if r.poll(t.Context(), time.Time{}) == nil {
				r.consistent(t, "in the middle of the day")
			}
		}
		d.away, d.failing = "", 0
		time.Sleep(2 * time.Hour) // what is asked about seldom, and the recount
		r.pass(t, 10)
		r.exact(t, "at the end of the day")
		for _, repo := range drone.Repos() {
			d.note(repo, repo.Counter+1)
		}
		if diff := cmp.Diff(d.want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if t.Logf("%d builds ended", len(d.want)); len(d.want) < *dayPolls/2 {
			t.Error("the day was too quiet to prove anything")
		}
	})
}
