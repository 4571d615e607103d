package deploy

import (
	"os"
	"testing"

	"drone-otel-agent/e2e/process"
)

// binary is the agent and otelcol the Collector, built once for all tests.
var binary, otelcol string

func TestMain(m *testing.M) {
	os.Exit(process.Main(m, "../..", &binary, 0, process.Collector("..", &otelcol)))
}
