package dashboards

import (
	"os"
	"testing"

	"drone-otel-agent/e2e/process"
)

// binary is the agent, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(process.Main(m, "../..", &binary, 0)) }
