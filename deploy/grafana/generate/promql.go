package main

import (
	"fmt"
	"strings"
)

// expand writes out the short forms in a query's selectors:
//
//	@agent       of the agents that are chosen; every selector has it
//	@repository  of the repository that is chosen
func expand(expr string) string {
	return strings.NewReplacer(
		"@agent", `job="$job", instance=~"$instance"`,
		"@repository", `cicd_pipeline_name="$repository"`,
	).Replace(expr)
}

// distribution asks about a histogram. The queries answer for explicit buckets and for exponential ones
// (metrics.histogram), which Prometheus keeps as native histograms: of either kind there are only one's series.
type distribution struct {
	metric string
	// where are the selector's matchers.
	where string
	// over is the time that is looked at.
	over string
	// by are the labels that tell results apart.
	by []string
}

// per tells results apart by labels.
func (d distribution) per(labels ...string) distribution {
	d.by = labels
	return d
}

// and narrows the selector.
func (d distribution) and(matcher string) distribution {
	if d.where != "" {
		matcher = d.where + ", " + matcher
	}
	d.where = matcher
	return d
}

// quantile is the value that so much of all values do not exceed. It is absent where there are no values.
func (d distribution) quantile(q float64) string {
	return fmt.Sprintf("(histogram_quantile(%[1]v, %[2]s) or histogram_quantile(%[1]v, %[3]s)) >= 0",
		q, d.sum("_bucket", "le"), d.sum(""))
}

// mean is absent where there are no values.
func (d distribution) mean() string {
	return fmt.Sprintf("(%s / %s or histogram_sum(%[3]s) / histogram_count(%[3]s)) >= 0",
		d.sum("_sum"), d.sum("_count"), d.sum(""))
}

// rate is how many values there were, for each second.
func (d distribution) rate() string {
	return fmt.Sprintf("(%s or histogram_count(%s))", d.sum("_count"), d.sum(""))
}

// share is how much of the values a matcher selects. It is 0 where it selects none, and absent where there are
// no values.
func (d distribution) share(matcher string) string {
	part, whole := d.and(matcher).rate(), d.rate()
	return fmt.Sprintf("(%s or 0 * %[2]s) / %[2]s >= 0", part, whole)
}

// buckets are how many values each bucket got.
func (d distribution) buckets() string {
	return d.summed("increase", "_bucket", "le") + " or " + d.summed("increase", "")
}

// sum adds up the rates of the histogram's series with that suffix.
func (d distribution) sum(suffix string, labels ...string) string {
	return d.summed("rate", suffix, labels...)
}

func (d distribution) summed(function, suffix string, labels ...string) string {
	by := ""
	if labels = append(labels, d.by...); len(labels) > 0 {
		by = " by (" + strings.Join(labels, ", ") + ") "
	}
	where := "@agent"
	if d.where != "" {
		where += ", " + d.where
	}
	return fmt.Sprintf("sum%s(%s(%s%s{%s}[%s]))", by, function, d.metric, suffix, where, d.over)
}

// runs are the durations of builds: how long they ran.
func runs(over string) distribution {
	return distribution{
		metric: "cicd_pipeline_run_duration_seconds", where: `cicd_pipeline_run_state="executing"`, over: over,
	}
}

// waits are how long builds waited that then ran.
func waits(over string) distribution {
	return distribution{
		metric: "cicd_pipeline_run_duration_seconds", over: over,
		where: `cicd_pipeline_run_state="pending", cicd_pipeline_result=""`,
	}
}

// stages are the durations of stages in a state: pending or executing.
func stages(state, over string) distribution {
	return distribution{
		metric: "drone_stage_duration_seconds", where: `cicd_pipeline_run_state="` + state + `"`, over: over,
	}
}

// successRatio is how much of the builds that ended as a success or a failure was a success. It is absent where none
// did.
func successRatio(where, over string) string {
	return fmt.Sprintf(`sum(rate(drone_build_finished_total{%[1]s, drone_build_status="success"}[%[2]s])) / `+
		`sum(rate(drone_build_finished_total{%[1]s, drone_build_status=~"success|failure|error"}[%[2]s])) >= 0`,
		where, over)
}

// How far back a query looks.
const (
	window = "$window"          // as the reader of the dashboard has chosen
	shown  = "$__range"         // all the time that is shown
	fine   = "$__rate_interval" // as little as there is room for on the screen
)
