package main

import (
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"drone-otel-agent/instruments"
)

func TestDocumentIsUpToDate(t *testing.T) {
	want, err := document(instruments.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("METRICS.md is not what go generate ./instruments makes of it (-made +there):\n%s", diff)
	}
}

// scrape shows every instrument of the catalogue to Prometheus, with every setting on.
func scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutTargetInfo(),
		otelprom.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes), otelprom.WithoutScopeInfo())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_795_350_000, 0)
	all, err := instruments.Register(metric.NewMeterProvider(metric.WithReader(exporter)).Meter("test"),
		instruments.Options{
			Newest: func() *instruments.Snapshot { return snapshot(now) }, Now: func() time.Time { return now },
			Settings: func() instruments.Settings {
				return instruments.Settings{StaleAfter: time.Minute, Loaded: now}
			},
			Stages: true, Steps: true, Events: true, QueueLabels: []string{"NAME"},
		})
	if err != nil {
		t.Fatal(err)
	}
	began, ended := now.Add(-time.Minute), now
	all.Finished(instruments.FinishedBuild{
		Repository: "octocat/hello", Status: "failure", Event: "push", ErrorType: "step",
		Created: began, Started: began, Finished: ended,
		Stages: []instruments.FinishedStage{{
			Name: "default", OS: "linux", Arch: "amd64", Status: "failure", Created: began, Started: began, Stopped: ended,
			Steps: []instruments.FinishedStep{{Name: "test", Status: "failure", Started: began, Stopped: ended}},
		}},
	})
	all.RequestFailed("timeout")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.MetricFamily{}
	for _, family := range families {
		byName[family.GetName()] = family
	}
	return byName
}

// snapshot knows something of everything.
func snapshot(now time.Time) *instruments.Snapshot {
	one := instruments.Known(1)
	return &instruments.Snapshot{
		Up: true, Fresh: now, Server: &instruments.Server{Version: "2.25.0", Edition: "community"},
		BuildCount: one, UserCount: one, RepoCount: one, PendingBuilds: one, RunningBuilds: one, PendingJobs: one,
		RunningJobs: one, BusyWorkers: one, Repositories: &instruments.Repositories{},
		Oldest: &instruments.Oldest{}, Repos: []instruments.Repo{
			{Name: "octocat/hello", Pending: one, Running: one, Last: &instruments.LastBuild{Finished: now}},
		},
		Queue: []instruments.Platform{{OS: "linux", Arch: "amd64", Type: "docker", Labels: []string{"yes"}}},
	}
}

// TestNamesTypesLabels holds what the exporter makes of the instruments against what METRICS.md says.
func TestNamesTypesLabels(t *testing.T) {
	families := scrape(t)
	types := map[instruments.Kind]dto.MetricType{
		instruments.Gauge: dto.MetricType_GAUGE, instruments.UpDownCounter: dto.MetricType_GAUGE,
		instruments.Counter: dto.MetricType_COUNTER, instruments.Histogram: dto.MetricType_HISTOGRAM,
	}
	for _, in := range instruments.Catalog() {
		name, err := prometheusName(in)
		if err != nil {
			t.Fatal(err)
		}
		family := families[name]
		delete(families, name)
		if family == nil {
			t.Errorf("%s is not scraped", name)
			continue
		}
		if family.GetType() != types[in.Kind] || family.GetHelp() != in.Description {
			t.Errorf("%s is a %s with the help %q", name, family.GetType(), family.GetHelp())
		}
		if !strings.Contains(in.Example, name) {
			t.Errorf("the example of %s does not use it: %s", name, in.Example)
		}
		got := map[string]bool{}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				got[label.GetName()] = true
			}
		}
		want := map[string]bool{}
		for _, key := range in.Attributes {
			want[strings.ReplaceAll(string(key), ".", "_")] = true
		}
		for _, optional := range in.Optional {
			want[strings.ReplaceAll(string(optional.Key), ".", "_")] = true
		}
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("the labels of %s (-declared +scraped):\n%s", name, diff)
		}
	}
	for name := range families {
		t.Errorf("%s is scraped and not in the catalogue", name)
	}
}

func sorted(set map[string]bool) []string {
	var out []string
	for key := range set {
		out = append(out, key)
	}
	sort.Strings(out)
	return out
}

// TestPromlint allows the one thing that the names of Drone and of the conventions do: a gauge that ends in _count.
func TestPromlint(t *testing.T) {
	var families []*dto.MetricFamily
	for _, family := range scrape(t) {
		families = append(families, family)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Metric)
	}
	sort.Strings(got)
	want := []string{"cicd_worker_count", "drone_build_count", "drone_repo_count", "drone_user_count"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("promlint complains about others (-want +got):\n%s\n%v", diff, problems)
	}
}
