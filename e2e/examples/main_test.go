package examples

import (
	"os"
	"testing"

	"drone-otel-agent/e2e/process"
)

// The programs, built once for all tests.
var agent, prometheus, otelcol string

func TestMain(m *testing.M) {
	os.Exit(process.Main(m, "../..", &agent, 0, process.Collector("..", &otelcol), process.Tool{
		Into: &prometheus, Source: "../../tools/promtool",
		Package: "github.com/prometheus/prometheus/cmd/prometheus", Flags: []string{"-tags=remove_all_sd"},
	}))
}
