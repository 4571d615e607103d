package dronetest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
)

func TestPopulate(t *testing.T) {
	c := &clock{now: 1_800_000_000}
	s := dronetest.New(dronetest.Enterprise, dronetest.WithClock(c.time))
	p := dronetest.Population{
		Repos: 200, Inactive: 7, Users: 20, Builds: 5000, OpenBuilds: 30, OpenStages: 50, Seed: 3,
	}
	s.Populate(p)
	want := s.Totals()
	if want.Builds != 5000 || want.Users != 21 || want.Repos != 193 || want.PendingJobs+want.RunningJobs != 50 ||
		want.RunningJobs != 20 {
		t.Errorf("totals are %+v, want those of %+v", want, p)
	}
	if got := into[[]dronetest.Stage](t, s, "/api/queue"); len(got) != 50 {
		t.Errorf("the queue has %d stages, want 50", len(got))
	}
	seen := map[int64]bool{}
	builds, purged := 0, 0
	for _, r := range into[[]dronetest.Repo](t, s, "/api/repos?per_page=1000") {
		var last dronetest.Build
		rows := 0
		for page := 1; ; page++ {
			list := into[[]dronetest.Build](t, s, fmt.Sprintf("/api/repos/%s/builds?per_page=100&page=%d", r.Slug, page))
			for _, b := range list {
				if seen[b.ID] || b.RepoID != r.ID || last.ID != 0 && (b.ID >= last.ID || b.Number != last.Number-1) {
					t.Fatalf("%s: build %d with number %d after %d, %d", r.Slug, b.ID, b.Number, last.ID, last.Number)
				}
				seen[b.ID], last = true, b
				rows++
			}
			if len(list) == 0 {
				break
			}
		}
		if rows > 0 && last.Number > 1 {
			purged++
		}
		builds += rows
	}
	if builds != 5000 || purged == 0 {
		t.Errorf("the repositories list %d builds, want 5000; %d were purged, want some", builds, purged)
	}
	other := dronetest.New(dronetest.Enterprise, dronetest.WithClock(c.time))
	other.Populate(p)
	const all = "/api/repos?per_page=1000"
	if diff := cmp.Diff(get(t, s, all, dronetest.DefaultToken), get(t, other, all, dronetest.DefaultToken)); diff != "" {
		t.Error("the same population gives another world")
	}
}

// TestFinishedBuildsHoldTogether looks at builds that are made up from a row.
func TestFinishedBuildsHoldTogether(t *testing.T) {
	s := dronetest.New(dronetest.Enterprise)
	s.Populate(dronetest.Population{Repos: 1, Builds: 300})
	slug := s.Repos()[0].Slug
	stages := map[int64]bool{}
	statuses := map[string]int{}
	for n := int64(1); n <= 300; n++ {
		b := into[dronetest.Build](t, s, path(slug, n))
		again, ok := s.Build(slug, n)
		if !ok || again.After != b.After {
			t.Fatalf("build %d is another one the second time", n)
		}
		statuses[b.Status]++
		if b.Finished < b.Started || b.Started != 0 && b.Started < b.Created || len(b.Stages) == 0 {
			t.Errorf("build %d: created %d, started %d, finished %d, %d stages",
				n, b.Created, b.Started, b.Finished, len(b.Stages))
		}
		if last := b.Stages[len(b.Stages)-1]; last.Status != b.Status {
			t.Errorf("build %d is %s, its last stage %s", n, b.Status, last.Status)
		}
		for _, st := range b.Stages {
			if stages[st.ID] || st.BuildID != b.ID {
				t.Errorf("build %d: stage %d of build %d is there twice, or astray", n, st.ID, st.BuildID)
			}
			stages[st.ID] = true
		}
	}
	for _, status := range []string{"success", "failure", "killed", "error", "skipped"} {
		if statuses[status] == 0 {
			t.Errorf("no build is %s: %v", status, statuses)
		}
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	s := loaded(t, dronetest.Enterprise)
	sim := dronetest.NewSimulator(s, 1)
	var wg sync.WaitGroup
	for i := range 4 {
		slug := fmt.Sprintf("org5/r%d", i)
		wg.Go(func() {
			s.AddRepo(dronetest.Repo{Slug: slug, Active: true})
			for range 50 {
				b := s.CreateBuild(slug, dronetest.BuildSpec{})
				s.StartStage(slug, b.Number, 1, "runner-1")
				s.FinishBuild(slug, b.Number, dronetest.StatusSuccess)
			}
		})
		wg.Go(func() {
			for _, p := range []string{
				"/metrics", "/api/repos?per_page=1000", "/api/queue", "/api/builds/incomplete", "/api/builds/incomplete/v2",
				"/api/system/stats", "/api/users", "/api/repos/org0/service-00001/builds", path("org0/service-00001", 25),
			} {
				for range 10 {
					get(t, s, p, dronetest.DefaultToken)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			sim.Step()
			s.Totals()
			s.SetEdition(dronetest.Edition(i % 2))
			s.Intercept(nil)
		}
	})
	wg.Wait()
	if got := s.Totals().Builds; got < 212+200 {
		t.Errorf("there are %d builds, want at least 412", got)
	}
}

// BenchmarkPopulate makes the world that the design's costs are measured against.
func BenchmarkPopulate(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := dronetest.New(dronetest.Enterprise)
		start := time.Now()
		s.Populate(large)
		b.ReportMetric(time.Since(start).Seconds(), "s/populate")
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB/world")
		runtime.KeepAlive(s)
	}
}

var large = dronetest.Population{
	Repos: 10_000, Users: 2000, Builds: 870_000, OpenBuilds: 500, OpenStages: 700, Seed: 1,
}

// BenchmarkRepos lists 10,000 repositories of which one has changed.
func BenchmarkRepos(b *testing.B) {
	s := dronetest.New(dronetest.Enterprise)
	s.Populate(large)
	slug := s.Repos()[17].Slug
	for b.Loop() {
		s.AnnounceBuild(slug)
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/api/repos?per_page=20000", nil)
		r.Header.Set("Authorization", dronetest.DefaultToken)
		s.ServeHTTP(discard{}, r)
	}
	b.ReportMetric(float64(s.BytesSent())/float64(b.N)/1e6, "MB/answer")
}

// discard is a response writer that keeps nothing.
type discard struct{}

func (discard) Header() http.Header         { return make(http.Header) }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
