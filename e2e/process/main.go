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

// Main is what a package's TestMain exits with: it builds the agent of the module in source, puts the path to it into
// binary, and runs the tests, so many at a time where parallel is not 0 and the command line has no -parallel. Tests
// that wait for clocks far more than they compute take more than there are processors.
func Main(m *testing.M, source string, binary *string, parallel int) (code int) {
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
	flag.Parse()
	const name = "test.parallel"
	if parallel > 0 && flag.Lookup(name).Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := flag.Set(name, strconv.Itoa(parallel)); err != nil {
			return fail(err)
		}
	}
	return m.Run()
}
