package exporters

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"drone-otel-agent/internal/secret"
)

func TestPush(t *testing.T) {
	c := newCollector(t)
	_, logger := newLogbook(t)
	p := newTestProvider(t, ProviderConfig{
		Version: "1.2.3", Identity: "x", Logger: logger,
		OTLP: &OTLPConfig{
			Endpoint:    "http://" + c.addr,
			Interval:    10 * time.Millisecond,
			Headers:     map[string]secret.Text{"Authorization": secret.New("Bearer " + theToken)},
			Compression: "gzip",
		},
	})
	name := metric.WithAttributes(attribute.String("cicd.pipeline.name", "octocat/hello"))
	must(p.Meter("test").Int64Counter("cicd.pipeline.run.errors", metric.WithUnit("{error}"))).Add(t.Context(), 2, name)
	must(p.Meter("test").Int64Gauge("drone.build.count")).Record(t.Context(), 870000)
	must(p.Meter("test").Float64Histogram("run.duration", metric.WithUnit("s"))).Record(t.Context(), 7)

	var got push
	for len(got.metrics()) == 0 || got.metrics()["run.duration"] == nil { // pushes go out every 10 ms
		got = c.next(t)
	}
	c.next(t) // and go on
	if got.compression != "gzip" || cmp.Diff([]string{"Bearer " + theToken}, got.headers["authorization"]) != "" {
		t.Errorf("compression %q, headers %v", got.compression, slices.Sorted(maps.Keys(got.headers)))
	}
	for key, want := range map[string]string{
		"service.name": ServiceName, "service.version": "1.2.3", "telemetry.sdk.language": "go",
	} {
		if got := got.resource()[key]; got != want {
			t.Errorf("resource attribute %s is %q, not %q", key, got, want)
		}
	}
	all := got.metrics()
	errs := all["cicd.pipeline.run.errors"]
	if point := errs.GetSum().GetDataPoints()[0]; point.GetAsInt() != 2 || errs.GetUnit() != "{error}" ||
		point.GetAttributes()[0].GetKey() != "cicd.pipeline.name" || !errs.GetSum().GetIsMonotonic() {
		t.Errorf("the counter arrived as %v", errs)
	}
	if got := all["drone.build.count"].GetGauge().GetDataPoints()[0].GetAsInt(); got != 870000 {
		t.Errorf("the gauge arrived as %d", got)
	}
	if h := all["run.duration"].GetHistogram(); h.GetDataPoints()[0].GetSum() != 7 ||
		h.GetAggregationTemporality() != metricpb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
		t.Errorf("the histogram arrived as %v", h)
	}
	// Everything about the process goes both ways under the same name.
	families, err := p.own.Gather()
	if err != nil || len(families) < 30 {
		t.Fatalf("%d families: %v", len(families), err)
	}
	for _, family := range families {
		if all[family.GetName()] == nil {
			t.Errorf("%s was not pushed", family.GetName())
		}
	}
}

func TestPushBatches(t *testing.T) {
	c := newCollector(t)
	p := newTestProvider(t, ProviderConfig{
		CardinalityLimit: -1, OTLP: &OTLPConfig{Endpoint: "http://" + c.addr, Interval: time.Hour},
	})
	counter := must(p.Meter("test").Int64Counter("runs"))
	const series = 2*maxBatch + 1
	for i := range series {
		counter.Add(t.Context(), 1, metric.WithAttributes(attribute.Int("n", i)))
	}
	if err := p.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	arrived, pushes := 0, len(c.pushes)
	for range pushes {
		arrived += len(c.next(t).metrics()["runs"].GetSum().GetDataPoints())
	}
	if arrived != series || pushes != 3 {
		t.Errorf("%d of %d points arrived in %d pushes", arrived, series, pushes)
	}
}

