package exporters

import (
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// points are the data points of one instrument in one scrape.
type points interface {
	len() int
	attributes(i int) *attribute.Set
	// metric makes the numbers of a point, without labels. It is called at most once for each point; all
	// points of an instrument share a few allocations.
	metric(i int) (*dto.Metric, error)
}

// instrumentData is what an instrument holds, as Prometheus sees it.
type instrumentData struct {
	points points
	kind   dto.MetricType
	naming otlptranslator.MetricType // what its suffixes follow from
}

// pointsOf tells what an instrument's data are in Prometheus; false where they are nothing.
func pointsOf(data metricdata.Aggregation) (instrumentData, bool) {
	switch d := data.(type) {
	case metricdata.Gauge[int64]:
		return gaugeData(d.DataPoints, otlptranslator.MetricTypeGauge), true
	case metricdata.Gauge[float64]:
		return gaugeData(d.DataPoints, otlptranslator.MetricTypeGauge), true
	case metricdata.Sum[int64]:
		return sumData(d), true
	case metricdata.Sum[float64]:
		return sumData(d), true
	case metricdata.Histogram[int64]:
		return histogramData(&histogramPoints[int64]{data: d.DataPoints}), true
	case metricdata.Histogram[float64]:
		return histogramData(&histogramPoints[float64]{data: d.DataPoints}), true
	case metricdata.ExponentialHistogram[int64]:
		return histogramData(&nativePoints[int64]{data: d.DataPoints}), true
	case metricdata.ExponentialHistogram[float64]:
		return histogramData(&nativePoints[float64]{data: d.DataPoints}), true
	default:
		return instrumentData{}, false
	}
}

func gaugeData[N int64 | float64](data []metricdata.DataPoint[N], naming otlptranslator.MetricType) instrumentData {
	return instrumentData{&gaugePoints[N]{data: data}, dto.MetricType_GAUGE, naming}
}

// sumData makes a counter of what only grows, and a gauge of the rest.
func sumData[N int64 | float64](sum metricdata.Sum[N]) instrumentData {
	if !sum.IsMonotonic {
		return gaugeData(sum.DataPoints, otlptranslator.MetricTypeNonMonotonicCounter)
	}
	return instrumentData{
		&counterPoints[N]{data: sum.DataPoints}, dto.MetricType_COUNTER, otlptranslator.MetricTypeMonotonicCounter,
	}
}

func histogramData(p points) instrumentData {
	return instrumentData{p, dto.MetricType_HISTOGRAM, otlptranslator.MetricTypeHistogram}
}

// next takes the next of a block that is made in one piece when the first is asked for.
func next[T any](block *[]T, size int) *T {
	if len(*block) == 0 {
		*block = make([]T, size)
	}
	first := &(*block)[0]
	*block = (*block)[1:]
	return first
}

type gaugePoints[N int64 | float64] struct {
	data  []metricdata.DataPoint[N]
	block []struct {
		metric dto.Metric
		gauge  dto.Gauge
		value  float64
	}
}

func (p *gaugePoints[N]) len() int                        { return len(p.data) }
func (p *gaugePoints[N]) attributes(i int) *attribute.Set { return &p.data[i].Attributes }

func (p *gaugePoints[N]) metric(i int) (*dto.Metric, error) {
	m := next(&p.block, len(p.data))
	m.value = float64(p.data[i].Value)
	m.gauge.Value = &m.value
	m.metric.Gauge = &m.gauge
	return &m.metric, nil
}

type counterPoints[N int64 | float64] struct {
	data  []metricdata.DataPoint[N]
	block []struct {
		metric  dto.Metric
		counter dto.Counter
		value   float64
	}
}

func (p *counterPoints[N]) len() int                        { return len(p.data) }
func (p *counterPoints[N]) attributes(i int) *attribute.Set { return &p.data[i].Attributes }

func (p *counterPoints[N]) metric(i int) (*dto.Metric, error) {
	m := next(&p.block, len(p.data))
	m.value = float64(p.data[i].Value)
	m.counter.Value = &m.value
	m.metric.Counter = &m.counter
	return &m.metric, nil
}

type histogramPoints[N int64 | float64] struct {
	data  []metricdata.HistogramDataPoint[N]
	block []struct {
		metric    dto.Metric
		histogram dto.Histogram
		sum       float64
	}
	buckets []dto.Bucket
	refs    []*dto.Bucket
}

func (p *histogramPoints[N]) len() int                        { return len(p.data) }
func (p *histogramPoints[N]) attributes(i int) *attribute.Set { return &p.data[i].Attributes }

// metric adds up the counts in place: they are this scrape's own copy.
func (p *histogramPoints[N]) metric(i int) (*dto.Metric, error) {
	point := &p.data[i]
	m := next(&p.block, len(p.data))
	m.sum = float64(point.Sum)
	m.histogram.SampleCount, m.histogram.SampleSum = &point.Count, &m.sum
	m.histogram.Bucket = p.reserve(len(point.Bounds))
	for b := range point.Bounds {
		if b > 0 {
			point.BucketCounts[b] += point.BucketCounts[b-1]
		}
		bucket := m.histogram.Bucket[b]
		bucket.UpperBound, bucket.CumulativeCount = &point.Bounds[b], &point.BucketCounts[b]
	}
	m.metric.Histogram = &m.histogram
	return &m.metric, nil
}

// reserve gives n empty buckets, of a block for all points: they have the same number each.
func (p *histogramPoints[N]) reserve(n int) []*dto.Bucket {
	if n == 0 {
		return nil
	}
	if len(p.refs) < n {
		p.buckets, p.refs = make([]dto.Bucket, n*len(p.data)), make([]*dto.Bucket, n*len(p.data))
	}
	refs := p.refs[:n:n]
	for i := range refs {
		refs[i] = &p.buckets[i]
	}
	p.buckets, p.refs = p.buckets[n:], p.refs[n:]
	return refs
}
