package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// inbox is the exporter at the end of the pipeline.
type inbox struct {
	component.StartFunc
	component.ShutdownFunc

	mu      sync.Mutex
	pushes  []Push
	refuses bool
}

func (i *inbox) factory() exporter.Factory {
	create := func(context.Context, exporter.Settings, component.Config) (exporter.Metrics, error) { return i, nil }
	return exporter.NewFactory(component.MustNewType("inbox"),
		func() component.Config { return &struct{}{} },
		exporter.WithMetrics(create, component.StabilityLevelStable))
}

// Capabilities says that what is received stays as it is.
func (*inbox) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// errRefused is permanent: whoever pushes does not try again.
var errRefused = consumererror.NewPermanent(errors.New("the test wants nothing now"))

// ConsumeMetrics keeps a copy: the pipeline owns what it hands over.
func (i *inbox) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	kept := pmetric.NewMetrics()
	md.CopyTo(kept)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refuses {
		return errRefused
	}
	i.pushes = append(i.pushes, Push{kept})
	return nil
}

func (i *inbox) all() []Push {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.pushes)
}

// Push is one export, as it arrived.
type Push struct{ pmetric.Metrics }

// Resource returns the attributes of the resource, as text. Two resources in one push are an error: the
// agent is one thing.
func (p Push) Resource() (map[string]string, error) {
	if n := p.ResourceMetrics().Len(); n != 1 {
		return nil, fmt.Errorf("the push has %d resources, want 1", n)
	}
	attributes := map[string]string{}
	p.ResourceMetrics().At(0).Resource().Attributes().Range(func(k string, v pcommon.Value) bool {
		attributes[k] = v.AsString()
		return true
	})
	return attributes, nil
}

// Metric returns the metric of that name. A name that occurs twice is an error: two instruments fight.
func (p Push) Metric(name string) (pmetric.Metric, error) {
	var found []pmetric.Metric
	for _, resource := range p.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				if metric.Name() == name {
					found = append(found, metric)
				}
			}
		}
	}
	if len(found) != 1 {
		return pmetric.Metric{}, fmt.Errorf("the push has %d metrics named %s, want 1", len(found), name)
	}
	return found[0], nil
}

// Gauge returns the value of a gauge that has one point without attributes.
func (p Push) Gauge(name string) (float64, error) {
	metric, err := p.Metric(name)
	if err != nil {
		return 0, err
	}
	if metric.Type() != pmetric.MetricTypeGauge {
		return 0, fmt.Errorf("%s is a %v, want a gauge", name, metric.Type())
	}
	points := metric.Gauge().DataPoints()
	if points.Len() != 1 {
		return 0, fmt.Errorf("%s has %d points, want 1", name, points.Len())
	}
	point := points.At(0)
	if n := point.Attributes().Len(); n != 0 {
		return 0, fmt.Errorf("%s has attributes %v, want none", name, point.Attributes().AsRaw())
	}
	if point.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(point.IntValue()), nil
	}
	return point.DoubleValue(), nil
}
