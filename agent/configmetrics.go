package agent

import (
	"path"
	"regexp"
	"strings"
)

// Bounds of what makes series.
const (
	// mostRepositories is the largest metrics.repositories.limit.
	mostRepositories = 100_000
	// mostBuckets and mostLabels bound what is multiplied with the repositories and the platforms.
	mostBuckets = 100
	mostLabels  = 5
)

// metrics finds the mistakes in what makes series.
func (c checker) metrics(f metricsFile) {
	const section = "metrics."
	c.globs(section+"repositories.include", f.Repositories.Include)
	c.globs(section+"repositories.exclude", f.Repositories.Exclude)
	if n := f.Repositories.Limit; n < 0 || n > mostRepositories {
		c.at(section+"repositories.limit", "%d is not between 0 and %d", n, mostRepositories)
	}
	if f.Histogram != histogramExplicit && f.Histogram != histogramExponential {
		c.at(section+"histogram", "explicit or exponential belongs here, not %.40q", f.Histogram)
	}
	if len(f.Buckets) == 0 || len(f.Buckets) > mostBuckets {
		c.at(section+"buckets", "between 1 and %d boundaries belong here, not %d", mostBuckets, len(f.Buckets))
	}
	for i, bound := range f.Buckets {
		if !(bound > 0 && bound < 1e9) || i > 0 && bound <= f.Buckets[i-1] {
			c.at(section+"buckets", "seconds above zero belong here, each more than the one before; %g is not", bound)
			break
		}
	}
	if len(f.QueueLabels) > mostLabels {
		c.at(section+"queue_labels", "at most %d labels, not %d", mostLabels, len(f.QueueLabels))
	}
	seen := map[string]bool{}
	for _, label := range f.QueueLabels {
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`).MatchString(label) || seen[label] {
			c.at(section+"queue_labels", "%.40q: names of labels belong here, each once", label)
		}
		seen[label] = true
	}
}

func (c checker) globs(field string, globs []string) {
	for _, glob := range globs {
		_, err := path.Match(glob, "")
		if err != nil || glob != "*" && strings.Count(glob, "/") != 1 {
			c.at(field, "a glob over owner/name belongs here, as \"org/*\" or \"*\", not %.60q", glob)
		}
	}
}
