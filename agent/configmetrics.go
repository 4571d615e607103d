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
	// mostSeconds is the largest boundary of a bucket: 30 years.
	mostSeconds = 1e9
)

// metrics finds the mistakes in what makes series.
func (c checker) metrics(f metricsFile) {
	c.globs("metrics.repositories.include", f.Repositories.Include)
	c.globs("metrics.repositories.exclude", f.Repositories.Exclude)
	if n := f.Repositories.Limit; n < 0 || n > mostRepositories {
		c.at("metrics.repositories.limit", "%d is not between 0 and %d", n, mostRepositories)
	}
	if f.Histogram != histogramExplicit && f.Histogram != histogramExponential {
		c.at("metrics.histogram", "explicit or exponential belongs here, not %.40q", f.Histogram)
	}
	c.buckets("metrics.buckets", f.Buckets)
	c.labels("metrics.queue_labels", f.QueueLabels)
}

func (c checker) globs(field string, globs []string) {
	for _, glob := range globs {
		if owner, name, _ := strings.Cut(glob, "/"); glob != "*" && (!globOfOne(owner) || !globOfOne(name)) {
			c.at(field, "a glob over owner/name belongs here, as \"org/*\", or \"*\" for every one, not %.60q", glob)
		}
	}
}

// globOfOne tells whether a glob is one over an owner or over a name.
func globOfOne(glob string) bool {
	_, err := path.Match(glob, "")
	return err == nil && glob != "" && !strings.Contains(glob, "/")
}

func (c checker) buckets(field string, bounds []float64) {
	if n := len(bounds); n == 0 || n > mostBuckets {
		c.at(field, "between 1 and %d boundaries belong here, not %d", mostBuckets, n)
	}
	for i, bound := range bounds {
		switch {
		case !(bound > 0 && bound <= mostSeconds):
			c.at(field, "%g is no boundary: seconds above 0 and up to %g belong here", bound, mostSeconds)
			return
		case i > 0 && bound <= bounds[i-1]:
			c.at(field, "%g comes after %g: each boundary must be above the one before", bound, bounds[i-1])
			return
		}
	}
}

// labels holds the names of labels to what can be told apart: every character but letters and digits is an
// underscore in Prometheus.
func (c checker) labels(field string, labels []string) {
	if n := len(labels); n > mostLabels {
		c.at(field, "at most %d labels belong here, not %d", mostLabels, n)
	}
	form, other := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`), regexp.MustCompile(`[^A-Za-z0-9]+`)
	seen := map[string]string{}
	for _, label := range labels {
		if !form.MatchString(label) {
			c.at(field, "the name of a label belongs here, as pool, not %.40q", label)
			continue
		}
		name := other.ReplaceAllString(label, "_")
		switch first, twice := seen[name]; {
		case first == label:
			c.at(field, "%.40q is given twice", label)
		case twice:
			c.at(field, "%.40q and %.40q are one and the same in Prometheus", first, label)
		}
		seen[name] = label
	}
}
