//go:build unix

package exporters

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
)

// discard is a response that goes nowhere.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (discard) WriteHeader(int)               {}

// benchBuckets are the agent's own by default.
var benchBuckets = []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200}

// benchAccept are the formats a Prometheus asks for: its default, and what it asks for where it wants native
// histograms.
var benchAccept = []struct{ name, accept string }{
	{"text", "text/plain;version=0.0.4"},
	{"openmetrics", "application/openmetrics-text;version=1.0.0"},
	{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
}

// BenchmarkScrape compares a scrape with the same series in plain client_golang, and in the SDK's own
// exporter: so many gauges, observed by a callback as the agent's are, and as many histograms. All three
// have the runtime, process and build metrics beside them, and the metrics of the endpoint itself.
func BenchmarkScrape(b *testing.B) {
	for _, kind := range []struct {
		name        string
		exponential bool
	}{{"explicit", false}, {"native", true}} {
		for _, series := range []int{1000, 10000} {
			handlers := []struct {
				name    string
				handler http.Handler
			}{
				{"client_golang", benchPlain(b, series, kind.exponential)},
				{"ours", benchOurs(b, series, kind.exponential)},
				{"official", benchOfficial(b, series, kind.exponential)},
			}
			for _, format := range benchAccept {
				for _, h := range handlers {
					b.Run(fmt.Sprintf("%s/%d+%[2]d/%s/%s", kind.name, series, format.name, h.name), func(b *testing.B) {
						benchScrapes(b, h.handler, format.accept)
					})
				}
			}
		}
	}
}

func benchScrapes(b *testing.B, handler http.Handler, accept string) {
	b.Helper()
	req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", accept)
	handler.ServeHTTP(discard{http.Header{}}, req) // a cache is filled by the first
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		handler.ServeHTTP(discard{http.Header{}}, req)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what this process has computed, the garbage collector included. Unlike the time on the clock it
// is about the same on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestScrapeAllocatesLess holds what of the benchmark does not depend on the machine.
func TestScrapeAllocatesLess(t *testing.T) {
	allocations := func(handler http.Handler) float64 {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		return testing.AllocsPerRun(5, func() { handler.ServeHTTP(discard{http.Header{}}, req) })
	}
	plain, ours := allocations(benchPlain(t, 500, false)), allocations(benchOurs(t, 500, false))
	if ours >= plain {
		t.Errorf("a scrape makes %.0f allocations, client_golang alone %.0f", ours, plain)
	}
}

func benchRepo(i int) string { return fmt.Sprint("octocat/hello-world-", i) }

// benchPlain is what a program without OpenTelemetry would have.
func benchPlain(b testing.TB, series int, native bool) http.Handler {
	b.Helper()
	reg, err := newOwnRegistry("1.2.3")
	if err != nil {
		b.Fatal(err)
	}
	labels := []string{"cicd_pipeline_name", "cicd_pipeline_run_state"}
	gauges := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "drone_build_oldest_age_seconds", Help: "Age."}, labels)
	opts := prometheus.HistogramOpts{
		Name: "cicd_pipeline_run_duration_seconds", Help: "Duration.", Buckets: benchBuckets,
	}
	if native {
		opts.Buckets, opts.NativeHistogramBucketFactor, opts.NativeHistogramMaxBucketNumber = nil, 1.1, 160
	}
	histograms := prometheus.NewHistogramVec(opts, labels)
	reg.MustRegister(gauges, histograms)
	for i := range series {
		gauges.WithLabelValues(benchRepo(i), "executing").Set(float64(i) + 0.5)
		for _, value := range benchDurations(i) {
			histograms.WithLabelValues(benchRepo(i), "executing").Observe(value)
		}
	}
	return promhttp.InstrumentMetricHandler(reg, promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		Registry: reg, EnableOpenMetrics: true,
	}))
}

func benchOurs(b testing.TB, series int, exponential bool) http.Handler {
	b.Helper()
	p, err := NewProvider(b.Context(), ProviderConfig{
		Version: "1.2.3", CardinalityLimit: -1, ExponentialHistograms: exponential,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Shutdown(context.WithoutCancel(b.Context())) })
	benchInstruments(b, p.Meter("bench"), series)
	return p.Handler()
}

// benchOfficial is the SDK's exporter in a registry, as its documentation has it.
func benchOfficial(b testing.TB, series int, exponential bool) http.Handler {
	b.Helper()
	reg, err := newOwnRegistry("1.2.3")
	if err != nil {
		b.Fatal(err)
	}
	opts := []otelprom.Option{otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo()}
	if exponential {
		opts = append(opts, otelprom.WithAggregationSelector(exponentialHistograms))
	}
	exporter, err := otelprom.New(opts...)
	if err != nil {
		b.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithCardinalityLimit(-1),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	b.Cleanup(func() { _ = provider.Shutdown(context.WithoutCancel(b.Context())) })
	benchInstruments(b, provider.Meter("bench"), series)
	return promhttp.InstrumentMetricHandler(reg, promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		Registry: reg, EnableOpenMetrics: true,
	}))
}

func benchInstruments(b testing.TB, meter metric.Meter, series int) {
	b.Helper()
	ages := must(meter.Float64ObservableGauge("drone.build.oldest.age", metric.WithUnit("s"),
		metric.WithDescription("Age.")))
	durations := must(meter.Float64Histogram("cicd.pipeline.run.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration."), metric.WithExplicitBucketBoundaries(benchBuckets...)))
	sets := make([]metric.MeasurementOption, series)
	for i := range sets {
		sets[i] = metric.WithAttributeSet(attribute.NewSet(attribute.String("cicd.pipeline.name", benchRepo(i)),
			attribute.String("cicd.pipeline.run.state", "executing")))
		for _, value := range benchDurations(i) {
			durations.Record(b.Context(), value, sets[i])
		}
	}
	must(meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, set := range sets {
			o.ObserveFloat64(ages, float64(i)+0.5, set)
		}
		return nil
	}, ages))
}

// benchDurations spreads values over the buckets.
func benchDurations(i int) []float64 {
	return []float64{0.5, float64(i%7) + 3, float64(i%100) * 10, float64(i)}
}
