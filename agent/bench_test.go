package agent

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
	"drone-otel-agent/internal/secret"
)

// bench is a poller on a large Drone server, over a real socket.
type bench struct {
	*poller
	drone *dronetest.Server
	slugs []string
}

func newBench(b *testing.B, edition dronetest.Edition) *bench {
	b.Helper()
	drone := dronetest.New(edition)
	drone.Populate(dronetest.Population{
		Repos: 10_000, Inactive: 3000, Users: 2000, Builds: 870_000, OpenBuilds: 500, OpenStages: 700, Seed: 1,
	})
	server := httptest.NewServer(drone)
	b.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	cfg := testWatchConfig()
	cfg.UsersInterval, cfg.RecountInterval = 24*time.Hour, 24*time.Hour
	client, err := droneapi.New(droneapi.Config{
		Server: address, Token: secret.Static(secret.New(dronetest.DefaultToken)), Timeout: time.Minute,
		// Not held back: what is measured is the work, and not the wait.
		MaxConcurrentRequests: cfg.Concurrency, MaxRequestsPerSecond: 1e6, MaxAnswerBytes: maxAnswerBytes,
		UserAgent: "bench", Logger: log,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	out := &bench{
		poller: &poller{watcher: newWatcher(client, cfg, time.Now, log), interval: cfg.Interval, now: time.Now, log: log},
		drone:  drone,
	}
	for _, repo := range drone.Repos() {
		if repo.Active {
			out.slugs = append(out.slugs, repo.Slug)
		}
	}
	return out
}

func (r *bench) mustPoll(tb testing.TB) {
	tb.Helper()
	if err := r.poll(context.Background(), time.Time{}); err != nil {
		tb.Fatal(err)
	}
}

// report gives what the server saw for each poll.
func (r *bench) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(r.drone.RequestCount())/float64(b.N), "requests/op")
	b.ReportMetric(float64(r.drone.BytesSent())/float64(b.N), "answer-bytes/op")
}

func inEachEdition(b *testing.B, run func(b *testing.B, edition dronetest.Edition)) {
	b.Helper()
	for _, edition := range []dronetest.Edition{dronetest.Enterprise, dronetest.Community} {
		b.Run("edition="+edition.String(), func(b *testing.B) { run(b, edition) })
	}
}

// BenchmarkQuietPoll polls a server with 10,000 repositories and 500 open builds on which nothing happens. The
// community edition asks about each open build.
func BenchmarkQuietPoll(b *testing.B) {
	inEachEdition(b, func(b *testing.B, edition dronetest.Edition) {
		r := newBench(b, edition)
		r.mustPoll(b)
		r.drone.ResetAccounting()
		b.ReportAllocs()
		for b.Loop() {
			r.mustPoll(b)
		}
		r.report(b)
	})
}

// BenchmarkPollWithBuilds polls after ten builds came and ten others ended.
func BenchmarkPollWithBuilds(b *testing.B) {
	inEachEdition(b, func(b *testing.B, edition dronetest.Edition) {
		r := newBench(b, edition)
		r.mustPoll(b)
		r.drone.ResetAccounting()
		b.ReportAllocs()
		var open []dronetest.Build
		at := 0
		for b.Loop() {
			b.StopTimer()
			var came []dronetest.Build
			for range 10 {
				came = append(came, r.drone.CreateBuild(r.slugs[at%len(r.slugs)], dronetest.BuildSpec{}))
				at++
			}
			for i, build := range open {
				r.drone.KillBuild(r.slugs[(at-20+i)%len(r.slugs)], build.Number)
			}
			open = came
			b.StartTimer()
			r.mustPoll(b)
		}
		r.report(b)
	})
}

// BenchmarkFirstPoll is the start: on the community edition the census of every repository.
func BenchmarkFirstPoll(b *testing.B) {
	inEachEdition(b, func(b *testing.B, edition dronetest.Edition) {
		r := newBench(b, edition)
		b.ReportAllocs()
		r.drone.ResetAccounting()
		for b.Loop() {
			r.watcher = newWatcher(r.watcher.api, r.watcher.cfg, time.Now, r.log)
			r.mustPoll(b)
		}
		r.report(b)
	})
}

// BenchmarkScrape serves the whole endpoint, the runtime's metrics included, without the network.
func BenchmarkScrape(b *testing.B) {
	provider, err := exporters.NewProvider(b.Context(), exporters.ProviderConfig{})
	if err != nil {
		b.Fatal(err)
	}
	snapshot := fullSnapshot(time.Now())
	_, err = instruments.Register(provider.Meter("drone-otel-agent"), instruments.Options{
		Newest: func() *instruments.Snapshot { return snapshot }, Now: time.Now,
		Settings: func() instruments.Settings { return instruments.Settings{StaleAfter: time.Hour} },
	})
	if err != nil {
		b.Fatal(err)
	}
	handler := provider.Handler()
	b.ReportAllocs()
	for b.Loop() {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if answer.Code != http.StatusOK {
			b.Fatal(answer.Code)
		}
	}
}

// BenchmarkSight puts together what people are shown of a server with 700 open stages, where the default branches of
// all 10,000 repositories have failed once, and says what share of a quiet poll that is.
func BenchmarkSight(b *testing.B) {
	inEachEdition(b, func(b *testing.B, edition dronetest.Edition) {
		r := newBench(b, edition)
		r.watcher.selection = newSelection(selectionConfig{
			Include: []string{"*"}, Exclude: []string{"secret/*"}, Limit: 1000,
		})
		r.mustPoll(b)
		finished := time.Now()
		for _, repo := range r.watcher.repos {
			finished = finished.Add(-time.Duration(repo.ID%97) * time.Second)
			repo.ended(1, droneapi.StatusFailure, instruments.LastBuild{Finished: finished})
		}
		s := r.newest.Load()
		const polls = 2 * listEvery
		began, own := time.Now(), time.Duration(0)
		for range polls {
			r.mustPoll(b)
			sights := time.Now()
			r.watcher.sight(s)
			own += time.Since(sights)
		}
		quiet := (time.Since(began) - own) / polls
		b.ReportAllocs()
		for b.Loop() {
			if seen := r.watcher.sight(s); len(seen.builds.Open) == 0 || len(seen.failures) != shownFailures {
				b.Fatal("there is nothing to see")
			}
		}
		b.ReportMetric(100*float64(own)/polls/float64(quiet), "%-of-poll")
		b.ReportMetric(float64(quiet), "poll-ns/op")
	})
}
