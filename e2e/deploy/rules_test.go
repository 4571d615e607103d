package deploy

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"drone-otel-agent/e2e/documents"
	"drone-otel-agent/e2e/prometheus"
)

const (
	folder  = "../../deploy/prometheus"
	runbook = "docs/runbook.md"
)

// rule is a recording or an alerting one.
type rule struct{ rulefmt.Rule }

func (r rule) name() string { return r.Record + r.Alert }

func readRules(t *testing.T) []rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(filepath.Join(folder, "rules.yaml"), false, model.UTF8Validation,
		prometheus.Parser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatalf("reading the rules: %v", errs)
	}
	var all []rule
	for _, group := range groups.Groups {
		for _, r := range group.Rules {
			all = append(all, rule{r})
		}
	}
	return all
}

func alerts(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(readRules(t), func(r rule) bool { return r.Alert == "" })
}

// runbookSections are the texts of the runbook's sections by their anchors.
func runbookSections(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", runbook))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		sections[strings.ToLower(heading)] = body
	}
	return sections
}

// documentedQueries are the PromQL examples of every document, by where they stand.
func documentedQueries(t *testing.T) map[string][]string {
	t.Helper()
	queries := map[string][]string{}
	for _, page := range documents.Read(t, "../..") {
		for _, query := range page.Queries {
			where := page.Name + "#" + query.Section
			queries[where] = append(queries[where], query.Text)
		}
	}
	return queries
}

// Each alert says how bad it is, what was measured and what to do, and has its section in the runbook, which has a
// query to look closer with. There are no other sections.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	sections, queries := runbookSections(t), documentedQueries(t)
	for _, alert := range alerts(t) {
		if !slices.Contains([]string{"critical", "warning", "info"}, alert.Labels["severity"]) {
			t.Errorf("%s: the severity is %q", alert.Alert, alert.Labels["severity"])
		}
		// absent() has nothing to measure.
		if !strings.Contains(alert.Annotations["summary"], "$value") && alert.Alert != "DroneAgentAbsent" {
			t.Errorf("%s: the summary does not tell what was measured: %q", alert.Alert, alert.Annotations["summary"])
		}
		if alert.Annotations["description"] == "" {
			t.Errorf("%s has no description", alert.Alert)
		}
		if alert.For == 0 {
			t.Errorf("%s fires at once", alert.Alert)
		}
		anchor := strings.ToLower(alert.Alert)
		if got, want := alert.Annotations["runbook_url"], runbook+"#"+anchor; got != want {
			t.Errorf("%s: runbook_url is %q, want %q", alert.Alert, got, want)
		}
		if sections[anchor] == "" || len(queries[runbook+"#"+anchor]) == 0 {
			t.Errorf("%s: %s has no such section, or one without a query", alert.Alert, runbook)
		}
		delete(sections, anchor)
	}
	for section := range sections {
		t.Errorf("%s: the section %s is of no alert", runbook, section)
	}
}

// Each alert is tested to fire and to stay silent, and each record has a test that names it.
func TestRulesAreTested(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(folder, "tests", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("looking for tests of the rules: %d found (%v)", len(files), err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	var asked strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			Tests []struct {
				Alerts []struct {
					Name     string `yaml:"alertname"`
					Expected []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
				Queries []struct{ Expr string } `yaml:"promql_expr_test"`
			}
		}
		if err := yaml.Unmarshal(text, &read); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		for _, test := range read.Tests {
			for _, alert := range test.Alerts {
				fires[alert.Name] = fires[alert.Name] || len(alert.Expected) > 0
				silent[alert.Name] = silent[alert.Name] || len(alert.Expected) == 0
			}
			for _, query := range test.Queries {
				fmt.Fprintln(&asked, query.Expr)
			}
		}
	}
	for _, r := range readRules(t) {
		switch {
		case r.Alert != "" && (!fires[r.Alert] || !silent[r.Alert]):
			t.Errorf("%s is tested to fire: %t, to be silent: %t", r.Alert, fires[r.Alert], silent[r.Alert])
		// A record of rates is there for others to work on, and is tested by them.
		case r.Record != "" && !strings.HasSuffix(r.Record, ":rate5m") && !strings.Contains(asked.String(), r.Record):
			t.Errorf("%s is in no test", r.Record)
		}
	}
}