func TestPushTemporalityAndHistograms(t *testing.T) {
	c := newCollector(t)
	for _, tc := range []struct {
		name        string
		temporality string
		env         string
		exponential bool
		wantDelta   bool
	}{
		{"default", "", "", false, false},
		{"delta", "delta", "", true, true},
		{"the variable", "", "delta", false, true},
		{"the field wins", "cumulative", "delta", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", tc.env)
			p := newTestProvider(t, ProviderConfig{
				ExponentialHistograms: tc.exponential,
				OTLP:                  &OTLPConfig{Endpoint: "http://" + c.addr, Interval: time.Hour, Temporality: tc.temporality},
			})
			must(p.Meter("test").Float64Histogram("run.duration")).Record(t.Context(), 7)
			if err := p.Flush(soon(t)); err != nil {
				t.Fatal(err)
			}
			got := c.next(t).metrics()["run.duration"]
			temporality := got.GetHistogram().GetAggregationTemporality()
			if tc.exponential {
				temporality = got.GetExponentialHistogram().GetAggregationTemporality()
			}
			want := metricpb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
			if tc.wantDelta {
				want = metricpb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
			}
			if temporality != want {
				t.Errorf("%v, want %v, of %v", temporality, want, got)
			}
			if err := p.Shutdown(soon(t)); err != nil {
				t.Error(err)
			}
			c.next(t)
		})
	}
}

