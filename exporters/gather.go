package exporters

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// joined gathers from several, each of which is consistent in itself but for the names of its families.
// Where names get in each other's way, which they should not, it leaves the matter to prometheus.Gatherers:
// that looks at every label of every series, so it is not asked without need.
type joined []prometheus.Gatherer

// Gather gives the families of all, sorted by name.
func (j joined) Gather() ([]*dto.MetricFamily, error) {
	var all []*dto.MetricFamily
	var errs prometheus.MultiError
	for _, g := range j {
		families, err := g.Gather()
		all = append(all, families...)
		if several := (prometheus.MultiError)(nil); errors.As(err, &several) {
			errs = append(errs, several...)
		} else {
			errs.Append(err)
		}
	}
	slices.SortStableFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	if clash(all) {
		return prometheus.Gatherers{prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			return all, errs.MaybeUnwrap()
		})}.Gather()
	}
	return all, errs.MaybeUnwrap()
}

// clash tells whether a family has the name of another one, or of the samples of a histogram or summary.
func clash(sorted []*dto.MetricFamily) bool {
	compound := map[string]bool{}
	for i, f := range sorted {
		if i > 0 && sorted[i-1].GetName() == f.GetName() {
			return true
		}
		if t := f.GetType(); t == dto.MetricType_HISTOGRAM || t == dto.MetricType_SUMMARY {
			compound[f.GetName()] = true
		}
	}
	for _, f := range sorted {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base, ok := strings.CutSuffix(f.GetName(), suffix); ok && compound[base] {
				return true
			}
		}
	}
	return false
}
