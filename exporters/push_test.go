package exporters

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"drone-otel-agent/internal/secret"
)

func TestCollectorGoesAndComesBack(t *testing.T) {
	c := newCollector(t)
	logs, logger := newLogbook(t)
	p := newTestProvider(t, ProviderConfig{Logger: logger, OTLP: &OTLPConfig{
		Endpoint: "http://" + c.addr, Interval: time.Hour, Timeout: 100 * time.Millisecond,
		Headers: map[string]secret.Text{"authorization": secret.New(theToken)},
	}})
	if got := p.PushStatus(); got.State != PushWaiting || got.Endpoint != "http://"+c.addr {
		t.Errorf("status %+v", got)
	}
	if err := p.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got := p.PushStatus(); got.State != PushOK || got.Since.IsZero() || got.LastSuccess.IsZero() || got.Err != nil {
		t.Errorf("status %+v", got)
	}
	c.stop()
	for range 3 {
		if err := p.Flush(soon(t)); err == nil || !strings.Contains(err.Error(), c.addr) {
			t.Errorf("flushing to a Collector that is away: %v", err)
		}
		scrape(t, p, "text/plain") // goes on as ever
	}
	if got := p.PushStatus(); got.State != PushAway || got.Err == nil {
		t.Errorf("status %+v", got)
	}
	c.start(t)
	ctx := soon(t)
	for p.Flush(ctx) != nil { // gRPC takes a second or two to try the connection again
		if ctx.Err() != nil {
			t.Fatal("the Collector is back, the push is not")
		}
	}
	want := []string{
		"WARN the OpenTelemetry Collector does not take the metrics; they are offered again at every interval",
		"INFO the OpenTelemetry Collector takes the metrics again",
	}
	if diff := cmp.Diff(want, logs.loud(t)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	for _, want := range []string{`"endpoint":"http://` + c.addr, "code = Unavailable", `"check":"is the`, `"away":`} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, logs)
		}
	}
}

func TestPartialSuccess(t *testing.T) {
	c := newCollector(t)
	logs, logger := newLogbook(t)
	p := newTestProvider(t, ProviderConfig{Logger: logger, OTLP: &OTLPConfig{
		Endpoint: "http://" + c.addr, Interval: time.Hour,
	}})
	flush := func() {
		t.Helper()
		if err := p.Flush(soon(t)); err != nil {
			t.Error(err)
		}
	}
	c.respond(func() (*colmetricpb.ExportMetricsServiceResponse, error) {
		return &colmetricpb.ExportMetricsServiceResponse{PartialSuccess: &colmetricpb.ExportMetricsPartialSuccess{
			RejectedDataPoints: 3, ErrorMessage: "too old",
		}}, nil
	})
	flush()
	flush()
	if got := p.PushStatus(); got.State != PushOK || got.Rejected != "3 data points rejected: too old" {
		t.Errorf("status %+v", got)
	}
	c.respond(nil)
	flush()
	flush()
	if got := p.PushStatus(); got.State != PushOK || got.Rejected != "" {
		t.Errorf("status %+v", got)
	}
	want := []string{
		"WARN the OpenTelemetry Collector takes the metrics only in part",
		"INFO the OpenTelemetry Collector takes all metrics again",
	}
	if diff := cmp.Diff(want, logs.loud(t)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestShutdownFlushes(t *testing.T) {
	t.Run("the last values arrive", func(t *testing.T) {
		c := newCollector(t)
		p := newTestProvider(t, ProviderConfig{OTLP: &OTLPConfig{Endpoint: "http://" + c.addr, Interval: time.Hour}})
		must(p.Meter("test").Int64Counter("runs")).Add(t.Context(), 41)
		if err := p.Shutdown(soon(t)); err != nil {
			t.Error(err)
		}
		if got := c.next(t).metrics()["runs"].GetSum().GetDataPoints()[0].GetAsInt(); got != 41 {
			t.Errorf("%d arrived", got)
		}
	})
	for _, tc := range []struct {
		name      string
		flush     bool          // so that it is known to be away
		timeout   time.Duration // of a push
		deadline  time.Duration // of the shutdown
		wantUnder time.Duration
	}{
		{"away, and not known to be", false, time.Minute, 300 * time.Millisecond, 5 * time.Second},
		{"away for long: no waiting", true, 100 * time.Millisecond, time.Minute, 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCollector(t)
			c.stop()
			logs, logger := newLogbook(t)
			p := newTestProvider(t, ProviderConfig{Logger: logger, OTLP: &OTLPConfig{
				Endpoint: "http://" + c.addr, Interval: time.Hour, Timeout: tc.timeout,
			}})
			if tc.flush {
				_ = p.Flush(soon(t))
			}
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), tc.deadline)
			defer cancel()
			if err := p.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > tc.wantUnder {
				t.Errorf("it took %s", took)
			}
			if lines := logs.loud(t); len(lines) != 1 {
				t.Errorf("logged %q", lines)
			}
		})
	}
}

