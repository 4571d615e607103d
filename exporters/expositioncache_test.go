package exporters

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// TestExpositionForgets lets series come and go for ever: what is kept of them must not grow.
func TestExpositionForgets(t *testing.T) {
	p := newTestProvider(t, ProviderConfig{})
	const series = 20
	round := 0
	must(p.Meter("test").Int64ObservableGauge("jobs", metric.WithInt64Callback(
		func(_ context.Context, o metric.Int64Observer) error {
			for i := range series {
				o.Observe(int64(i), metric.WithAttributes(attribute.Int("round", round), attribute.Int("i", i),
					attribute.String("pool", "same")))
				// These have the same labels as those before, or none at all.
				o.Observe(int64(i), metric.WithAttributes(attribute.Int("round", round), attribute.String("i", strconv.Itoa(i)),
					attribute.String("pool", "same")))
				o.Observe(1, metric.WithAttributes(attribute.Int("...", round*series+i)))
			}
			return nil
		})))
	for round = range 100 {
		families, err := p.instruments.Gather()
		if err == nil || len(families) != 2 || len(families[0].GetMetric()) != series {
			t.Fatalf("round %d: %v\n%v", round, err, families)
		}
		jobs, pairs := p.instruments.families["jobs"], p.instruments.pairs.known
		if len(jobs.series) != 3*series || len(jobs.order) != series || len(pairs) > 10*series {
			t.Fatalf("round %d: %d series, %d in order, %d pairs are kept", round,
				len(jobs.series), len(jobs.order), len(pairs))
		}
		label := families[0].GetMetric()[0].GetLabel()[1]
		for _, m := range families[0].GetMetric() {
			if m.GetLabel()[1] != label {
				t.Fatalf("the pair %v is there twice", label)
			}
			if got := strconv.Itoa(int(m.GetGauge().GetValue())); got != m.GetLabel()[0].GetValue() {
				t.Fatalf("%v has the value %s", m.GetLabel(), got)
			}
		}
	}
}

// TestExpositionAtTheSameTime scrapes while values change. What one scrape got stays as it is.
func TestExpositionAtTheSameTime(t *testing.T) {
	p := newTestProvider(t, ProviderConfig{})
	m := p.Meter("test")
	durations := must(m.Float64Histogram("run.duration", metric.WithExplicitBucketBoundaries(1, 2, 5)))
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 200 {
				durations.Record(t.Context(), float64(i%7), metric.WithAttributes(attribute.Int("n", i*worker)))
			}
		})
		group.Go(func() {
			for range 20 {
				families, err := p.instruments.Gather()
				if err != nil {
					t.Error(err)
				}
				before := fmt.Sprint(families)
				if _, body := scrape(t, p, "text/plain"); !strings.Contains(body, "\ntarget_info{") {
					t.Error("target_info is missing")
				}
				if after := fmt.Sprint(families); after != before {
					t.Errorf("a scrape changed what another one has got:\n%s\n%s", before, after)
				}
			}
		})
	}
	group.Wait()
}

func TestNativeHistogramsPrometheusDoesNotKnow(t *testing.T) {
	for name, tc := range map[string]struct {
		point   metricdata.ExponentialHistogramDataPoint[int64]
		wantErr string
	}{
		"too coarse": {metricdata.ExponentialHistogramDataPoint[int64]{Scale: -5}, "the scale"},
		"too few": {metricdata.ExponentialHistogramDataPoint[int64]{
			Count: 3, ZeroCount: 1, PositiveBucket: metricdata.ExponentialBucket{Counts: []uint64{1}}}, "do not add up"},
		"too many": {metricdata.ExponentialHistogramDataPoint[int64]{
			Count: 1, ZeroCount: 1, NegativeBucket: metricdata.ExponentialBucket{Counts: []uint64{1}}}, "do not add up"},
		"good": {metricdata.ExponentialHistogramDataPoint[int64]{
			Count: 1, NegativeBucket: metricdata.ExponentialBucket{Counts: []uint64{1}}, StartTime: time.Now()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &nativePoints[int64]{data: []metricdata.ExponentialHistogramDataPoint[int64]{tc.point}}
			_, err := p.metric(0)
			if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
		})
	}
}
