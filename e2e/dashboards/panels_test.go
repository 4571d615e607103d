package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"drone-otel-agent/e2e/prometheus"
)

// question is a query of a panel.
type question struct {
	dashboard, panel string
	expr             string
	// labels are those that the legend names.
	labels []string
	// now tells that it is asked about the present alone, not about each point of a graph.
	now bool
}

// questions are all queries of all dashboards, as the files have them, those of the variables among them.
func questions(t *testing.T) []question {
	t.Helper()
	files, err := filepath.Glob("../../deploy/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("looking for dashboards: %d found (%v)", len(files), err)
	}
	var all []question
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			Templating struct {
				List []struct {
					Name, Type string
					Query      any
				}
			}
			Panels []struct {
				Title   string
				Type    string
				Targets []struct {
					Expr, LegendFormat string
					Instant            bool
				}
			}
		}
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		for _, variable := range read.Templating.List {
			if variable.Type != "query" {
				continue
			}
			text, _ := variable.Query.(map[string]any)["query"].(string)
			parts := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(text)
			if parts == nil {
				t.Fatalf("%s: the query of the variable %s is %q", file, variable.Name, text)
			}
			all = append(all, question{filepath.Base(file), "variable " + variable.Name, parts[1], parts[2:], true})
		}
		for _, panel := range read.Panels {
			for _, target := range panel.Targets {
				q := question{filepath.Base(file), panel.Title, target.Expr, nil, target.Instant}
				for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
					// A native histogram has its buckets inside.
					if label[1] != "le" {
						q.labels = append(q.labels, label[1])
					}
				}
				all = append(all, q)
			}
		}
	}
	return all
}

// choices are what the reader of a dashboard has chosen, and Grafana's own variables.
type choices map[string]string

// in puts the choices into a query, as Grafana does.
func (c choices) in(expr string) string {
	return regexp.MustCompile(`\$\w+`).ReplaceAllStringFunc(expr, func(name string) string {
		if value, known := c[strings.TrimPrefix(name, "$")]; known {
			return value
		}
		return name
	})
}

// chosen are choices under which every query looks back over all of a test.
func chosen(job, repository string) choices {
	return choices{
		"job": job, "instance": ".*", "repository": repository,
		"window": "10m", "__range": "10m", "__rate_interval": "10m", "__range_s": "600",
	}
}

func TestQueriesParse(t *testing.T) {
	with := chosen("drone", "octocat/hello.world")
	all := questions(t)
	if len(all) < 70 {
		t.Errorf("the dashboards have %d queries, want more", len(all))
	}
	for _, q := range all {
		if _, err := prometheus.Parse(with.in(q.expr)); err != nil {
			t.Errorf("%s: %s: %s: %v", q.dashboard, q.panel, q.expr, err)
		}
	}
}
