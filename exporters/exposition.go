package exporters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// exposition is what OpenTelemetry instruments hold as Prometheus knows it. It gathers what the SDK's own
// exporter in a registry would, for half the time: with many series most of a scrape went into making and
// checking names and labels that had been made and checked for the scrape before. Here each series is
// translated when it is first seen, and a scrape only fills in numbers. They are those of now: nothing
// but names, labels and their order outlives a scrape.
//
// It knows cumulative temporality only, and leaves exemplars to OTLP.
type exposition struct {
	reader *sdkmetric.ManualReader

	mu         sync.Mutex
	scrape     uint64 // the number of this one
	families   map[string]*family
	pairs      labelPairs
	targetInfo *dto.MetricFamily
}

func newExposition(opts ...sdkmetric.ManualReaderOption) *exposition {
	return &exposition{reader: sdkmetric.NewManualReader(opts...), families: map[string]*family{}}
}

// Gather collects from the instruments. What cannot be shown is left out, and the error says what and why.
// Families are sorted by name and their metrics by labels; nothing of them may be changed by the caller.
func (e *exposition) Gather() (families []*dto.MetricFamily, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// As a registry would: a callback that panics must not take away the metrics of the process too.
	defer func() {
		if r := recover(); r != nil {
			e.families, e.pairs = map[string]*family{}, labelPairs{}
			families, err = nil, fmt.Errorf("collecting from the instruments panicked: %v\n%s", r, debug.Stack())
		}
	}()
	var collected metricdata.ResourceMetrics
	var errs prometheus.MultiError
	err = e.reader.Collect(context.Background(), &collected)
	switch {
	case errors.Is(err, sdkmetric.ErrReaderShutdown):
		return nil, nil
	case errors.Is(err, sdkmetric.ErrReaderNotRegistered):
		return nil, fmt.Errorf("collecting from the instruments: %w", err)
	}
	errs.Append(err) // of a callback: what the others observed was collected
	errs.Append(e.describeTarget(collected.Resource))
	if e.targetInfo != nil {
		families = append(families, e.targetInfo)
	}
	e.scrape++
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			errs.Append(e.add(m))
		}
	}
	for _, f := range e.families {
		if converted := f.convert(e.scrape, &e.pairs, &errs); converted != nil {
			families = append(families, converted)
		}
	}
	e.pairs.shrink()
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return families, errs.MaybeUnwrap()
}

// add hands what an instrument holds to its family, which may have several: instruments of the same name
// in different scopes, or whose names differ in nothing that Prometheus knows.
func (e *exposition) add(m metricdata.Metrics) error {
	data, ok := pointsOf(m.Data)
	if !ok {
		return fmt.Errorf("the instrument %q holds a %T, which Prometheus does not know", m.Name, m.Data)
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: data.naming})
	if err != nil {
		return fmt.Errorf("naming the instrument %q: %w", m.Name, err)
	}
	f := e.families[name]
	if f == nil { // whoever is first decides about type and help, for good
		f = newFamily(name, m.Description, data.kind)
		e.families[name] = f
	}
	if f.kind != data.kind {
		return fmt.Errorf("the instrument %q is a %s, but %s is a %s already", m.Name, data.kind, name, f.kind)
	}
	f.points = append(f.points, data.points)
	return nil
}

// describeTarget makes target_info of the resource, which stays the same.
func (e *exposition) describeTarget(res *resource.Resource) error {
	if e.targetInfo != nil {
		return nil
	}
	const name = otlptranslator.TargetInfoMetricName
	labels, err := labelsOf(name, res.Set())
	if err != nil {
		return err
	}
	e.targetInfo = &dto.MetricFamily{
		Name: new(string(name)), Help: new("Target metadata"), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Label: labels, Gauge: &dto.Gauge{Value: new(1.0)}}},
	}
	return nil
}
