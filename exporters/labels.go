package exporters

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
)

// labelsOf translates an attribute set into labels, sorted by name. Attributes whose names become the same
// share one label with their values joined, as OpenTelemetry's specification has it. What Prometheus does
// not allow is an error; client_golang is the judge of it.
func labelsOf(metric string, attrs *attribute.Set) ([]*dto.LabelPair, error) {
	var namer otlptranslator.LabelNamer
	byName := map[string][]string{}
	for _, kv := range attrs.ToSlice() {
		name, err := namer.Build(string(kv.Key))
		if err != nil {
			return nil, fmt.Errorf("a series of %s is left out: the attribute %q: %w", metric, kv.Key, err)
		}
		byName[name] = append(byName[name], kv.Value.String())
	}
	names, values := make([]string, 0, len(byName)), make([]string, 0, len(byName))
	for name, all := range byName {
		slices.Sort(all)
		names, values = append(names, name), append(values, strings.Join(all, ";"))
	}
	checked, err := prometheus.NewConstMetric(
		prometheus.NewDesc(metric, "", names, nil), prometheus.UntypedValue, 0, values...)
	if err != nil {
		return nil, fmt.Errorf("a series of %s is left out: %w", metric, err)
	}
	var out dto.Metric
	if err := checked.Write(&out); err != nil {
		return nil, fmt.Errorf("a series of %s is left out: %w", metric, err)
	}
	return out.GetLabel(), nil
}

// labelPairs keeps every pair of name and value once, however many series have it: there are a thousand
// repositories, and dozens of series for each.
type labelPairs struct {
	known   map[[2]string]*dto.LabelPair
	dropped int // series forgotten since it was last emptied
}

// share replaces pairs by those that others have already.
func (p *labelPairs) share(labels []*dto.LabelPair) {
	if p.known == nil {
		p.known = map[[2]string]*dto.LabelPair{}
	}
	for i, l := range labels {
		key := [2]string{l.GetName(), l.GetValue()}
		if known := p.known[key]; known != nil {
			labels[i] = known
		} else {
			p.known[key] = l
		}
	}
}

// shrink forgets all pairs where many may be of no use any more. Series keep what they have.
func (p *labelPairs) shrink() {
	if p.dropped > len(p.known) {
		*p = labelPairs{}
	}
}
