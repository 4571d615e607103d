package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"

	"drone-otel-agent/instruments"
)

// metrics are the labels of every metric that a query may ask for, by Prometheus's name.
type metrics map[string][]string

// knownMetrics are those of the catalogue, as Prometheus calls them, and what the libraries below give.
func knownMetrics(t *testing.T) metrics {
	t.Helper()
	kinds := map[instruments.Kind]otlptranslator.MetricType{
		instruments.Gauge:         otlptranslator.MetricTypeGauge,
		instruments.Counter:       otlptranslator.MetricTypeMonotonicCounter,
		instruments.UpDownCounter: otlptranslator.MetricTypeNonMonotonicCounter,
		instruments.Histogram:     otlptranslator.MetricTypeHistogram,
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	known := ofLibraries()
	for _, in := range instruments.Catalog() {
		name, err := namer.Build(otlptranslator.Metric{Name: in.Name, Unit: in.Unit, Type: kinds[in.Kind]})
		if err != nil {
			t.Fatalf("naming %s: %v", in.Name, err)
		}
		var labels []string
		for _, key := range in.Attributes {
			labels = append(labels, strings.ReplaceAll(string(key), ".", "_"))
		}
		if in.Kind == instruments.Histogram {
			known.histogram(name, labels...)
		} else {
			known[name] = labels
		}
	}
	return known
}

func ofLibraries() metrics {
	known := metrics{
		"up":                            nil,
		"drone_otel_agent_build_info":   {"version"},
		"go_gc_duration_seconds_sum":    nil,
		"go_goroutines":                 nil,
		"go_memstats_heap_alloc_bytes":  nil,
		"process_cpu_seconds_total":     nil,
		"process_max_fds":               nil,
		"process_open_fds":              nil,
		"process_resident_memory_bytes": nil,
		"process_start_time_seconds":    nil,
		"otel_sdk_exporter_metric_data_point_exported_total": {"error_type"},
		"promhttp_metric_handler_errors_total":               {"cause"},
		"promhttp_metric_handler_requests_total":             {"code"},
	}
	known.histogram("http_client_request_duration_seconds",
		"url_template", "http_request_method", "http_response_status_code", "error_type")
	return known
}

// histogram adds a histogram's names: with explicit buckets and native.
func (m metrics) histogram(name string, labels ...string) {
	m[name], m[name+"_sum"], m[name+"_count"] = labels, labels, labels
	m[name+"_bucket"] = append([]string{"le"}, labels...)
}

// check holds that a query asks for what there is, and of the chosen agents alone; legend is the name of its series.
func (m metrics) check(query, legend string) error {
	var (
		selector = regexp.MustCompile(`(\w*)\{([^}]*)\}`)
		matched  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"`)
		grouped  = regexp.MustCompile(`\b(?:by|on)\s*\(([^)]*)\)`)
		shown    = regexp.MustCompile(`\{\{(\w+)\}\}`)
		bare     = regexp.MustCompile(`\b[a-zA-Z_]\w*\b(\s*\()?`)
	)
	var wrong []error
	has := []string{"job", "instance"}
	selectors := selector.FindAllStringSubmatch(query, -1)
	for _, s := range selectors {
		labels, known := m[s[1]]
		switch {
		case s[1] == "": // any metric
			has = append(has, "__name__")
		case !known:
			wrong = append(wrong, fmt.Errorf("there is no metric %s", s[1]))
		}
		has = append(has, labels...)
		if !strings.HasPrefix(s[2], expand("@agent")) {
			wrong = append(wrong, fmt.Errorf("%s is not restricted to the chosen agents", s[0]))
		}
		for _, matcher := range matched.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(append(labels, "job", "instance"), matcher[1]) {
				wrong = append(wrong, fmt.Errorf("%s has no label %s", s[1], matcher[1]))
			}
		}
	}
	if len(selectors) == 0 {
		wrong = append(wrong, errors.New("it asks for nothing"))
	}
	var used []string
	for _, labels := range grouped.FindAllStringSubmatch(query, -1) {
		used = append(used, regexp.MustCompile(`\w+`).FindAllString(labels[1], -1)...)
	}
	for _, label := range shown.FindAllStringSubmatch(legend, -1) {
		used = append(used, label[1])
	}
	for _, label := range used {
		if !slices.Contains(has, label) {
			wrong = append(wrong, fmt.Errorf("no metric in it has a label %s", label))
		}
	}
	rest := grouped.ReplaceAllString(selector.ReplaceAllString(query, ""), "")
	rest = regexp.MustCompile(`\[[^\]]*\]|\$\w+`).ReplaceAllString(rest, "")
	for _, word := range bare.FindAllStringSubmatch(rest, -1) {
		if word[1] == "" && !slices.Contains([]string{"and", "or", "unless"}, word[0]) {
			wrong = append(wrong, fmt.Errorf("%s is without a selector", word[0]))
		}
	}
	return errors.Join(wrong...)
}

// The check itself sees what is wrong.
func TestCheckFindsMistakes(t *testing.T) {
	known := knownMetrics(t)
	for _, c := range []struct{ name, query, legend, want string }{
		{"well", `sum by (os) (rate(drone_stage_duration_seconds_bucket{@agent, stage="a"}[$window]))`, "{{os}}", ""},
		{"native", `sum(rate(drone_stage_duration_seconds{@agent}[$window]))`, "all", ""},
		{"any metric", `count by (__name__) ({@agent})`, "{{__name__}}", ""},
		{"renamed", `sum(drone_pending_build{@agent})`, "", "no metric drone_pending_build"},
		{"no such suffix", `drone_up_total{@agent}`, "", "no metric drone_up_total"},
		{"all agents", `drone_up{}`, "", "not restricted"},
		{"without a selector", `sum(drone_up{@agent}) + drone_up`, "", "drone_up is without a selector"},
		{"unknown matcher", `drone_up{@agent, color="red"}`, "", "drone_up has no label color"},
		{"label of another metric", `drone_up{@agent, os="linux"}`, "", "drone_up has no label os"},
		{"unknown grouping", `sum by (color) (drone_up{@agent})`, "", "no metric in it has a label color"},
		{"unknown legend", `drone_up{@agent}`, "{{color}}", "no metric in it has a label color"},
		{"nothing", "1", "", "asks for nothing"},
	} {
		err := known.check(expand(c.query), c.legend)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the check says %v, want %q", c.name, err, c.want)
		}
	}
}

// What the tests know by heart of the libraries' metrics is no more than the dashboards use.
func TestNoMetricKnownInVain(t *testing.T) {
	var all strings.Builder
	for _, b := range boards() {
		for _, p := range b.dashboard().Panels {
			for _, target := range p.Targets {
				all.WriteString(target.Expr)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ofLibraries())) {
		if !strings.Contains(all.String(), name) {
			t.Errorf("no dashboard uses %s", name)
		}
	}
}
