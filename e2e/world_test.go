package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/prometheus"
)

// eachSecond is the beginning of a configuration file for tests that watch builds end.
const eachSecond = "poll: {interval: 1s}\notlp: {interval: 1s}\n"

var editions = []dronetest.Edition{dronetest.Enterprise, dronetest.Community}

// onBoth runs a test on both editions.
func onBoth(t *testing.T, test func(t *testing.T, edition dronetest.Edition)) {
	t.Helper()
	t.Parallel()
	for _, edition := range editions {
		t.Run(edition.String(), func(t *testing.T) {
			t.Parallel()
			test(t, edition)
		})
	}
}

// world is a Drone server whose time the test moves, so that durations are exact: they are whole seconds there.
type world struct {
	*dronetest.Server
	url string
	now *atomic.Int64
}

// anew makes a Drone server without builds that has these repositories. Its time begins an hour ago.
func anew(t *testing.T, edition dronetest.Edition, slugs ...string) world {
	t.Helper()
	w := world{now: new(atomic.Int64)}
	w.now.Store(time.Now().Add(-time.Hour).Unix())
	w.Server = dronetest.New(edition, dronetest.WithClock(func() time.Time { return time.Unix(w.now.Load(), 0) }))
	for _, slug := range slugs {
		w.AddRepo(dronetest.Repo{Slug: slug, Active: true})
	}
	web := httptest.NewServer(w.Server)
	t.Cleanup(web.Close)
	w.url = web.URL
	return w
}

// pass lets time pass in Drone.
func (w world) pass(seconds int64) { w.now.Add(seconds) }

// watched starts the agent on it with the text of a configuration file. The Collector may be nil.
func (w world) watched(t *testing.T, to *collector.Collector, configuration string) scene {
	t.Helper()
	env := []string{"DRONE_SERVER=" + w.url, "DRONE_TOKEN=" + dronetest.DefaultToken}
	return enact(t, w.Server, to, env, configuration)
}

// open makes a build of a repository's default branch that waits for a runner, with one stage for each name; one
// stage named default where there is none.
func (w world) open(slug string, stages ...string) int64 {
	spec := dronetest.BuildSpec{}
	for _, name := range stages {
		spec.Stages = append(spec.Stages, dronetest.StageSpec{Name: name})
	}
	return w.CreateBuild(slug, spec).Number
}

// through makes a build that waits for half a minute, runs for a minute and ends.
func (w world) through(slug, status string) {
	number := w.open(slug)
	w.pass(30)
	w.StartStage(slug, number, 1, "runner-1")
	w.pass(60)
	w.FinishBuild(slug, number, status)
}

// atOnce makes builds that are born and end within a second.
func (w world) atOnce(slug, status string, builds int) {
	for range builds {
		w.FinishBuild(slug, w.open(slug), status)
	}
}

// table is what a metric should hold: every point, by all of its attributes, written as "key=value key=value" in
// OpenTelemetry's names.
type table map[string]float64

// key writes attributes as in a table, in order. An empty one is none, as it is to Prometheus.
func key(attributes map[string]string) string {
	var out []string
	for name, value := range attributes {
		if value != "" {
			out = append(out, name+"="+value)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// renamed is the table with its attributes' names changed, and the attributes of each in order.
func (want table) renamed(rename func(string) string) table {
	out := table{}
	for attributes, value := range want {
		renamed := map[string]string{}
		for _, attribute := range strings.Fields(attributes) {
			name, value, _ := strings.Cut(attribute, "=")
			renamed[rename(name)] = value
		}
		out[key(renamed)] = value
	}
	return out
}

// differs tells what is otherwise than in the table.
func (want table) differs(what string, got table) error {
	var wrong []error
	for attributes, value := range want {
		if is, there := got[attributes]; !there || is != value {
			wrong = append(wrong, fmt.Errorf("%s{%s} is %v (there: %t), want %v", what, attributes, is, there, value))
		}
	}
	for attributes, value := range got {
		if _, wanted := want[attributes]; !wanted {
			wrong = append(wrong, fmt.Errorf("%s{%s} is %v, want none", what, attributes, value))
		}
	}
	return errors.Join(wrong...)
}

// inPrometheus holds what a query answers against the table.
func (want table) inPrometheus(ctx context.Context, prom *prometheus.Server, query string) error {
	series, err := prom.Query(ctx, query)
	if err != nil {
		return err
	}
	got := table{}
	for _, one := range series {
		labels := one.Metric.Map()
		maps.DeleteFunc(labels, func(name, _ string) bool {
			return name == model.MetricNameLabel || name == model.JobLabel || name == model.InstanceLabel ||
				strings.HasPrefix(name, "otel_scope_")
		})
		got[key(labels)] = one.F
	}
	return want.renamed(promName).differs(query, got)
}

// atCollector holds a metric of the newest push against the table: the counts of a histogram.
func (want table) atCollector(to *collector.Collector, name string, kind pmetric.MetricType) error {
	push, err := to.Last()
	if err != nil {
		return err
	}
	points, err := push.Points(name, kind)
	if err != nil {
		return err
	}
	got := table{}
	for _, point := range points {
		got[key(point.Attributes)] = point.Value
	}
	return want.renamed(func(name string) string { return name }).differs(name, got)
}

// ready waits until the agent knows Drone and its repositories, so that what ends from now on is told.
func (s *scene) ready(t *testing.T, prom *prometheus.Server) {
	t.Helper()
	s.agent.Await(t, "the first poll", func() error {
		up, err := prom.Value(t.Context(), "drone_up")
		if err := differs("drone_up", up, 1, err); err != nil {
			return err
		}
		_, err = prom.Value(t.Context(), "drone_running_jobs")
		return err
	})
}

// nothing holds that a query has no answer.
func nothing(ctx context.Context, prom *prometheus.Server, query string) error {
	return table{}.inPrometheus(ctx, prom, query)
}
