package examples

import (
	"context"
	"fmt"
	"os"
	"testing"

	"drone-otel-agent/e2e/process"
)

// The programs, built once for all tests.
var agent, prometheus, otelcol string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	folder, err := os.MkdirTemp("", "drone-otel-agent-examples-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		err = build(context.Background(), folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(ctx context.Context, folder string) (err error) {
	if agent, err = process.Build(ctx, "../..", folder); err != nil {
		return err
	}
	otelcol, err = process.BuildTool(ctx, "..", folder, "drone-otel-agent/e2e/collector/otelcol")
	if err != nil {
		return err
	}
	prometheus, err = process.BuildTool(ctx, "../../tools/promtool", folder,
		"github.com/prometheus/prometheus/cmd/prometheus", "-tags=remove_all_sd")
	return err
}
