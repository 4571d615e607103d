package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/prometheus"
)

// metric is an instrument that counts builds, by both its names, with what it should hold.
type metric struct {
	name, prometheus string
	kind             pmetric.MetricType
	want             table
}

// holds waits until metrics are the same in Prometheus and at the Collector, to the last point.
func (s *scene) holds(t *testing.T, prom *prometheus.Server, to *collector.Collector, metrics []metric) {
	t.Helper()
	for _, m := range metrics {
		s.agent.Await(t, m.prometheus+" in Prometheus", func() error {
			return m.want.inPrometheus(t.Context(), prom, m.prometheus)
		})
		s.agent.Await(t, m.name+" at the Collector", func() error { return m.want.atCollector(to, m.name, m.kind) })
	}
}

// Builds that end are told once, with how long they waited and ran and how they ended, and the repository's last
// build with them; and every example of METRICS.md has something to say of them.
func TestBuildsBothWays(t *testing.T) {
	onBoth(t, func(t *testing.T, edition dronetest.Edition) {
		to := collector.Start(t)
		drone := anew(t, edition, "e2e/one", "e2e/two")
		s := drone.watched(t, to, eachSecond+"metrics: {steps: true}\n")
		prom := s.scrape(t, bearer)
		s.ready(t, prom)
		s.holds(t, prom, to, []metric{{"drone.build.finished", "drone_build_finished_total", pmetric.MetricTypeSum,
			finishedBuilds(0, 0, 0, 0)}})

		s.severalEnd(t, prom, drone)
		s.holds(t, prom, to, ended())
		for query, want := range seconds() {
			if err := want.inPrometheus(t.Context(), prom, query); err != nil {
				t.Error(err)
			}
		}
		last := func(one, duration float64) {
			t.Helper()
			s.holds(t, prom, to, []metric{
				{"drone.repo.last_build.success", "drone_repo_last_build_success", pmetric.MetricTypeGauge,
					table{"cicd.pipeline.name=e2e/one": one, "cicd.pipeline.name=e2e/two": 0}},
				{"drone.repo.last_build.duration", "drone_repo_last_build_duration_seconds", pmetric.MetricTypeGauge,
					table{"cicd.pipeline.name=e2e/one": duration, "cicd.pipeline.name=e2e/two": 0}},
			})
		}
		last(0, 0) // killed before it ran
		s.pollsGoOn(t, 5)
		s.holds(t, prom, to, ended()) // and none of them once more

		drone.through("e2e/one", dronetest.StatusSuccess)
		s.holds(t, prom, to, []metric{{"drone.build.finished", "drone_build_finished_total", pmetric.MetricTypeSum,
			finishedBuilds(3, 1, 2, 1)}})
		last(1, 60)
		s.examples(t, prom, drone)
		if complaints := prom.Warnings(); len(complaints) != 0 {
			t.Errorf("Prometheus complains: %q", complaints)
		}
		s.stop(t)
	})
}

// severalEnd makes one build of each kind. The agent sees those with a time to see while they wait and run.
func (s *scene) severalEnd(t *testing.T, prom *prometheus.Server, drone world) {
	t.Helper()
	for range 4 {
		drone.open("e2e/one")
	}
	s.agent.Await(t, "four builds that wait", func() error {
		waiting, err := prom.Value(t.Context(), "drone_pending_builds")
		return differs("drone_pending_builds", waiting, 4, err)
	})
	drone.pass(30)
	for number := range int64(3) {
		drone.StartStage("e2e/one", number+1, 1, "runner-1")
	}
	s.agent.Await(t, "three builds that run", func() error {
		running := table{
			"cicd.pipeline.name=e2e/one cicd.pipeline.run.state=executing": 3,
			"cicd.pipeline.name=e2e/one cicd.pipeline.run.state=pending":   1,
			"cicd.pipeline.name=e2e/two cicd.pipeline.run.state=executing": 0,
			"cicd.pipeline.name=e2e/two cicd.pipeline.run.state=pending":   0,
		}
		return running.inPrometheus(t.Context(), prom, "cicd_pipeline_run_active")
	})
	drone.pass(60)
	drone.FinishBuild("e2e/one", 1, dronetest.StatusSuccess)
	drone.FinishBuild("e2e/one", 2, dronetest.StatusFailure)
	drone.FinishBuild("e2e/one", 3, dronetest.StatusKilled)
	drone.FinishBuild("e2e/one", 4, dronetest.StatusKilled) // while it waits
	short := drone.CreateBuild("e2e/one", dronetest.BuildSpec{Event: "pull_request", Stages: []dronetest.StageSpec{
		{Name: "build"}, {Name: "arm", Arch: "arm64"},
	}})
	drone.FinishBuild("e2e/one", short.Number, dronetest.StatusSuccess)
	drone.CreateBuild("e2e/two", dronetest.BuildSpec{Error: "yaml: line 3: did not find expected key"})
}

