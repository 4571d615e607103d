package e2e

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
)

// Exponential histograms become Prometheus's native ones where it asks for them, and are told of in count and sum
// where it does not.
func TestNativeHistograms(t *testing.T) {
	t.Parallel()
	to := collector.Start(t)
	drone := anew(t, dronetest.Enterprise, "e2e/one")
	s := drone.watched(t, to, eachSecond+"metrics: {histogram: exponential}\n")
	modern := s.scrape(t, bearer+"\n    scrape_native_histograms: true")
	older := s.scrape(t, bearer)
	s.ready(t, modern)
	for range 3 {
		drone.through("e2e/one", dronetest.StatusSuccess)
	}
	drone.through("e2e/one", dronetest.StatusFailure)

	counts := table{
		waited + onDefault:                          4,
		ran + "success" + onDefault:                 3,
		ran + "failure error.type=step" + onDefault: 1,
	}
	const name = "cicd_pipeline_run_duration_seconds"
	s.agent.Await(t, "native histograms", func() error {
		return errors.Join(
			counts.inPrometheus(t.Context(), modern, "histogram_count("+name+")"),
			counts.inPrometheus(t.Context(), older, name+"_count"),
			counts.atCollector(to, "cicd.pipeline.run.duration", pmetric.MetricTypeExponentialHistogram))
	})
	for query, want := range map[string]float64{
		`histogram_quantile(0.5, sum(` + name + `{cicd_pipeline_run_state="executing"}))`: 60,
		`histogram_quantile(0.5, sum(` + name + `{cicd_pipeline_run_state="pending"}))`:   30,
		`histogram_avg(sum(` + name + `{cicd_pipeline_run_state="executing"}))`:           60,
		`histogram_count(sum(drone_stage_duration_seconds))`:                              8,
	} {
		got, err := modern.Value(t.Context(), query)
		if err != nil || math.Abs(got-want) > want/20 {
			t.Errorf("%s is %v (%v), want about %v", query, got, err, want)
		}
	}
	// No buckets of the classic kind beside the native ones.
	if err := nothing(t.Context(), modern, fmt.Sprintf(`{__name__=~"%s_.*"}`, name)); err != nil {
		t.Error(err)
	}
	if complaints := append(modern.Warnings(), older.Warnings()...); len(complaints) != 0 {
		t.Errorf("Prometheus complains: %q", complaints)
	}
	s.stop(t)
}