// TestPushEnvironment pushes as the standard variables say, and against them where a field is set.
func TestPushEnvironment(t *testing.T) {
	general, metrics := newCollector(t), newCollector(t)
	ca := newAuthority(t)
	flush := func(t *testing.T, cfg OTLPConfig, to *collector) push {
		t.Helper()
		cfg.Interval = time.Hour
		p := newTestProvider(t, ProviderConfig{OTLP: &cfg})
		if err := p.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		got := to.next(t)
		if err := p.Shutdown(soon(t)); err != nil {
			t.Fatal(err)
		}
		to.next(t) // the last values
		return got
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+general.addr)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-from=general%20variable")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.CAFile) // http:// is without TLS all the same
	got := flush(t, OTLPConfig{}, general)
	if got.compression != "gzip" || got.headers["x-from"][0] != "general variable" {
		t.Errorf("compression %q, headers %v", got.compression, got.headers)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://"+metrics.addr)
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-from=metrics")
	if got := flush(t, OTLPConfig{}, metrics); got.headers["x-from"][0] != "metrics" {
		t.Errorf("headers %v", got.headers)
	}
	got = flush(t, OTLPConfig{
		Endpoint:    "http://" + general.addr,
		Compression: "none",
		Headers:     map[string]secret.Text{"x-from": secret.New("field")},
	}, general)
	if got.compression != "" || got.headers["x-from"][0] != "field" {
		t.Errorf("compression %q, headers %v", got.compression, got.headers)
	}
}

func TestNoPush(t *testing.T) {
	for _, tc := range []struct {
		name string
		otlp *OTLPConfig
		env  string
	}{
		{"nothing", nil, ""},
		{"a variable, but not wanted", nil, "http://127.0.0.1:1"},
		{"no endpoint", &OTLPConfig{Interval: time.Second}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", tc.env)
			p := newTestProvider(t, ProviderConfig{OTLP: tc.otlp})
			if got := p.PushStatus(); got != (PushStatus{State: PushOff}) {
				t.Errorf("status %+v", got)
			}
			if err := p.Flush(soon(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPushTLS(t *testing.T) {
	ca, strangers := newAuthority(t), newAuthority(t)
	serverCert, serverKey := ca.leaf(t, "collector")
	clientCert, clientKey := ca.leaf(t, "agent")
	config := ca.clientTLS(t, serverCert, serverKey)
	config.ClientCAs, config.ClientAuth = config.RootCAs, tls.RequireAndVerifyClientCert
	mutual := newCollector(t, grpc.Creds(credentials.NewTLS(config)))
	plainConfig := ca.clientTLS(t, serverCert, serverKey)
	oneWay := newCollector(t, grpc.Creds(credentials.NewTLS(plainConfig)))
	for _, tc := range []struct {
		name    string
		to      *collector
		tls     OTLPTLSConfig
		env     map[string]string
		wantErr string // empty is success
	}{
		{"our authority", oneWay, OTLPTLSConfig{CAFile: ca.CAFile}, nil, ""},
		{"our authority, by variable", oneWay, OTLPTLSConfig{},
			map[string]string{"OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE": ca.CAFile}, ""},
		{"the field wins", oneWay, OTLPTLSConfig{CAFile: ca.CAFile},
			map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": strangers.CAFile}, ""},
		{"no check at all", oneWay, OTLPTLSConfig{InsecureSkipVerify: true}, nil, ""},
		{"another authority", oneWay, OTLPTLSConfig{CAFile: strangers.CAFile}, nil, "otlp.tls.ca_file"},
		{"the system's authorities", oneWay, OTLPTLSConfig{}, nil, "x509"},
		{"client certificate", mutual, OTLPTLSConfig{CAFile: ca.CAFile, CertFile: clientCert, KeyFile: clientKey}, nil, ""},
		{"client certificate, by variables", mutual, OTLPTLSConfig{CAFile: ca.CAFile}, map[string]string{
			"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": clientCert, "OTEL_EXPORTER_OTLP_CLIENT_KEY": clientKey}, ""},
		{"no client certificate", mutual, OTLPTLSConfig{CAFile: ca.CAFile}, nil, "sending an empty export"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			err := CheckOTLP(soon(t), OTLPConfig{Endpoint: "https://" + tc.to.addr, TLS: tc.tls})
			if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
		})
	}
}

func TestCheckOTLP(t *testing.T) {
	c := newCollector(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	fails := func(code codes.Code) func() (*colmetricpb.ExportMetricsServiceResponse, error) {
		return func() (*colmetricpb.ExportMetricsServiceResponse, error) { return nil, status.Error(code, "said no") }
	}
	for _, tc := range []struct {
		name     string
		endpoint string
		answer   func() (*colmetricpb.ExportMetricsServiceResponse, error)
		want     []string
	}{
		{"no endpoint", "", nil, nil},
		{"good", "http://" + c.addr, nil, nil},
		{"nobody listens", "http://" + closed.Addr().String(), nil,
			[]string{"http://" + closed.Addr().String(), "connection refused", "is the Collector running"}},
		{"TLS where there is none", "https://" + c.addr, nil, []string{"does the receiver use TLS"}},
		{"credential", "http://" + c.addr, fails(codes.Unauthenticated), []string{"said no", "otlp.headers"}},
		{"no pipeline", "http://" + c.addr, fails(codes.Unimplemented), []string{"said no", "metrics pipeline"}},
		{"memory limiter", "http://" + c.addr, fails(codes.ResourceExhausted), []string{"said no", "memory_limiter"}},
		{"wrong setting", "ftp://" + c.addr, nil, []string{"otlp.endpoint: a URL with http:// or https:// is needed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.respond(tc.answer)
			cfg := OTLPConfig{
				Endpoint: tc.endpoint,
				Headers:  map[string]secret.Text{"authorization": secret.New("Bearer " + theToken)},
			}
			err := CheckOTLP(soon(t), cfg)
			text := fmt.Sprint(err)
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in %q", want, text)
				}
			}
			if (err == nil) != (tc.want == nil) || strings.Contains(text, theToken) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("a Collector that says nothing", func(t *testing.T) {
		hold := make(chan struct{})
		defer close(hold)
		c.respond(func() (*colmetricpb.ExportMetricsServiceResponse, error) { <-hold; return nil, nil })
		err := CheckOTLP(soon(t), OTLPConfig{Endpoint: "http://" + c.addr, Timeout: 50 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), "otlp.timeout too short") {
			t.Errorf("error %v", err)
		}
	})
}
