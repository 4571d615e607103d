package instruments

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// counting is an observer that only counts: what the callback costs without the SDK.
type counting struct {
	embedded.Observer
	n int
}

func (c *counting) ObserveInt64(metric.Int64Observable, int64, ...metric.ObserveOption)       { c.n++ }
func (c *counting) ObserveFloat64(metric.Float64Observable, float64, ...metric.ObserveOption) { c.n++ }

// BenchmarkCallback is one collection of one reader: the callback alone, with what the SDK does of it, and the
// same where the attributes are made anew each time instead of kept.
func BenchmarkCallback(b *testing.B) {
	for _, repositories := range []int{1_000, 10_000} {
		snapshot := manyRepositories(repositories)
		b.Run(fmt.Sprintf("alone/%d", repositories), func(b *testing.B) {
			r := newRig(b, nil)
			r.snapshot = snapshot
			o := &counting{}
			r.collect(o) // the first makes the attributes
			b.ReportAllocs()
			o.n = 0
			for b.Loop() {
				r.collect(o)
			}
			b.ReportMetric(float64(o.n)/float64(b.N), "series/op")
		})
		b.Run(fmt.Sprintf("sdk/%d", repositories), func(b *testing.B) {
			r := newRig(b, nil)
			r.snapshot = snapshot
			var data metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				if err := r.reader.Collect(b.Context(), &data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("sdk, nothing kept/%d", repositories), func(b *testing.B) {
			r := newRig(b, nil)
			r.snapshot = snapshot
			var data metricdata.ResourceMetrics
			b.ReportAllocs()
			for b.Loop() {
				r.repos = repoCache{}
				if err := r.reader.Collect(b.Context(), &data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFinished is one build of three stages of five steps.
func BenchmarkFinished(b *testing.B) {
	r := newRig(b, everything)
	ended := build("success", "", 10, 70)
	for i := range 3 {
		stage := inStage("octocat/hello", fmt.Sprint("stage", i), "amd64", "").Stages[0]
		stage.Steps = nil
		for k := range 5 {
			stage.Steps = append(stage.Steps,
				FinishedStep{Name: fmt.Sprint("step", k), Status: "success", Started: after(10), Stopped: after(20)})
		}
		ended.Stages = append(ended.Stages, stage)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Finished(ended)
	}
}
