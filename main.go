// Command drone-otel-agent makes Drone CI visible: it polls a Drone server's API, serves what it sees to
// Prometheus and pushes it to an OpenTelemetry Collector.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/common/version"
	// Mozilla's authorities, for where the system has none, as in the container's image.
	_ "golang.org/x/crypto/x509roots/fallback"

	"drone-otel-agent/agent"
)

const program = "drone-otel-agent"

// Exit codes.
const (
	exitOK      = 0 // stopped as asked
	exitFailed  = 1 // failed while running
	exitUsage   = 2 // bad usage or configuration
	exitRefused = 3 // check, once: Drone refused the token
)

func main() {
	noCore()
	// Between two polls there is little to do, and much to throw away after one: collecting garbage more often costs
	// little processor time and saves a third of the memory. GOGC in the environment wins.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	// A first signal stops in order; a second one, no longer caught, stops at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	line, err := parse(args, stdout)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\nSee %s --help.\n", program, err, program)
		return exitUsage
	}
	if line.answered {
		return exitOK
	}
	if line.command == "healthcheck" {
		return exitCode(agent.Healthcheck(ctx, line.configFile, os.LookupEnv, line.listen), stderr)
	}
	log, stderr := newLogger(line, stderr)
	load := func() (*agent.Config, error) { return agent.LoadConfig(line.configFile, os.LookupEnv) }
	config, err := load()
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitUsage
	}
	opts := agent.Options{
		Config: config, Reload: load, ListenAddresses: line.listen, WebConfigFile: line.webConfig,
		SystemdSocket: line.systemdSocket || socketsPassed(), Version: version.Version, Logger: log,
	}
	switch {
	case line.offline:
		agent.CheckOffline(opts, stdout)
	case line.command == "check":
		err = agent.Check(ctx, opts, stdout)
	case line.builds:
		err = agent.Builds(ctx, opts, stdout)
	case line.command == "once":
		err = agent.Once(ctx, opts, stdout)
	default:
		err = serve(ctx, opts)
	}
	return exitCode(err, stderr)
}

// serve runs the agent as a service until the context ends.
func serve(ctx context.Context, opts agent.Options) error {
	opts.Logger.Info("starting", "version", version.Info(), "build", version.BuildContext())
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	opts.Reloads, opts.Service = hangups, serviceManager(opts.Logger)
	err := agent.Run(ctx, opts)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func exitCode(err error, stderr io.Writer) int {
	var (
		usage   *agent.UsageError
		refused *agent.RefusedError
	)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "%s: %v\n", program, err)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refused):
		return exitRefused
	}
	return exitFailed
}
