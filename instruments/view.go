package instruments

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// view is a snapshot as the instruments look at it.
type view struct {
	*Snapshot
	settings Settings
	now      time.Time
	stale    bool            // what is known of Drone is too old to be shown
	labels   []attribute.Key // those of Platform.Labels
	series   []*repoSeries   // those of Snapshot.Repos
}

// age is how long ago it was, in seconds, 0 for the zero time.
func (v *view) age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, v.now.Sub(t).Seconds())
}

// unixSeconds is a moment as Prometheus has them.
func unixSeconds(t time.Time) float64 {
	return float64(t.UnixMilli()) / float64(time.Second/time.Millisecond)
}

// repoSeries are the attributes of a repository's series, made once: to sort and to hash them costs more than
// all else in a collection.
type repoSeries struct {
	repo                     attribute.KeyValue
	name, pending, executing []metric.ObserveOption
	byStatus                 map[string][]metric.ObserveOption
}

func newRepoSeries(name string) *repoSeries {
	repo := attrRepository.String(name)
	return &repoSeries{
		repo: repo, name: prepared(repo), byStatus: map[string][]metric.ObserveOption{},
		pending:   prepared(repo, semconv.CICDPipelineRunStatePending),
		executing: prepared(repo, semconv.CICDPipelineRunStateExecuting),
	}
}

// finished gives the attributes of the repository's builds that ended in a status.
func (s *repoSeries) finished(status string) []metric.ObserveOption {
	series, made := s.byStatus[status]
	if !made {
		series = prepared(s.repo, attrBuildStatus.String(status))
		s.byStatus[status] = series
	}
	return series
}

func prepared(attributes ...attribute.KeyValue) []metric.ObserveOption {
	return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}
}

// repoCache keeps the series of every repository.
type repoCache struct {
	byName map[string]*repoSeries
	found  []*repoSeries
}

// series gives the series of the repositories, in their order, until it is called again.
func (c *repoCache) series(repos []Repo) []*repoSeries {
	if len(c.byName) > 2*len(repos) {
		c.byName = nil // most are of repositories that are gone
	}
	if c.byName == nil {
		c.byName = make(map[string]*repoSeries, len(repos))
	}
	c.found = c.found[:0]
	for i := range repos {
		series := c.byName[repos[i].Name]
		if series == nil {
			series = newRepoSeries(repos[i].Name)
			c.byName[repos[i].Name] = series
		}
		c.found = append(c.found, series)
	}
	return c.found
}
