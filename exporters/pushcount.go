package exporters

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/semconv/v1.43.0/otelconv"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"
)

// What became of data points that no error of gRPC says, as the semantic conventions name it in error.type.
const (
	outcomeTaken    = "" // there is no error.type
	outcomeRejected = "rejected"
)

// count notes what became of the data points of an export that has ended with err.
func (p *pusher) count(points int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.delivered {
		p.outcomes[exportErrorType(err)] += points
		return
	}
	rejected := min(max(p.rejectedPoints, 0), points)
	p.outcomes[outcomeTaken] += points - rejected
	if rejected > 0 {
		p.outcomes[outcomeRejected] += rejected
	}
}

// observe makes the counter of exported data points (otel.sdk.exporter.metric_data_point.exported). The exporter has
// one of its own, which only knows the global MeterProvider.
func (p *pusher) observe(provider *sdkmetric.MeterProvider) error {
	meter := provider.Meter("drone-otel-agent/exporters")
	exported, err := otelconv.NewSDKExporterMetricDataPointExportedObservable(meter)
	if err != nil {
		return fmt.Errorf("making the counter of pushed data points: %w", err)
	}
	component := []attribute.KeyValue{
		exported.AttrComponentType(otelconv.ComponentTypeOtlpGRPCMetricExporter),
		exported.AttrComponentName(string(otelconv.ComponentTypeOtlpGRPCMetricExporter) + "/0"),
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for outcome, points := range p.outcomes {
			attributes := slices.Clone(component)
			if outcome != outcomeTaken {
				attributes = append(attributes, exported.AttrErrorType(otelconv.ErrorTypeAttr(outcome)))
			}
			o.ObserveInt64(exported.Inst(), points, metric.WithAttributes(attributes...))
		}
		return nil
	}, exported.Inst())
	if err != nil {
		return fmt.Errorf("registering the counter of pushed data points: %w", err)
	}
	return nil
}

// exportErrorType is why an export failed, in one of a few words: gRPC's name of the status, which is that of the last
// attempt.
func exportErrorType(err error) string {
	if answer, is := status.FromError(err); is && err != nil {
		if name, known := code.Code_name[int32(answer.Code())]; known {
			return name
		}
		return string(otelconv.ErrorTypeOther) // the peer can answer any number
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return code.Code_DEADLINE_EXCEEDED.String()
	}
	return string(otelconv.ErrorTypeOther)
}

// dataPoints is how many data points there are in a batch.
func dataPoints(rm *metricdata.ResourceMetrics) (n int64) {
	if rm == nil {
		return 0
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			n += int64(dataPointsOf(m.Data))
		}
	}
	return n
}

func dataPointsOf(data metricdata.Aggregation) int {
	if summary, is := data.(metricdata.Summary); is {
		return len(summary.DataPoints)
	}
	if known, is := pointsOf(data); is {
		return known.points.len()
	}
	return 0
}