// fakeExporter stands for the OTLP exporter with its interceptor.
type fakeExporter struct {
	sdkmetric.Exporter
	pusher *pusher
	err    error
	block  bool
}

func (f *fakeExporter) Export(ctx context.Context, _ *metricdata.ResourceMetrics) error {
	if f.block {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.err == nil {
		f.pusher.mu.Lock()
		f.pusher.delivered = true
		f.pusher.mu.Unlock()
	}
	return f.err
}

// TestPushRounds plays collections of several batches: + is taken, - is not.
func TestPushRounds(t *testing.T) {
	const away, back = "away", "back"
	for _, tc := range []struct {
		name   string
		rounds []string
		want   []string
	}{
		{"good", []string{"+", "++"}, nil},
		{"away from the start", []string{"-", "-", "-"}, []string{away}},
		{"back at once", []string{"+", "-", "+"}, []string{away, back}},
		{"goes in the middle of a round", []string{"++-", "---", "+++", "+++"}, []string{away, back}},
		{"comes in the middle of a round", []string{"---", "--+", "+++"}, []string{away, back}},
		{"one batch is never taken", []string{"+-+", "+-+", "+-+", "+-+"}, []string{away}},
		{"one batch is not taken for a while", []string{"+-+", "+-+", "+++", "+++", "+++"}, []string{away, back}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logs, logger := newLogbook(t)
				p := newPusher("http://collector:4317", logger)
				fake := &fakeExporter{pusher: p}
				p.now = &line{Exporter: fake}
				for _, round := range tc.rounds {
					time.Sleep(time.Minute) // of synctest
					p.newRound()
					for _, batch := range round {
						fake.err = nil
						if batch == '-' {
							fake.err = status.Error(codes.Unavailable, "away")
						}
						if err := p.Export(t.Context(), nil); err != nil {
							t.Errorf("the SDK hears of %v", err)
						}
					}
				}
				var got []string
				for _, line := range logs.loud(t) {
					if strings.HasPrefix(line, "WARN") {
						got = append(got, away)
						continue
					}
					got = append(got, back)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("log (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPushTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs, logger := newLogbook(t)
		p := newPusher("http://collector:4317", logger)
		fake := &fakeExporter{pusher: p, err: errors.New("cut")}
		p.now = &line{Exporter: fake}
		start := time.Now()
		_ = p.Export(t.Context(), nil)
		time.Sleep(90 * time.Second) // of synctest
		fake.err = nil
		p.newRound()
		_ = p.Export(t.Context(), nil)
		if got := p.Status(); got.State != PushOK || !got.Since.Equal(start.Add(90*time.Second)) {
			t.Errorf("status %+v", got)
		}
		if !strings.Contains(logs.String(), `"away":90000000000`) {
			t.Errorf("the log does not say how long:\n%s", logs)
		}

		// An export that the end of the program interrupts is no news.
		fake.block = true
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = p.Export(ctx, nil)
		if got := p.Status(); got.State != PushOK {
			t.Errorf("status %+v", got)
		}

		// A Collector that is away gets little time at the end.
		timeout, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_ = p.Export(timeout, nil)
		p.closing.Store(true)
		start = time.Now()
		_ = p.Export(t.Context(), nil)
		if got := time.Since(start); got != farewell {
			t.Errorf("the last try took %s", got)
		}
	})
}
