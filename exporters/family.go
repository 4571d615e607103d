package exporters

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
)

// family remembers, from scrape to scrape, how the series of one name are labelled and sorted.
type family struct {
	name, help string
	kind       dto.MetricType
	series     map[attribute.Distinct]*series
	order      []*series // those that can be shown, by labels
	points     []points  // what there is in this scrape
}

// series is what an attribute set is in Prometheus.
type series struct {
	labels []*dto.LabelPair
	err    error   // why it cannot be shown
	twin   *series // has the same labels, though its attributes differ; it stands in the order for both
	seen   uint64  // the last scrape it was in
	slot   int     // where it is in the order
}

func newFamily(name, help string, kind dto.MetricType) *family {
	return &family{name: name, help: help, kind: kind, series: map[attribute.Distinct]*series{}}
}

// place is where the numbers of a series are.
type place struct {
	points points
	index  int
}

// convert gives the family with the numbers of this scrape, and forgets what is not in it; nil where
// nothing is.
func (f *family) convert(scrape uint64, pairs *labelPairs, errs *prometheus.MultiError) *dto.MetricFamily {
	found := f.find(scrape, pairs)
	places := make([]place, len(f.order))
	at := 0
	for _, p := range f.points {
		for i := range p.len() {
			s := found[at]
			at++
			if s.twin != nil {
				s = s.twin
			}
			switch {
			case s.err != nil:
				errs.Append(s.err)
			case places[s.slot].points != nil:
				errs.Append(fmt.Errorf("%s{%s} was collected twice, from attributes that differ only where "+
					"labels do not, or from two instruments", f.name, describe(s.labels)))
			default:
				places[s.slot] = place{p, i}
			}
		}
	}
	clear(f.points)
	f.points = f.points[:0]
	return f.fill(places, errs)
}

// fill makes the metrics in the order they are written in, so that what is written together lies together.
func (f *family) fill(places []place, errs *prometheus.MultiError) *dto.MetricFamily {
	if len(places) == 0 {
		return nil
	}
	metrics := make([]*dto.Metric, 0, len(places))
	for slot, p := range places {
		if p.points == nil {
			continue
		}
		metric, err := p.points.metric(p.index)
		if err != nil {
			errs.Append(fmt.Errorf("%s{%s}: %w", f.name, describe(f.order[slot].labels), err))
			continue
		}
		metric.Label = f.order[slot].labels
		metrics = append(metrics, metric)
	}
	if len(metrics) == 0 {
		return nil
	}
	return &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: f.kind.Enum(), Metric: metrics}
}

// find gives the series of all points, in their order, and brings the family's order up to date.
func (f *family) find(scrape uint64, pairs *labelPairs) []*series {
	total := 0
	for _, p := range f.points {
		total += p.len()
	}
	found := make([]*series, 0, total)
	var fresh []*series
	live := 0
	see := func(s *series) {
		if s.seen != scrape {
			s.seen = scrape
			live++
		}
	}
	for _, p := range f.points {
		for i := range p.len() {
			attrs := p.attributes(i)
			s := f.series[attrs.Equivalent()]
			if s == nil {
				s = &series{}
				f.series[attrs.Equivalent()] = s
				if s.labels, s.err = labelsOf(f.name, attrs); s.err == nil {
					pairs.share(s.labels)
					fresh = append(fresh, s)
				}
			}
			see(s)
			if s.twin != nil {
				see(s.twin)
			}
			found = append(found, s)
		}
	}
	gone := len(f.series) - live
	if gone > 0 || len(fresh) > 0 {
		f.settle(scrape, fresh)
		pairs.dropped += gone
	}
	return found
}

// settle forgets the series that are not in this scrape, and sorts the fresh ones in.
func (f *family) settle(scrape uint64, fresh []*series) {
	missing := func(s *series) bool { return s.seen != scrape }
	maps.DeleteFunc(f.series, func(_ attribute.Distinct, s *series) bool { return missing(s) })
	all := append(slices.DeleteFunc(f.order, missing), fresh...)
	// Stable, so that of twins the one that is in the order already stays there.
	slices.SortStableFunc(all, func(a, b *series) int { return compareLabels(a.labels, b.labels) })
	f.order = make([]*series, 0, len(all))
	for _, s := range all {
		if last := len(f.order) - 1; last >= 0 && compareLabels(f.order[last].labels, s.labels) == 0 {
			s.twin = f.order[last]
			continue
		}
		s.slot = len(f.order)
		f.order = append(f.order, s)
	}
}

// compareLabels sorts as a registry does, by the number of labels and then by their values. Where only the
// names differ a registry leaves the order to chance.
func compareLabels(a, b []*dto.LabelPair) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	for i := range a {
		if c := cmp.Compare(a[i].GetValue(), b[i].GetValue()); c != 0 {
			return c
		}
	}
	for i := range a {
		if c := cmp.Compare(a[i].GetName(), b[i].GetName()); c != 0 {
			return c
		}
	}
	return 0
}

// describe writes labels for an error.
func describe(labels []*dto.LabelPair) string {
	texts := make([]string, len(labels))
	for i, l := range labels {
		texts[i] = fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())
	}
	return strings.Join(texts, ",")
}
