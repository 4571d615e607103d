package deploy

import (
	"context"
	"fmt"
	"os"
	"testing"

	"drone-otel-agent/e2e/process"
)

// binary is the agent and otelcol the Collector, built once for all tests.
var binary, otelcol string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	folder, err := os.MkdirTemp("", "drone-otel-agent-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary, err = process.Build(context.Background(), "../..", folder)
	if err == nil {
		otelcol, err = process.BuildTool(context.Background(), "..", folder, "drone-otel-agent/e2e/collector/otelcol")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
