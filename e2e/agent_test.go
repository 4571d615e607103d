package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/process"
	"drone-otel-agent/e2e/prometheus"
)

const bearer = "bearer_token: " + dronetest.DefaultToken

// The main thing: what Drone's database holds is what Prometheus and the Collector hear, at first and
// after it has changed, on both editions.
func TestSevenBothWays(t *testing.T) {
	t.Parallel()
	for _, edition := range []dronetest.Edition{dronetest.Enterprise, dronetest.Community} {
		t.Run(edition.String(), func(t *testing.T) {
			t.Parallel()
			to := collector.Start(t)
			s := play(t, edition, to, often)
			prom := s.scrape(t, bearer)
			hear := func(what string, want seven) {
				t.Helper()
				s.agent.Await(t, what+" in Prometheus", func() error { return want.inPrometheus(t.Context(), prom) })
				s.agent.Await(t, what+" at the Collector", func() error { return want.inPush(to) })
			}
			hear("the recorded seven", recorded())
			move(s.drone)
			hear("the seven after a change", totals(s.drone))

			for name := range recorded() {
				if kind, err := prom.Type(promName(name)); kind != model.MetricTypeGauge {
					t.Errorf("Prometheus takes %s for %q (%v), want a gauge", promName(name), kind, err)
				}
			}
			checkResource(t, to)
			checkRuntime(t, prom, to)
			if up, err := prom.Value(t.Context(), "up"); up != 1 {
				t.Errorf("up is %v (%v), want 1", up, err)
			}
			if complaints := prom.Warnings(); len(complaints) != 0 {
				t.Errorf("Prometheus complains: %q", complaints)
			}
			s.stop(t)
		})
	}
}

// move changes each of the seven but the number of users: that one is asked for seldom.
func move(drone *dronetest.Server) {
	drone.AddRepo(dronetest.Repo{Slug: "e2e/added", Active: true})
	stages := []dronetest.StageSpec{{Name: "build"}, {Name: "lint"}, {Name: "test"}}
	mixed := drone.CreateBuild("e2e/added", dronetest.BuildSpec{Stages: stages})
	drone.StartStage("e2e/added", mixed.Number, 1, "runner-1")
	ended := drone.CreateBuild("e2e/added", dronetest.BuildSpec{})
	drone.FinishBuild("e2e/added", ended.Number, dronetest.StatusSuccess)
}

func checkResource(t *testing.T, to *collector.Collector) {
	t.Helper()
	push, err := to.Last()
	if err != nil {
		t.Fatal(err)
	}
	got, err := push.Resource()
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatalf("asking for the host's name: %v", err)
	}
	want := map[string]string{
		"service.name": "drone-otel-agent", "service.version": process.Version, "host.name": host,
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("resource attribute %s is %q, want %q", key, got[key], value)
		}
	}
	if got["service.instance.id"] == "" {
		t.Error("resource attribute service.instance.id is missing")
	}
}

// Go's runtime and the process are told of under the names that Drone's own endpoint uses, both ways.
func checkRuntime(t *testing.T, prom *prometheus.Server, to *collector.Collector) {
	t.Helper()
	push, err := to.Last()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"go_goroutines", "go_memstats_heap_alloc_bytes", "process_cpu_seconds_total",
		"process_resident_memory_bytes", "process_start_time_seconds",
	} {
		if value, err := prom.Value(t.Context(), name); err != nil || value <= 0 {
			t.Errorf("Prometheus: %s is %v (%v), want more than 0", name, value, err)
		}
		if _, err := push.Metric(name); err != nil {
			t.Errorf("the Collector: %v", err)
		}
	}
}

func TestOncePrintsTheSeven(t *testing.T) {
	t.Parallel()
	for _, edition := range []dronetest.Edition{dronetest.Enterprise, dronetest.Community} {
		t.Run(edition.String(), func(t *testing.T) {
			t.Parallel()
			_, env := recordedDrone(t, edition)
			text := process.Output(t, binary, env, "once")
			for name, value := range recorded() {
				if line := fmt.Sprintf("\n%s %v\n", promName(name), value); !strings.Contains(text, line) {
					t.Errorf("once does not print %q but:\n%s", line, text)
				}
			}
		})
	}
}

func TestWrongTokenSeesNothing(t *testing.T) {
	t.Parallel()
	s := play(t, dronetest.Enterprise, nil, often)
	welcome := s.scrape(t, "authorization: {credentials: "+dronetest.DefaultToken+"}")
	s.agent.Await(t, "a scrape with the right token", func() error {
		return recorded().inPrometheus(t.Context(), welcome)
	})
	stranger := s.scrape(t, "bearer_token: "+strings.Repeat("0", len(dronetest.DefaultToken)))
	s.agent.Await(t, "a scrape with a wrong token", func() error {
		scraped, err := stranger.ScrapeError()
		if err == nil && (scraped == nil || !strings.Contains(scraped.Error(), "401")) {
			err = fmt.Errorf("the scrape ended with %v, want a 401", scraped) //nolint:errorlint // it may be nil
		}
		return err
	})
	s.agent.Await(t, "up to be 0", func() error {
		up, err := stranger.Value(t.Context(), "up")
		return differs("up", up, 0, err)
	})
	if series, err := stranger.Query(t.Context(), `{__name__=~"drone_.*|go_.*"}`); err != nil || len(series) > 0 {
		t.Errorf("a wrong token sees %v (%v), want nothing", series, err)
	}
	s.stop(t)
}

// The interval is so long that the only push is the one at the end.
func TestSigtermFlushes(t *testing.T) {
	t.Parallel()
	to := collector.Start(t)
	s := play(t, dronetest.Enterprise, to, "1h")
	prom := s.scrape(t, bearer)
	s.agent.Await(t, "the first poll", func() error { return recorded().inPrometheus(t.Context(), prom) })
	move(s.drone)
	want := totals(s.drone)
	s.agent.Await(t, "the change to be polled", func() error { return want.inPrometheus(t.Context(), prom) })
	if n := len(to.Pushes()); n != 0 {
		t.Fatalf("the Collector has received %d pushes before the end, want 0", n)
	}
	s.stop(t)
	if err := want.inPush(to); err != nil {
		t.Errorf("after SIGTERM, at the Collector: %v", err)
	}
}

func TestCollectorAwayAndBack(t *testing.T) {
	t.Parallel()
	to := collector.Start(t)
	// The time limit, in milliseconds, is what a push to nobody takes.
	s := play(t, dronetest.Enterprise, to, often, "OTEL_EXPORTER_OTLP_TIMEOUT=2000")
	prom := s.scrape(t, bearer)
	s.agent.Await(t, "the seven at the Collector", func() error { return recorded().inPush(to) })

	to.Stop(t)
	s.agent.AwaitLine(t, "does not take the metrics")
	s.pollsGoOn(t, 6) // and as many pushes fail as have room in that time
	move(s.drone)
	want := totals(s.drone)
	s.agent.Await(t, "the change in Prometheus", func() error { return want.inPrometheus(t.Context(), prom) })

	to.Start(t)
	s.agent.Await(t, "the change at the Collector", func() error { return want.inPush(to) })
	s.agent.AwaitLine(t, "takes the metrics again")
	s.pollsGoOn(t, 2)
	if lines := s.agent.Lines("Collector"); len(lines) != 2 {
		t.Errorf("a Collector that was away cost %d log lines, want 2:\n%s", len(lines), strings.Join(lines, "\n"))
	}

	to.Stop(t)
	s.stop(t) // nor does one that is away at the end keep the agent from ending well
}
