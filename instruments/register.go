package instruments

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Source says where the instruments read from.
type Source struct {
	// Newest returns the newest snapshot, nil before the first. It must not block.
	Newest func() *Snapshot
	// StaleAfter is how old what is known of Drone may be; after that it is no longer observed.
	StaleAfter time.Duration
	// Now is the clock.
	Now func() time.Time
}

// gauge is an instrument as the SDK knows it.
type gauge struct {
	Instrument
	observable metric.Observable
	put        func(o metric.Observer, value float64, options ...metric.ObserveOption)
}

// Register makes every instrument of the catalogue on the meter, and the one callback that observes them.
func Register(meter metric.Meter, source Source) error {
	var (
		gauges      []gauge
		observables []metric.Observable
	)
	for _, in := range Catalog() {
		g, err := makeGauge(meter, in)
		if err != nil {
			return fmt.Errorf("making the instrument %s: %w", in.Name, err)
		}
		gauges, observables = append(gauges, g), append(observables, g.observable)
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		observe(o, gauges, source)
		return nil
	}, observables...)
	if err != nil {
		return fmt.Errorf("registering the callback of the instruments: %w", err)
	}
	return nil
}

func observe(o metric.Observer, gauges []gauge, source Source) {
	snapshot := source.Newest()
	if snapshot == nil {
		return
	}
	stale := source.Now().Sub(snapshot.Fresh) > source.StaleAfter
	for _, g := range gauges {
		if stale && !g.lasting {
			continue
		}
		g.observe(snapshot, func(value float64, attributes ...attribute.KeyValue) {
			g.put(o, value, metric.WithAttributes(attributes...))
		})
	}
}

func makeGauge(meter metric.Meter, in Instrument) (gauge, error) {
	if in.fractional {
		g, err := meter.Float64ObservableGauge(in.Name, metric.WithUnit(in.Unit), metric.WithDescription(in.Description))
		return gauge{in, g, func(o metric.Observer, value float64, options ...metric.ObserveOption) {
			o.ObserveFloat64(g, value, options...)
		}}, err
	}
	g, err := meter.Int64ObservableGauge(in.Name, metric.WithUnit(in.Unit), metric.WithDescription(in.Description))
	return gauge{in, g, func(o metric.Observer, value float64, options ...metric.ObserveOption) {
		o.ObserveInt64(g, int64(value), options...)
	}}, err
}
