package collector

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Point is one point of a metric: its attributes as text, and its value, which is the count of a histogram.
type Point struct {
	Attributes map[string]string
	Value      float64
}

// Points returns the points of the metric of that name. One of another type than it should be is an error, and
// so is one that does not count since the start of the process (cumulative) or can go back.
func (p Push) Points(name string, want pmetric.MetricType) ([]Point, error) {
	metric, err := p.Metric(name)
	if err != nil {
		return nil, err
	}
	if metric.Type() != want {
		return nil, fmt.Errorf("%s is a %v, want a %v", name, metric.Type(), want)
	}
	temporality := pmetric.AggregationTemporalityCumulative
	var out []Point
	switch want {
	case pmetric.MetricTypeSum:
		temporality = metric.Sum().AggregationTemporality()
		if !metric.Sum().IsMonotonic() {
			err = fmt.Errorf("%s may go back", name)
		}
		out = numbers(metric.Sum().DataPoints())
	case pmetric.MetricTypeGauge:
		out = numbers(metric.Gauge().DataPoints())
	case pmetric.MetricTypeHistogram:
		temporality = metric.Histogram().AggregationTemporality()
		for _, point := range metric.Histogram().DataPoints().All() {
			out = append(out, Point{texts(point.Attributes()), float64(point.Count())})
		}
	case pmetric.MetricTypeExponentialHistogram:
		temporality = metric.ExponentialHistogram().AggregationTemporality()
		for _, point := range metric.ExponentialHistogram().DataPoints().All() {
			out = append(out, Point{texts(point.Attributes()), float64(point.Count())})
		}
	default:
		err = fmt.Errorf("%s is a %v, whose points are not known here", name, want)
	}
	if temporality != pmetric.AggregationTemporalityCumulative {
		err = fmt.Errorf("%s is %v, want it cumulative", name, temporality)
	}
	return out, err
}

func numbers(points pmetric.NumberDataPointSlice) []Point {
	var out []Point
	for _, point := range points.All() {
		value := point.DoubleValue()
		if point.ValueType() == pmetric.NumberDataPointValueTypeInt {
			value = float64(point.IntValue())
		}
		out = append(out, Point{texts(point.Attributes()), value})
	}
	return out
}

func texts(attributes pcommon.Map) map[string]string {
	out := map[string]string{}
	for key, value := range attributes.All() {
		out[key] = value.AsString()
	}
	return out
}
