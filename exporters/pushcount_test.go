package exporters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// points is how many data points a push has.
func (p push) points() (n int) {
	for _, m := range p.metrics() {
		n += len(m.GetGauge().GetDataPoints()) + len(m.GetSum().GetDataPoints()) + len(m.GetSummary().GetDataPoints()) +
			len(m.GetHistogram().GetDataPoints()) + len(m.GetExponentialHistogram().GetDataPoints())
	}
	return n
}

// exportedLines are what a scrape tells of the push, by error.type.
func exportedLines(t *testing.T, p *Provider) map[string]string {
	t.Helper()
	const name, component = "otel_sdk_exporter_metric_data_point_exported_total",
		`otel_component_name="otlp_grpc_metric_exporter/0",otel_component_type="otlp_grpc_metric_exporter"`
	lines := map[string]string{}
	_, body := scrape(t, p, "text/plain")
	for line := range strings.Lines(body) {
		rest, ours := strings.CutPrefix(line, name+"{")
		if !ours {
			continue
		}
		labels, value, _ := strings.Cut(rest, "} ")
		if !strings.HasSuffix(labels, component) {
			t.Errorf("the labels are %s, want %s", labels, component)
		}
		lines[strings.Trim(strings.TrimSuffix(labels, component), ",")] = strings.TrimSpace(value)
	}
	return lines
}

// A scrape tells what became of what was pushed: every data point of every push once.
func TestPushIsCounted(t *testing.T) {
	c := newCollector(t)
	p := newTestProvider(t, ProviderConfig{OTLP: &OTLPConfig{Endpoint: "http://" + c.addr, Interval: time.Hour}})
	must(p.Meter("test").Float64Histogram("run.duration")).Record(t.Context(), 1)
	if diff := cmp.Diff(map[string]string{"": "0"}, exportedLines(t, p)); diff != "" {
		t.Errorf("before the first push (-want +got):\n%s", diff)
	}
	want := map[string]int{}
	for _, step := range []struct {
		refused  codes.Code
		rejected int64
		outcome  string
	}{
		{},
		{refused: codes.PermissionDenied, outcome: `error_type="PERMISSION_DENIED"`},
		{rejected: 3},
		{refused: codes.PermissionDenied, outcome: `error_type="PERMISSION_DENIED"`},
		{rejected: 1_000_000},
		{rejected: -1},
		{refused: 4711, outcome: `error_type="_OTHER"`},
	} {
		c.respond(func() (*colmetricpb.ExportMetricsServiceResponse, error) {
			if step.refused != codes.OK {
				return nil, status.Error(step.refused, "no")
			}
			return &colmetricpb.ExportMetricsServiceResponse{PartialSuccess: &colmetricpb.ExportMetricsPartialSuccess{
				RejectedDataPoints: step.rejected, ErrorMessage: "some",
			}}, nil
		})
		if err := p.Flush(soon(t)); (err != nil) != (step.refused != codes.OK) {
			t.Fatalf("flushing with %+v: %v", step, err)
		}
		points := c.next(t).points()
		rejected := min(max(int(step.rejected), 0), points)
		want[step.outcome] += points - rejected
		if rejected > 0 {
			want[`error_type="rejected"`] += rejected
		}
		texts := map[string]string{}
		for outcome, n := range want {
			texts[outcome] = fmt.Sprint(n)
		}
		if diff := cmp.Diff(texts, exportedLines(t, p)); diff != "" || want[""] < 20 {
			t.Errorf("after %+v (-want +got):\n%s", step, diff)
		}
	}
}

func TestNothingIsCountedWithoutAPush(t *testing.T) {
	for _, otlp := range []*OTLPConfig{nil, {}} {
		if lines := exportedLines(t, newTestProvider(t, ProviderConfig{OTLP: otlp})); len(lines) != 0 {
			t.Errorf("a scrape tells of pushes though there is none: %v", lines)
		}
	}
}

// An export that the end of the program interrupts is tried once more, and counted then.
func TestInterruptedPushIsNotCounted(t *testing.T) {
	_, logger := newLogbook(t)
	p := newPusher("http://collector:4317", logger)
	fake := &fakeExporter{pusher: p, block: true}
	p.now = &line{Exporter: fake}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch := &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{
		{Data: metricdata.Gauge[int64]{DataPoints: make([]metricdata.DataPoint[int64], 2)}},
		{Data: metricdata.Summary{DataPoints: make([]metricdata.SummaryDataPoint, 3)}},
	}}}}
	_ = p.Export(ctx, batch)
	if diff := cmp.Diff(map[string]int64{"": 0}, p.outcomes); diff != "" {
		t.Errorf("after the interrupted one (-want +got):\n%s", diff)
	}
	fake.block = false
	_ = p.Export(t.Context(), batch)
	if diff := cmp.Diff(map[string]int64{"": 5}, p.outcomes); diff != "" {
		t.Errorf("after the last one (-want +got):\n%s", diff)
	}
}

func TestExportErrorType(t *testing.T) {
	away := status.Error(codes.Unavailable, "connection refused")
	for _, tc := range []struct {
		err  error
		want string
	}{
		{away, "UNAVAILABLE"},
		{fmt.Errorf("failed to upload metrics: %w", away), "UNAVAILABLE"},
		// The timeout of a push passed while it was tried again and again.
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, away), "UNAVAILABLE"},
		{context.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		{status.Error(codes.DeadlineExceeded, "late"), "DEADLINE_EXCEEDED"},
		{status.Error(codes.Canceled, "enough"), "CANCELLED"},
		{status.Error(4711, "odd"), "_OTHER"},
		{errors.New("cut"), "_OTHER"},
		{nil, "_OTHER"},
	} {
		if got := exportErrorType(tc.err); got != tc.want {
			t.Errorf("%v is %s, want %s", tc.err, got, tc.want)
		}
	}
}
