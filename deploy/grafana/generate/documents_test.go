package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The keys of Grafana's provisioning files that the examples use.
type (
	dashboardProviders struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name                  string
			Type                  string
			Folder                string
			AllowUIUpdates        bool `yaml:"allowUiUpdates"`
			UpdateIntervalSeconds int  `yaml:"updateIntervalSeconds"`
			Options               struct{ Path string }
		}
	}
	datasourceList struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, Type, Access, URL string
			JSONData                struct {
				HTTPMethod   string `yaml:"httpMethod"`
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		}
	}
)

// read decodes a file and refuses keys that are not in the type.
func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = text.Close() }()
	decoder := yaml.NewDecoder(text)
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
}

// Grafana finds the dashboards where the documentation puts them.
func TestProvisioning(t *testing.T) {
	var providers dashboardProviders
	read(t, "../provisioning/dashboards/drone-otel-agent.yaml", &providers)
	if providers.APIVersion != 1 || len(providers.Providers) != 1 || providers.Providers[0].Type != "file" {
		t.Fatalf("the providers are %+v, want one of files", providers)
	}
	folder := providers.Providers[0].Options.Path
	if !strings.Contains(manual(t), "install -m 644 deploy/grafana/*.json "+folder+"/\n") {
		t.Errorf("docs/dashboards.md does not put the dashboards into %s", folder)
	}
	var sources datasourceList
	read(t, "../provisioning/datasources/prometheus.yaml", &sources)
	if sources.APIVersion != 1 || len(sources.Datasources) != 1 || sources.Datasources[0].Type != fromPrometheus().Type {
		t.Errorf("the data sources are %+v, want one Prometheus", sources)
	}
}

// The manual knows every dashboard and every variable by name, and leads to files that are there.
func TestManual(t *testing.T) {
	text := manual(t)
	for _, b := range boards() {
		for _, word := range []string{"(../deploy/grafana/" + b.file + ")", b.title} {
			if !strings.Contains(text, word) {
				t.Errorf("docs/dashboards.md does not mention %s", word)
			}
		}
		for _, v := range b.variables {
			if !strings.Contains(text, "\n- **"+v.Label+"**: ") {
				t.Errorf("docs/dashboards.md does not explain %s", v.Label)
			}
		}
	}
	for _, part := range strings.Split(text, "](")[1:] {
		target, _, _ := strings.Cut(part, ")")
		if _, err := os.Stat(filepath.Join("../../../docs", target)); err != nil {
			t.Errorf("docs/dashboards.md leads to %s: %v", target, err)
		}
	}
}

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
