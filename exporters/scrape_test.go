package exporters

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// droneOnly are names that Drone's endpoint has and today's client_golang does not give: it dropped both from
// its collector, go_memstats_lookups_total because Go had stopped counting and it was always 0 (its
// CHANGELOG, #1577), go_memstats_gc_cpu_fraction with the move to runtime/metrics.
var droneOnly = []string{"go_memstats_gc_cpu_fraction", "go_memstats_lookups_total"}

func TestOwnMetricsAreNamedAsDronesAre(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the recording is of Linux, other systems have fewer process metrics")
	}
	file, err := os.Open("testdata/drone_metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	want := sampleNames(bufio.NewScanner(file))
	_, body := scrape(t, newTestProvider(t, ProviderConfig{}), "text/plain")
	got := sampleNames(bufio.NewScanner(strings.NewReader(body)))
	var missing []string
	for _, name := range want {
		if !slices.Contains(got, name) {
			missing = append(missing, name)
		}
	}
	if diff := cmp.Diff(droneOnly, missing); diff != "" || len(want) != 39 {
		t.Errorf("of Drone's %d names these are missing (-expected +got):\n%s", len(want), diff)
	}
}

// sampleNames gives the names of the samples about a process, in order.
func sampleNames(lines *bufio.Scanner) []string {
	var names []string
	for lines.Scan() {
		name, _, _ := strings.Cut(strings.ReplaceAll(lines.Text(), "{", " "), " ")
		for _, prefix := range []string{"go_", "process_", "promhttp_"} {
			if strings.HasPrefix(name, prefix) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestOneBadSeriesDoesNotCostTheScrape(t *testing.T) {
	logs, logger := newLogbook(t)
	p := newTestProvider(t, ProviderConfig{Logger: logger})
	must(p.Meter("test").Int64Counter("good")).Add(t.Context(), 1)
	broken := true
	must(p.Meter("test").Int64ObservableGauge("bad", metric.WithInt64Callback(
		func(_ context.Context, o metric.Int64Observer) error {
			if broken {
				o.Observe(1, metric.WithAttributes(attribute.String("name", "no UTF-8: \xff")))
			}
			return nil
		})))
	handler := p.Handler()
	scrape := func() string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "\ngood_total 1\n") {
			t.Fatalf("status %d:\n%s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	scrape()
	if body := scrape(); !strings.Contains(body, `promhttp_metric_handler_errors_total{cause="gathering"} 1`) {
		t.Error("the error is not counted")
	}
	var out strings.Builder
	if err := p.WriteText(&out); err == nil || !strings.Contains(err.Error(), "not valid UTF-8") ||
		!strings.Contains(out.String(), "good_total 1") {
		t.Errorf("WriteText: %v\n%s", err, out.String())
	}
	broken = false
	scrape()
	lines := logs.loud(t)
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "ERROR some metrics are left out") ||
		!strings.HasPrefix(lines[1], "INFO no metrics are left out any more") {
		t.Errorf("logged %q", lines)
	}
	if !strings.Contains(logs.String(), "not valid UTF-8") {
		t.Error("the log does not say which")
	}
}

func TestOneLine(t *testing.T) {
	many := prometheus.MultiError{}
	for range 5 {
		many = append(many, errors.New("a\nb"))
	}
	if got, want := oneLine(many), "a; b; a; b; a; b; and 2 more"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := oneLine(errors.New("a\nb")), "a; b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestGatherErrorsAreRepeatedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs, logger := newLogbook(t)
		gatherer := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("bad") })
		s := &scrapeLog{next: gatherer, what: "metrics", logger: logger}
		for range 60 { // a quarter of an hour of scrapes
			_, _ = s.Gather()
			time.Sleep(15 * time.Second) // of synctest
		}
		if lines := logs.loud(t); len(lines) != 2 {
			t.Errorf("logged %q", lines)
		}
	})
}

// blockingCollector holds whoever gathers.
type blockingCollector struct{ entered, gate chan struct{} }

func (*blockingCollector) Describe(chan<- *prometheus.Desc) {}

func (b *blockingCollector) Collect(chan<- prometheus.Metric) {
	b.entered <- struct{}{}
	<-b.gate
}
