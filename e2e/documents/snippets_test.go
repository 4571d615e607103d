package documents

import (
	"log/slog"
	"testing"

	"github.com/prometheus/prometheus/config"
	"go.yaml.in/yaml/v3"
)

// Every configuration that the documents show is YAML, and Prometheus loads its own. A test of agent/gendoc has the
// agent load the agent's.
func TestConfigurationsLoad(t *testing.T) {
	t.Parallel()
	loaded := 0
	for _, page := range Read(t, root) {
		for _, block := range page.Configurations {
			var keys map[string]any
			err := yaml.Unmarshal([]byte(block.Text), &keys)
			for _, key := range []string{"global", "scrape_configs", "remote_write"} {
				if _, its := keys[key]; err == nil && its {
					loaded++
					_, err = config.Load(block.Text, slog.New(slog.DiscardHandler))
				}
			}
			if err != nil {
				t.Errorf("%s:%d: %v", page.Name, block.Line, err)
			}
		}
	}
	if loaded < 4 {
		t.Errorf("only %d configurations of Prometheus were found", loaded)
	}
}
