package exporters

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

func newTestProvider(t *testing.T, cfg ProviderConfig) *Provider {
	t.Helper()
	p, err := NewProvider(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return p
}

// scrape asks the handler directly and gives content type and body.
func scrape(t *testing.T, p *Provider, accept string) (contentType, body string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Header().Get("Content-Type"), w.Body.String()
}

// must is for instruments, which fail only where their names are wrong.
func must[T any](instrument T, err error) T {
	if err != nil {
		panic(err)
	}
	return instrument
}

func TestNames(t *testing.T) {
	ctx := t.Context()
	name := metric.WithAttributes(attribute.String("cicd.pipeline.name", "octocat/hello"))
	// One of each kind and of each unit that changes a name, made in any order.
	instruments := []func(m metric.Meter){
		func(m metric.Meter) {
			must(m.Int64ObservableGauge("drone.build.count", metric.WithDescription("Builds."),
				metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
					o.Observe(870000)
					return nil
				})))
		},
		func(m metric.Meter) {
			must(m.Int64UpDownCounter("cicd.pipeline.run.active", metric.WithUnit("{run}"))).Add(ctx, 3, name)
		},
		func(m metric.Meter) {
			must(m.Int64Counter("cicd.pipeline.run.errors", metric.WithUnit("{error}"))).Add(ctx, 2, name)
		},
		func(m metric.Meter) {
			must(m.Int64ObservableCounter("drone.build.finished", metric.WithUnit("{build}"),
				metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
					o.Observe(7, name)
					return nil
				})))
		},
		func(m metric.Meter) {
			must(m.Float64Gauge("drone.build.oldest.age", metric.WithUnit("s"))).Record(ctx, 1.5)
		},
		func(m metric.Meter) {
			must(m.Float64Histogram("cicd.pipeline.run.duration", metric.WithUnit("s"),
				metric.WithExplicitBucketBoundaries(1, 10))).Record(ctx, 5, name)
		},
	}
	rand.Shuffle(len(instruments), func(i, j int) { instruments[i], instruments[j] = instruments[j], instruments[i] })
	p := newTestProvider(t, ProviderConfig{})
	for _, make := range instruments {
		make(p.Meter("a scope that is no label", metric.WithInstrumentationVersion("1")))
	}
	var out strings.Builder
	if err := p.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `# HELP cicd_pipeline_run_active 
# TYPE cicd_pipeline_run_active gauge
cicd_pipeline_run_active{cicd_pipeline_name="octocat/hello"} 3
# HELP cicd_pipeline_run_duration_seconds 
# TYPE cicd_pipeline_run_duration_seconds histogram
cicd_pipeline_run_duration_seconds_bucket{cicd_pipeline_name="octocat/hello",le="1"} 0
cicd_pipeline_run_duration_seconds_bucket{cicd_pipeline_name="octocat/hello",le="10"} 1
cicd_pipeline_run_duration_seconds_bucket{cicd_pipeline_name="octocat/hello",le="+Inf"} 1
cicd_pipeline_run_duration_seconds_sum{cicd_pipeline_name="octocat/hello"} 5
cicd_pipeline_run_duration_seconds_count{cicd_pipeline_name="octocat/hello"} 1
# HELP cicd_pipeline_run_errors_total 
# TYPE cicd_pipeline_run_errors_total counter
cicd_pipeline_run_errors_total{cicd_pipeline_name="octocat/hello"} 2
# HELP drone_build_count Builds.
# TYPE drone_build_count gauge
drone_build_count 870000
# HELP drone_build_finished_total 
# TYPE drone_build_finished_total counter
drone_build_finished_total{cicd_pipeline_name="octocat/hello"} 7
# HELP drone_build_oldest_age_seconds 
# TYPE drone_build_oldest_age_seconds gauge
drone_build_oldest_age_seconds 1.5
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestFormats(t *testing.T) {
	p := newTestProvider(t, ProviderConfig{Version: "1.2.3", ExponentialHistograms: true})
	h := must(p.Meter("test").Float64Histogram("run.duration", metric.WithUnit("s")))
	for _, seconds := range []float64{0.3, 7, 7, 4000} {
		h.Record(t.Context(), seconds)
	}
	t.Run("text", func(t *testing.T) {
		contentType, body := scrape(t, p, "text/plain")
		if !strings.HasPrefix(contentType, "text/plain") {
			t.Errorf("content type %q", contentType)
		}
		for _, want := range []string{
			"\nrun_duration_seconds_count 4\n", "\ntarget_info{", "\ngo_goroutines ",
			`version="1.2.3"} 1`, `service_name="drone-otel-agent"`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("no %q in\n%s", want, body)
			}
		}
		if strings.Contains(body, "otel_scope") {
			t.Error("there are scope labels")
		}
	})
	t.Run("OpenMetrics", func(t *testing.T) {
		contentType, body := scrape(t, p, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
		if !strings.HasPrefix(contentType, "application/openmetrics-text; version=1.0.0") {
			t.Errorf("content type %q", contentType)
		}
		if !strings.HasSuffix(body, "\n# EOF\n") {
			t.Errorf("it ends %q", body[max(0, len(body)-40):])
		}
	})
	t.Run("protobuf", func(t *testing.T) {
		// As Prometheus asks where it wants native histograms.
		contentType, body := scrape(t, p, "application/vnd.google.protobuf;"+
			"proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;q=0.5")
		dec := expfmt.NewDecoder(strings.NewReader(body), expfmt.ResponseFormat(http.Header{
			"Content-Type": {contentType},
		}))
		for {
			var family dto.MetricFamily
			if err := dec.Decode(&family); err != nil {
				t.Fatalf("no run_duration_seconds: %v", err)
			}
			if family.GetName() != "run_duration_seconds" {
				continue
			}
			native := family.GetMetric()[0].GetHistogram()
			if native.GetSampleCount() != 4 || len(native.GetPositiveSpan()) == 0 || native.GetSchema() < 3 {
				t.Errorf("it is no native histogram: %v", native)
			}
			return
		}
	})
}

func TestResource(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	attributes := func(t *testing.T, cfg ProviderConfig) map[string]string {
		t.Helper()
		_, logger := newLogbook(t)
		cfg.Logger = logger
		res, err := newResource(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, kv := range res.Attributes() {
			if !strings.HasPrefix(string(kv.Key), "telemetry.sdk.") {
				all[string(kv.Key)] = kv.Value.String()
			}
		}
		if got := len(res.Attributes()) - len(all); got != 3 {
			t.Errorf("%d attributes of telemetry.sdk, not 3", got)
		}
		return all
	}
	cfg := ProviderConfig{Version: "1.2.3", Identity: "https://drone.example.com"}
	t.Run("without variables", func(t *testing.T) {
		got := attributes(t, cfg)
		want := map[string]string{
			"service.name": "drone-otel-agent", "service.version": "1.2.3", "host.name": host,
			"service.instance.id": instanceID(host, cfg.Identity),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if again := attributes(t, cfg); again["service.instance.id"] != got["service.instance.id"] {
			t.Error("service.instance.id is another after a restart")
		}
		if other := attributes(t, ProviderConfig{Identity: "https://other.example.com"}); other["service.instance.id"] ==
			got["service.instance.id"] {
			t.Error("service.instance.id is the same for another identity")
		}
	})
	t.Run("the variables win", func(t *testing.T) {
		t.Setenv("OTEL_SERVICE_NAME", "agent-of-team-a")
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES",
			"service.name=loses,service.instance.id=pod-7,deployment.environment.name=prod%20eu,host.name=node")
		want := map[string]string{
			"service.name": "agent-of-team-a", "service.version": "1.2.3", "host.name": "node",
			"service.instance.id": "pod-7", "deployment.environment.name": "prod eu",
		}
		if diff := cmp.Diff(want, attributes(t, cfg)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a stray comma costs a warning", func(t *testing.T) {
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a,,")
		logs, logger := newLogbook(t)
		cfg := ProviderConfig{Logger: logger}
		res, err := newResource(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if team, _ := res.Set().Value("team"); team.AsString() != "a" {
			t.Errorf("team is %q", team.AsString())
		}
		if lines := logs.loud(t); len(lines) != 1 || !strings.Contains(lines[0], "OTEL_RESOURCE_ATTRIBUTES") {
			t.Errorf("logged %q", lines)
		}
	})
}

func TestInstanceID(t *testing.T) {
	// Fixed: dashboards and alerts keep to it over versions of the agent.
	const want = "0031ebf3-0dca-5538-9544-a478c7c38815"
	if got := instanceID("host", "https://drone.example.com"); got != want {
		t.Errorf("service.instance.id is %s, not %s", got, want)
	}
}

func TestCardinalityLimit(t *testing.T) {
	for _, tc := range []struct {
		name         string
		limit        int
		wantSeries   int
		wantOverflow bool
	}{
		{"small", 10, 10, true},
		{"the SDK's", 0, 2000, true},
		{"large", 5000, 3000, false},
		{"none", -1, 3000, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newTestProvider(t, ProviderConfig{CardinalityLimit: tc.limit})
			counter := must(p.Meter("test").Int64Counter("runs"))
			for i := range 3000 {
				counter.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("n", i)))
			}
			var out strings.Builder
			if err := p.WriteText(&out); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(out.String(), "\nruns_total{"); got != tc.wantSeries {
				t.Errorf("%d series, want %d", got, tc.wantSeries)
			}
			if got := strings.Contains(out.String(), "otel_metric_overflow"); got != tc.wantOverflow {
				t.Errorf("overflow is %t", got)
			}
		})
	}
}

func TestShutdownTwice(t *testing.T) {
	p := newTestProvider(t, ProviderConfig{})
	if err := errors.Join(p.Shutdown(t.Context()), p.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	if got := p.PushStatus(); got.State != PushOff {
		t.Errorf("the push is %q", got.State)
	}
}
