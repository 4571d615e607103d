package faults

import (
	"fmt"
	"os"
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
	if said := os.Getenv(lastingVariable); said != "" {
		var err error
		if lasting, err = time.ParseDuration(said); err != nil {
			fmt.Fprintf(os.Stderr, "reading %s: %v\n", lastingVariable, err)
			os.Exit(1)
		}
	}
	toxics.Register("forgotten", new(forgotten))
	zerolog.SetGlobalLevel(zerolog.Disabled)       // some toxics log to a logger that nobody hands them
	os.Exit(process.Main(m, "../..", &binary, 64)) // everything at once
}
