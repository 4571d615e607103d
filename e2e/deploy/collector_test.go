package deploy

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
	"drone-otel-agent/e2e/prometheus"
)

// passedOn is an agent that pushes to a Collector with the configuration of deploy/collector, and what the Collector
// passes on to: a Prometheus that takes remote writes, and another Collector.
type passedOn struct {
	watched
	collector *process.Agent
	prom      *prometheus.Server
	next      *collector.Collector
}

func passOn(t *testing.T, histogram string) passedOn {
	t.Helper()
	p := passedOn{prom: prometheus.Start(t, ""), next: collector.Start(t)}
	path, err := filepath.Abs("../../deploy/collector/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	address := port.Free(t)
	_, ownPort, _ := strings.Cut(port.Free(t), ":")
	// The Collector comes later, so that some pushes fail.
	p.watched = watchPushing(t, histogram, "http://"+address)
	p.inbox = p.next
	p.await(t, `sum(otel_sdk_exporter_metric_data_point_exported_total{error_type!=""}) > bool 0`, 1)
	p.collector = process.Start(t, otelcol, []string{
		"OTLP_LISTEN=" + address, "OTLP_NEXT=" + p.next.Address(), "COLLECTOR_METRICS_PORT=" + ownPort,
		"REMOTE_WRITE_URL=" + p.prom.TakeRemoteWrite(t),
	}, "--config="+path)
	p.collector.AwaitLine(t, "Everything is ready")
	return p
}

// The Collector hands on what the agent pushes under the names and with the labels that METRICS.md has, and the rules
// find there what they want.
func TestCollectorPassesOn(t *testing.T) {
	t.Parallel()
	p := passOn(t, "explicit")
	p.live(t)
	const finished = `drone_build_finished_total{job="drone-otel-agent",instance!="",cicd_pipeline_name="e2e/one",`
	values := map[string]float64{
		finished + `drone_build_status="success"}`: 2, finished + `drone_build_status="failure"}`: 1,
		"drone_build_count": 5, "drone_running_jobs": 1, "drone_pending_jobs": 1, "drone_up": 1,
		`drone_queue_jobs{drone_stage_status="pending",os="linux",arch="amd64",type="docker"}`:          1,
		`cicd_pipeline_run_active{cicd_pipeline_name="e2e/one",cicd_pipeline_run_state="executing"}`:    1,
		`sum by (job) (cicd_pipeline_run_duration_seconds_count{cicd_pipeline_run_state="executing"})`:  3,
		`sum(cicd_pipeline_run_duration_seconds_bucket{cicd_pipeline_run_state="executing",le="+Inf"})`: 3,
		`drone_repo_last_build_success`: 1,
		`clamp_max(sum(increase(cicd_system_errors_total{error_type="401",cicd_system_component="drone-api"}[1m])),1)`: 1,
	}
	p.collector.Await(t, "Prometheus to have it all", func() error {
		var wrong []error
		for query, want := range values {
			if got, err := p.prom.Value(t.Context(), query); err != nil || got != want {
				wrong = append(wrong, fmt.Errorf("%s is %v (%w), want %v", query, got, err, want))
			}
		}
		return errors.Join(wrong...)
	})
	documented(t, p.prom)
	check(t, p.prom, slices.Concat(notYet, explicitOnly, onlyScraped))
	p.nextHasIt(t)
	// The third way out.
	p.collector.AwaitLine(t, `"metrics": `)
	for _, one := range []*process.Agent{p.agent, p.collector} {
		if code := one.Terminate(t); code != 0 {
			t.Errorf("after SIGTERM it ended with exit code %d, want 0:\n%s", code, one.Log())
		}
	}
	for _, line := range strings.Split(p.collector.Log(), "\n") {
		if regexp.MustCompile(`\t(warn|error)\t`).MatchString(line) && !strings.Contains(line, "grpc_log") {
			t.Errorf("the Collector complains: %s", line)
		}
	}
}

// documented holds that the series are those of METRICS.md: all of its metrics are there, with its labels and no
// others.
func documented(t *testing.T, prom *prometheus.Server) {
	t.Helper()
	series, err := prom.Query(t.Context(), `{job="drone-otel-agent"}`)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	all := known(t, nil)
	for _, one := range series {
		name := one.Metric.Get(model.MetricNameLabel)
		there[name] = true
		attributes, listed := all[name]
		if !listed || name == "target_info" || name == "drone_otel_agent_build_info" {
			continue
		}
		one.Metric.Range(func(l labels.Label) {
			usual := []string{model.MetricNameLabel, model.JobLabel, model.InstanceLabel}
			if !slices.Contains(usual, l.Name) && !slices.Contains(attributes, l.Name) {
				t.Errorf("%s has a label that METRICS.md does not know", one.Metric)
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(documentedNames(t))) {
		if !there[name] && !there[name+"_bucket"] && name != "drone_step_duration_seconds" { // which is off
			t.Errorf("%s of METRICS.md did not arrive", name)
		}
	}
}

// nextHasIt waits until the second receiver of OTLP has what the agent knows.
func (p passedOn) nextHasIt(t *testing.T) {
	t.Helper()
	p.collector.Await(t, "the next Collector to have it", func() error {
		push, err := p.next.Last()
		if err != nil {
			return err
		}
		resource, err := push.Resource()
		if err != nil {
			return err
		}
		if resource["service.name"] != "drone-otel-agent" || resource["service.instance.id"] == "" {
			return fmt.Errorf("the resource is %q", resource)
		}
		count, err := push.Gauge("drone.build.count")
		if err != nil || count != 5 {
			return fmt.Errorf("drone.build.count is %v (%w), want 5", count, err)
		}
		points, err := push.Points("drone.build.finished", pmetric.MetricTypeSum)
		if err != nil {
			return err
		}
		for _, point := range points {
			if point.Attributes["drone.build.status"] == dronetest.StatusSuccess && point.Value == 2 &&
				point.Attributes["cicd.pipeline.name"] == "e2e/one" {
				return nil
			}
		}
		return fmt.Errorf("drone.build.finished has %v", points)
	})
}
