package exporters

import (
	"errors"
	"fmt"
	"math"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The resolutions that Prometheus knows, where OpenTelemetry has -10 to 20.
const (
	minSchema = -4
	maxSchema = 8
)

// nativePoints are exponential histograms, which are native histograms in Prometheus.
type nativePoints[N int64 | float64] struct {
	data  []metricdata.ExponentialHistogramDataPoint[N]
	block []nativeBlock
}

type nativeBlock struct {
	metric    dto.Metric
	histogram dto.Histogram
	created   timestamppb.Timestamp
	sum       float64
	schema    int32
}

func (p *nativePoints[N]) len() int                        { return len(p.data) }
func (p *nativePoints[N]) attributes(i int) *attribute.Set { return &p.data[i].Attributes }

func (p *nativePoints[N]) metric(i int) (*dto.Metric, error) {
	point := &p.data[i]
	if point.Scale < minSchema {
		return nil, fmt.Errorf("the scale of an exponential histogram is %d, and Prometheus knows %d and up",
			point.Scale, minSchema)
	}
	schema := min(point.Scale, maxSchema)
	positive := coarser(point.PositiveBucket, point.Scale-schema)
	negative := coarser(point.NegativeBucket, point.Scale-schema)
	if err := checkCounts(point.Count, point.ZeroCount, float64(point.Sum), positive, negative); err != nil {
		return nil, err
	}
	m := next(&p.block, len(p.data))
	m.schema, m.sum = schema, float64(point.Sum)
	m.created.Seconds, m.created.Nanos = point.StartTime.Unix(), int32(point.StartTime.Nanosecond())
	h := &m.histogram
	h.SampleCount, h.SampleSum, h.Schema = &point.Count, &m.sum, &m.schema
	h.ZeroCount, h.ZeroThreshold = &point.ZeroCount, &point.ZeroThreshold
	h.CreatedTimestamp = &m.created
	h.PositiveSpan, h.PositiveDelta = spans(positive)
	h.NegativeSpan, h.NegativeDelta = spans(negative)
	if point.ZeroThreshold == 0 && point.ZeroCount == 0 && len(h.PositiveSpan)+len(h.NegativeSpan) == 0 {
		// Without it nothing tells a native histogram that is empty from a classic one.
		h.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
	m.metric.Histogram = h
	return &m.metric, nil
}

// coarser halves the resolution of buckets so many times; 2^by of them become one.
func coarser(b metricdata.ExponentialBucket, by int32) metricdata.ExponentialBucket {
	if by == 0 || len(b.Counts) == 0 {
		return b
	}
	first, last := b.Offset>>by, (b.Offset+int32(len(b.Counts))-1)>>by
	merged := metricdata.ExponentialBucket{Offset: first, Counts: make([]uint64, last-first+1)}
	for i, count := range b.Counts {
		merged.Counts[(b.Offset+int32(i))>>by-first] += count
	}
	return merged
}

// checkCounts refuses a histogram that Prometheus would refuse with the whole scrape.
func checkCounts(count, zeros uint64, sum float64, positive, negative metricdata.ExponentialBucket) error {
	total := zeros
	for _, b := range [][]uint64{positive.Counts, negative.Counts} {
		for _, n := range b {
			total += n
		}
	}
	// What is not a number is in the count and in no bucket.
	if total > count || total < count && !math.IsNaN(sum) {
		return errors.New("the buckets of an exponential histogram do not add up to its count")
	}
	return nil
}

// spans writes buckets as Prometheus does: where they begin, and how each differs from the one before.
// Prometheus counts buckets by their upper bounds, OpenTelemetry by the lower ones.
func spans(b metricdata.ExponentialBucket) ([]*dto.BucketSpan, []int64) {
	if len(b.Counts) == 0 {
		return nil, nil
	}
	deltas := make([]int64, len(b.Counts))
	before := int64(0)
	for i, count := range b.Counts {
		deltas[i] = int64(count) - before
		before = int64(count)
	}
	return []*dto.BucketSpan{{Offset: new(b.Offset + 1), Length: new(uint32(len(b.Counts)))}}, deltas
}
