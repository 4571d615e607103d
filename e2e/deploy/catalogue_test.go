package deploy

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"drone-otel-agent/e2e/prometheus"
	"drone-otel-agent/instruments"
)

// catalogue is what a query may name: each metric with its labels. Those that rules record have no list.
type catalogue map[string][]string

// known are the metrics of METRICS.md, those of the agent's process and of Prometheus that are used, and the records.
func known(t *testing.T, records []rule) catalogue {
	t.Helper()
	names := map[string]string{}
	for name, otel := range documentedNames(t) {
		names[otel] = name
	}
	all := catalogue{
		"up": {}, "scrape_samples_post_metric_relabeling": {}, "scrape_sample_limit": {},
		"scrape_duration_seconds": {}, "drone_otel_agent_build_info": {"version"}, "target_info": {},
		"process_start_time_seconds": {}, "process_resident_memory_bytes": {}, "process_cpu_seconds_total": {},
		"otel_sdk_exporter_metric_data_point_exported_total": {
			"error_type", "otel_component_type", "otel_component_name",
		},
	}
	// otelhttp's, by OpenTelemetry's conventions for HTTP clients.
	request := []string{
		"url_template", "http_request_method", "http_response_status_code", "error_type", "network_protocol_name",
		"network_protocol_version", "server_address", "server_port", "url_scheme", "le",
	}
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		all["http_client_request_duration_seconds"+suffix] = request
	}
	for _, in := range instruments.Catalog() {
		name, listed := names[in.Name]
		if !listed {
			t.Fatalf("METRICS.md has no row for %s", in.Name)
		}
		attributes := []string{}
		for _, key := range in.Attributes {
			attributes = append(attributes, label(string(key)))
		}
		for _, optional := range in.Optional {
			attributes = append(attributes, label(string(optional.Key)))
		}
		all[name] = attributes
		if in.Kind == instruments.Histogram {
			all[name+"_bucket"] = append([]string{model.BucketLabel}, attributes...)
			all[name+"_sum"], all[name+"_count"] = attributes, attributes
		}
	}
	for _, r := range records {
		if r.Record != "" {
			all[r.Record] = nil
		}
	}
	return all
}

// documentedNames are Prometheus's names in METRICS.md, with OpenTelemetry's.
func documentedNames(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	rows := regexp.MustCompile("(?m)^\\| \\[`(\\w+)`\\]\\(#\\w+\\) \\| `([\\w.]+)` ")
	for _, row := range rows.FindAllSubmatch(text, -1) {
		names[string(row[1])] = string(row[2])
	}
	return names
}

// label is an attribute's name in Prometheus.
func label(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }

// unknown tells what a query names that there is not: metrics, and labels of theirs.
func (c catalogue) unknown(query string) []string {
	parsed, err := prometheus.Parse(query)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	check := func(name, what string, all []string) {
		if name != model.JobLabel && name != model.InstanceLabel && !slices.Contains(all, name) {
			wrong = append(wrong, fmt.Sprintf("the label %s in %s", name, what))
		}
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			metric, exact := exactName(n)
			known, there := c[metric]
			if exact && !there {
				wrong = append(wrong, "the metric "+metric)
			}
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel && known != nil {
					check(m.Name, metric, known)
				}
			}
		case *parser.AggregateExpr:
			for _, name := range n.Grouping {
				check(name, n.ShortString(), append(c.labels(), model.MetricNameLabel))
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				for _, name := range n.VectorMatching.MatchingLabels {
					check(name, n.ShortString(), c.labels())
				}
			}
		}
		return nil
	})
	return wrong
}

// labels are those of all metrics.
func (c catalogue) labels() []string {
	var all []string
	for _, names := range c {
		all = append(all, names...)
	}
	return all
}

// exactName is the metric that a selector names, unless it names many by an expression.
func exactName(selector *parser.VectorSelector) (name string, exact bool) {
	for _, m := range selector.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value, true
		}
	}
	return "", false
}

// Nothing that the rules and the documents ask for was renamed or never existed.
func TestQueriesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	rules := readRules(t)
	all := known(t, rules)
	queries := documentedQueries(t)
	for _, r := range rules {
		queries[r.name()] = append(queries[r.name()], r.Expr)
	}
	for where, asked := range queries {
		for _, query := range asked {
			for _, wrong := range all.unknown(query) {
				t.Errorf("%s: there is no such thing: %s, in\n%s", where, wrong, query)
			}
		}
	}
}

// The check above can fail.
func TestUnknownNamesAreFound(t *testing.T) {
	t.Parallel()
	all := known(t, readRules(t))
	for query, want := range map[string]int{
		`drone_up == 0`: 0,
		`sum by (job, os) (drone_queue_jobs{drone_stage_status="pending"})`: 0,
		`rate(cicd_pipeline_run_duration_seconds_bucket{le="60"}[5m])`:      0,
		`drone_down`:                                      1,
		`drone_up{os="linux"}`:                            1,
		`sum without (branch) (drone_up)`:                 1,
		`drone_up and on (host) drone_repo_count`:         1,
		`instance:drone_build_success_per_finished:ratio`: 1,
		`drone_up ==`:                                     1,
	} {
		if wrong := all.unknown(query); len(wrong) != want {
			t.Errorf("%s: %q is wrong, want %d", query, wrong, want)
		}
	}
}
