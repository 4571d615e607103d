package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"drone-otel-agent/e2e/process"
)

// lastingVariable says how long each fault lasts, as 10s; for who works on the tests. The checks need more than
// staleAfter.
const lastingVariable = "FAULTS_FOR"

// binary is the agent, built once for all tests, and lasting is how long each fault lasts.
var (
	binary  string
	lasting = time.Minute
)

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if said := os.Getenv(lastingVariable); said != "" {
		var err error
		if lasting, err = time.ParseDuration(said); err != nil {
			return fail(fmt.Errorf("reading %s: %w", lastingVariable, err))
		}
	}
	folder, err := os.MkdirTemp("", "drone-otel-agent-faults-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if binary, err = process.Build(context.Background(), "../..", folder); err != nil {
		return fail(err)
	}
	// Everything at once, unless the command line has another -parallel.
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := flag.Set("test.parallel", "64"); err != nil {
			return fail(err)
		}
	}
	toxics.Register("forgotten", new(forgotten))
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics log to a logger that nobody hands them
	return m.Run()
}
