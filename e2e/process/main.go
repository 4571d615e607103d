package process

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// Tool is a program that runs beside the agent: where the path to it goes, the module and the package that it is built
// of, and flags for go build.
type Tool struct {
	Into            *string
	Source, Package string
	Flags           []string
}

// Collector is the OpenTelemetry Collector, a package of the module e2e, which is in source.
func Collector(source string, into *string) Tool {
	return Tool{Into: into, Source: source, Package: "drone-otel-agent/e2e/collector/otelcol"}
}

// Main is what a package's TestMain exits with: it builds the agent of the module in source, puts the path to it into
// binary, does the same for the tools, and runs the tests, so many at a time where parallel is not 0 and the command
// line has no -parallel. Tests that wait for clocks far more than they compute take more than there are processors.
func Main(m *testing.M, source string, binary *string, parallel int, tools ...Tool) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	folder, err := os.MkdirTemp("", "drone-otel-agent-e2e-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if *binary, err = Build(context.Background(), source, folder); err != nil {
		return fail(err)
	}
	for _, tool := range tools {
		if *tool.Into, err = buildTool(context.Background(), folder, tool); err != nil {
			return fail(err)
		}
	}
	flag.Parse()
	const name = "test.parallel"
	if parallel > 0 && flag.Lookup(name).Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := flag.Set(name, strconv.Itoa(parallel)); err != nil {
			return fail(err)
		}
	}
	return m.Run()
}
