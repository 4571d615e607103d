package exporters

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// discard is a response that goes nowhere.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (discard) WriteHeader(int)               {}

// BenchmarkScrape compares a scrape of 10,000 series with the same in plain client_golang.
func BenchmarkScrape(b *testing.B) {
	const series = 10000
	p, err := NewProvider(b.Context(), ProviderConfig{CardinalityLimit: -1})
	if err != nil {
		b.Fatal(err)
	}
	counter := must(p.Meter("test").Int64Counter("drone.build.finished", metric.WithUnit("{build}")))
	plain := prometheus.NewRegistry()
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "drone_build_finished_total"},
		[]string{"cicd_pipeline_name", "drone_build_status"})
	plain.MustRegister(vec)
	for i := range series {
		name := fmt.Sprint("octocat/hello", i)
		counter.Add(b.Context(), 1, metric.WithAttributes(
			attribute.String("cicd.pipeline.name", name), attribute.String("drone.build.status", "success")))
		vec.WithLabelValues(name, "success").Inc()
	}
	for _, bench := range []struct {
		name    string
		handler http.Handler
	}{
		{"agent", p.Handler()},
		{"client_golang", promhttp.HandlerFor(plain, promhttp.HandlerOpts{})},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
				bench.handler.ServeHTTP(discard{http.Header{}}, req)
			}
		})
	}
	if err := p.Shutdown(b.Context()); err != nil {
		b.Error(err)
	}
}