// finishedBuilds is drone.build.finished: builds of e2e/one by status, and those of e2e/two with a faulty
// configuration. Success and failure are there from the start.
func finishedBuilds(success, failure, killed, faulty float64) table {
	out := table{
		"cicd.pipeline.name=e2e/one drone.build.status=success": success,
		"cicd.pipeline.name=e2e/one drone.build.status=failure": failure,
		"cicd.pipeline.name=e2e/two drone.build.status=success": 0,
		"cicd.pipeline.name=e2e/two drone.build.status=failure": 0,
	}
	if killed > 0 {
		out["cicd.pipeline.name=e2e/one drone.build.status=killed"] = killed
	}
	if faulty > 0 {
		out["cicd.pipeline.name=e2e/two drone.build.status=error"] = faulty
	}
	return out
}

// How the attributes of a build's and a stage's pending and executing time begin.
const (
	waited    = "cicd.pipeline.name=e2e/one cicd.pipeline.run.state=pending "
	ran       = "cicd.pipeline.name=e2e/one cicd.pipeline.run.state=executing cicd.pipeline.result="
	onDefault = " drone.branch.class=default"
	onAMD     = " os=linux arch=amd64"
)

// ended are the metrics after what severalEnd makes.
func ended() []metric {
	return []metric{
		{"drone.build.finished", "drone_build_finished_total", pmetric.MetricTypeSum, finishedBuilds(2, 1, 2, 1)},
		{"cicd.pipeline.run.errors", "cicd_pipeline_run_errors_total", pmetric.MetricTypeSum, table{
			"cicd.pipeline.name=e2e/one error.type=step":   1,
			"cicd.pipeline.name=e2e/two error.type=config": 1,
		}},
		{"cicd.pipeline.run.duration", "cicd_pipeline_run_duration_seconds_count", pmetric.MetricTypeHistogram, table{
			waited + onDefault:                                       3,
			waited + "drone.branch.class=other":                      1,
			waited + "cicd.pipeline.result=cancellation" + onDefault: 1,
			ran + "success" + onDefault:                              1,
			ran + "success drone.branch.class=other":                 1,
			ran + "failure error.type=step" + onDefault:              1,
			ran + "cancellation" + onDefault:                         1,
		}},
		{"drone.stage.duration", "drone_stage_duration_seconds_count", pmetric.MetricTypeHistogram, table{
			waited + "stage=default" + onAMD:              3,
			waited + "stage=build" + onAMD:                1,
			waited + "stage=arm os=linux arch=arm64":      1,
			ran + "success stage=default" + onAMD:         1,
			ran + "failure stage=default" + onAMD:         1,
			ran + "cancellation stage=default" + onAMD:    1,
			ran + "success stage=build" + onAMD:           1,
			ran + "success stage=arm os=linux arch=arm64": 1,
		}},
	}
}

// seconds are sums of durations after what severalEnd makes, by query.
func seconds() map[string]table {
	return map[string]table{
		"cicd_pipeline_run_duration_seconds_sum": {
			waited + onDefault:                                       90,
			waited + "drone.branch.class=other":                      0,
			waited + "cicd.pipeline.result=cancellation" + onDefault: 90,
			ran + "success" + onDefault:                              60,
			ran + "success drone.branch.class=other":                 0,
			ran + "failure error.type=step" + onDefault:              60,
			ran + "cancellation" + onDefault:                         60,
		},
		`sum by (stage) (drone_stage_duration_seconds_sum{cicd_pipeline_run_state="executing"})`: {
			"stage=default": 180, "stage=build": 0, "stage=arm": 0,
		},
	}
}

