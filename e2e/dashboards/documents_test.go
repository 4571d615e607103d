package dashboards

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"drone-otel-agent/e2e/documents"
	"drone-otel-agent/e2e/prometheus"
)

// silent are the queries of the documents that rightly have no answer here, and why.
func silent() map[string]string {
	return map[string]string{
		"absent(drone_up)": "there is an agent",
	}
}

// A histogram has one name where it is explicit and another where it is native; the agent's and OpenTelemetry's.
var ofHistograms = regexp.MustCompile(
	`^(cicd_pipeline_run|drone_stage|drone_step|http_client_request)_duration_seconds(_bucket|_sum|_count)?$`)

// needs tells what a query needs to have an answer: histograms of a kind, a scrape.
type needs struct{ explicit, native, scraped bool }

func needsOf(query parser.Expr) needs {
	var n needs
	parser.Inspect(query, func(node parser.Node, _ []parser.Node) error {
		if selector, is := node.(*parser.VectorSelector); is {
			name := metricName(selector)
			if found := ofHistograms.FindStringSubmatch(name); found != nil {
				n.explicit = n.explicit || found[2] != ""
				n.native = n.native || found[2] == ""
			}
			n.scraped = n.scraped || name == "up" || strings.HasPrefix(name, "scrape_")
		}
		return nil
	})
	return n
}

// metricName is the metric that a selector names, or nothing where it names many.
func metricName(selector *parser.VectorSelector) string {
	for _, m := range selector.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// relaxed is a query such that it has an answer wherever it finds its metrics and their labels match: a comparison is
// answered by 0 or 1 and leaves nothing out, last week is today, and what looks back over days in long strides does so
// over the minutes of this test in short ones.
func relaxed(query parser.Expr) parser.Expr {
	parser.Inspect(query, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			n.OriginalOffset, n.Offset = 0, 0
		case *parser.SubqueryExpr:
			n.OriginalOffset, n.Offset = 0, 0
			n.Range, n.Step = min(n.Range, 10*time.Minute), 5*time.Second
		case *parser.BinaryExpr:
			n.ReturnBool = n.Op.IsComparisonOperator()
		}
		return nil
	})
	return query
}

// checkDocuments puts every query that the documents show to Prometheus: none errs, and each finds what it asks for.
func checkDocuments(t *testing.T, prom *prometheus.Server, histogram, job string) {
	t.Helper()
	record(t, prom)
	quiet, asked := silent(), 0
	for _, page := range append(documents.Read(t, "../.."), examples(t)) {
		for _, query := range page.Queries {
			asked++
			where := fmt.Sprintf("%s:%d", page.Name, query.Line)
			parsed, err := prometheus.Parse(query.Text)
			if err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			if _, remarks, err := prom.Ask(t.Context(), query.Text); err != nil || len(remarks) > 0 {
				t.Errorf("%s: %v, Prometheus remarks %q", where, err, remarks)
			}
			needs := needsOf(parsed)
			other := needs.explicit != needs.native && needs.explicit != (histogram == "explicit")
			_, none := quiet[strings.TrimSpace(query.Text)]
			none = none || other || needs.scraped && job != "drone"
			delete(quiet, strings.TrimSpace(query.Text))
			expr := relaxed(parsed).String()
			series, err := prom.Query(t.Context(), expr)
			if err != nil || shows(series) == none {
				t.Errorf("%s: %s answers %v (%v)", where, expr, series, err)
			}
		}
	}
	for query, why := range quiet {
		t.Errorf("no document asks %s any more, which has no answer as %s", query, why)
	}
	if asked < 50 {
		t.Errorf("the documents have %d queries, want more", asked)
	}
	if complaints := prom.Warnings(); len(complaints) != 0 {
		t.Errorf("Prometheus complains: %q", complaints)
	}
}

// examples are the queries of METRICS.md.
func examples(t *testing.T) documents.Page {
	t.Helper()
	text, err := os.ReadFile("../../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	page := documents.Page{Name: "METRICS.md"}
	for number, line := range strings.Split(string(text), "\n") {
		if query, is := strings.CutPrefix(line, "- Example: `"); is {
			page.Queries = append(page.Queries, documents.Block{Line: number + 1, Text: strings.TrimSuffix(query, "`")})
		}
	}
	if len(page.Queries) == 0 {
		t.Error("METRICS.md has no examples")
	}
	return page
}

// record evaluates the recording rules once, as the documents use some of the records.
func record(t *testing.T, prom *prometheus.Server) {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../../deploy/prometheus/rules.yaml", false, model.UTF8Validation,
		prometheus.Parser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatalf("reading the rules: %v", errs)
	}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if rule.Record == "" {
				continue
			}
			if err := prom.Record(t.Context(), rule.Record, rule.Expr); err != nil {
				t.Fatalf("evaluating %s: %v", rule.Record, err)
			}
		}
	}
}

// A query keeps what it asks for and loses what would leave an answer out.
func TestRelaxed(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`sum by (os) (a{b="c"}) > 600 and on (x) d == 0`: `sum by (os) (a{b="c"}) > bool 600 and on (x) d == bool 0`,
		`rate(a[1d]) / rate(a[1d] offset 1w)`:            `rate(a[1d]) / rate(a[1d])`,
		`max_over_time((a > bool 0)[1w:5m] offset 1d)`:   `max_over_time((a > bool 0)[10m:5s])`,
	} {
		parsed, err := prometheus.Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := relaxed(parsed).String(); got != want {
			t.Errorf("%s becomes %s, want %s", query, got, want)
		}
	}
	for query, want := range map[string]needs{
		`rate(drone_stage_duration_seconds_sum[1h])`:                                 {explicit: true},
		`drone_stage_duration_seconds`:                                               {native: true},
		`drone_step_duration_seconds or drone_step_duration_seconds_bucket`:          {explicit: true, native: true},
		`up == 0 or drone_up`:                                                        {scraped: true},
		`drone_agent_poll_duration_seconds + drone_repo_last_build_duration_seconds`: {},
	} {
		parsed, err := prometheus.Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := needsOf(parsed); got != want {
			t.Errorf("%s needs %v, want %v", query, got, want)
		}
	}
}
