package instruments

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// add makes an instrument, and gives it as the callback wants it where it is observed.
func (i *Instruments) add(meter metric.Meter, in Instrument) (metric.Observable, error) {
	if in.observe == nil {
		put, err := record(meter, in, i.opts.Buckets)
		i.recorded = append(i.recorded, recorded{in, put})
		return nil, err
	}
	if in.fractional {
		g, err := observeFloats(meter, in)
		i.observed = append(i.observed, observed{in,
			func(o metric.Observer, value float64, attributes []metric.ObserveOption) {
				o.ObserveFloat64(g, value, attributes...)
			}})
		return g, err
	}
	g, err := observeInts(meter, in)
	i.observed = append(i.observed, observed{in,
		func(o metric.Observer, value float64, attributes []metric.ObserveOption) {
			o.ObserveInt64(g, int64(value), attributes...)
		}})
	return g, err
}

func observeFloats(meter metric.Meter, in Instrument) (metric.Float64Observable, error) {
	if in.Kind == Gauge {
		return meter.Float64ObservableGauge(in.Name, metric.WithUnit(in.Unit), metric.WithDescription(in.Description))
	}
	return nil, fmt.Errorf("there is no observable %s of fractions", in.Kind)
}

func observeInts(meter metric.Meter, in Instrument) (metric.Int64Observable, error) {
	unit, description := metric.WithUnit(in.Unit), metric.WithDescription(in.Description)
	switch in.Kind {
	case Gauge:
		return meter.Int64ObservableGauge(in.Name, unit, description)
	case Counter:
		return meter.Int64ObservableCounter(in.Name, unit, description)
	case UpDownCounter:
		return meter.Int64ObservableUpDownCounter(in.Name, unit, description)
	}
	return nil, fmt.Errorf("there is no observable %s of whole numbers", in.Kind)
}

// record makes an instrument that is told of events.
func record(meter metric.Meter, in Instrument, buckets []float64) (recorder, error) {
	unit, description := metric.WithUnit(in.Unit), metric.WithDescription(in.Description)
	ctx := context.Background() // carries nothing that a measurement would take from it
	switch in.Kind {
	case Histogram:
		h, err := meter.Float64Histogram(in.Name, unit, description, metric.WithExplicitBucketBoundaries(buckets...))
		return func(value float64, attributes ...attribute.KeyValue) {
			h.Record(ctx, value, metric.WithAttributes(attributes...))
		}, err
	case Counter:
		c, err := meter.Int64Counter(in.Name, unit, description)
		return func(value float64, attributes ...attribute.KeyValue) {
			c.Add(ctx, int64(value), metric.WithAttributes(attributes...))
		}, err
	}
	return nil, fmt.Errorf("no %s is told of events", in.Kind)
}