// examples puts every query of METRICS.md to Prometheus, and holds that there is every metric that it lists.
func (s *scene) examples(t *testing.T, prom *prometheus.Server, drone world) {
	t.Helper()
	drone.Intercept(dronetest.Status(http.StatusInternalServerError, `{"message":"no"}`,
		dronetest.On("/api/repos/{owner}/{name}/builds"), dronetest.First(1)))
	drone.through("e2e/two", dronetest.StatusSuccess)
	text, err := os.ReadFile("../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("(?m)^\\| \\[`([a-z_]+)`\\]").FindAllStringSubmatch(string(text), -1)
	queries := regexp.MustCompile("(?m)^- Example: `(.*)`$").FindAllStringSubmatch(string(text), -1)
	if len(names) == 0 || len(names) != len(queries) {
		t.Fatalf("METRICS.md lists %d metrics and has %d examples", len(names), len(queries))
	}
	for _, name := range names {
		s.agent.Await(t, name[1], func() error {
			query := fmt.Sprintf(`count({__name__=~"%s(_count)?"})`, name[1])
			_, err := prom.Value(t.Context(), query)
			return err
		})
	}
	for _, query := range queries {
		if _, remarks, err := prom.Ask(t.Context(), query[1]); err != nil || len(remarks) > 0 {
			t.Errorf("METRICS.md: %q: %v %q", query[1], err, remarks)
		}
	}
	// Counted from zero, so that the first build is an increase. Prometheus extrapolates to the ends of the range.
	s.agent.Await(t, "the increase", func() error {
		grown, err := prom.Value(t.Context(), `sum(increase(drone_build_finished_total{drone_build_status="success"}[5m]))`)
		if err == nil && (grown < 4 || grown > 8) {
			err = fmt.Errorf("four builds that succeeded are an increase of %v", grown)
		}
		return err
	})
}

// Where there are more repositories than may have series of their own, the rest are taken together, and nothing is
// lost in the sums.
func TestFoldedRepositories(t *testing.T) {
	onBoth(t, func(t *testing.T, edition dronetest.Edition) {
		to := collector.Start(t)
		drone := anew(t, edition, "e2e/a", "e2e/b", "e2e/c", "e2e/d", "e2e/e")
		drone.atOnce("e2e/b", dronetest.StatusFailure, 2) // the two that have been busy so far; not told
		drone.atOnce("e2e/d", dronetest.StatusFailure, 3)
		s := drone.watched(t, to, eachSecond+"metrics: {repositories: {limit: 2}}\n")
		prom := s.scrape(t, bearer)
		s.ready(t, prom)
		for i, slug := range []string{"e2e/a", "e2e/b", "e2e/c", "e2e/d", "e2e/e"} {
			drone.atOnce(slug, dronetest.StatusSuccess, i+1)
			drone.StartStage(slug, drone.open(slug), 1, "runner-1")
		}
		drone.atOnce("e2e/e", dronetest.StatusFailure, 1)
		drone.AddRepo(dronetest.Repo{Slug: "e2e/late", Active: true})
		drone.atOnce("e2e/late", dronetest.StatusKilled, 1)

		s.holds(t, prom, to, []metric{
			{"drone.build.finished", "drone_build_finished_total", pmetric.MetricTypeSum, table{
				"cicd.pipeline.name=e2e/b drone.build.status=success":  2,
				"cicd.pipeline.name=e2e/b drone.build.status=failure":  0,
				"cicd.pipeline.name=e2e/d drone.build.status=success":  4,
				"cicd.pipeline.name=e2e/d drone.build.status=failure":  0,
				"cicd.pipeline.name=_other drone.build.status=success": 1 + 3 + 5,
				"cicd.pipeline.name=_other drone.build.status=failure": 1,
				"cicd.pipeline.name=_other drone.build.status=killed":  1,
			}},
			{"drone.repo.last_build.success", "drone_repo_last_build_success", pmetric.MetricTypeGauge,
				table{"cicd.pipeline.name=e2e/b": 1, "cicd.pipeline.name=e2e/d": 1}},
			{"drone.agent.repositories", "drone_agent_repositories", pmetric.MetricTypeGauge,
				table{"state=active": 6, "state=inactive": 0, "state=unreachable": 0, "state=folded": 4}},
		})
		for query, want := range map[string]table{
			"sum(drone_build_finished_total)": {"": 15 + 1 + 1},
			`sum by (cicd_pipeline_name) (cicd_pipeline_run_active{cicd_pipeline_run_state="executing"})`: {
				"cicd.pipeline.name=e2e/b": 1, "cicd.pipeline.name=e2e/d": 1, "cicd.pipeline.name=_other": 3},
			`sum(cicd_pipeline_run_duration_seconds_count{cicd_pipeline_run_state="executing"})`: {"": 15 + 1},
			`sum by (stage) (drone_stage_duration_seconds_count{cicd_pipeline_run_state="pending"})`: {
				"stage=default": 2 + 4, "stage=_other": 1 + 3 + 5 + 1},
		} {
			s.agent.Await(t, query, func() error { return want.inPrometheus(t.Context(), prom, query) })
		}
		overflow := `{otel_metric_overflow="true"}`
		running, err := prom.Value(t.Context(), "drone_running_builds")
		if err := errors.Join(nothing(t.Context(), prom, overflow), differs("running", running, 5, err)); err != nil {
			t.Error(err)
		}
		if strings.Contains(s.agent.Log(), "overflow") {
			t.Error("the agent says something of an overflow")
		}
		s.stop(t)
	})
}
