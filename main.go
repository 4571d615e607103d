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
	"slices"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"

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
	line.log.Writer = stderr
	config, err := agent.LoadConfig(line.configFile, os.LookupEnv)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitUsage
	}
	opts := agent.Options{
		Config: config, ListenAddresses: line.listen, WebConfigFile: line.webConfig,
		SystemdSocket: line.systemdSocket, Version: version.Version, Logger: promslog.New(&line.log),
	}
	switch line.command {
	case "check":
		err = agent.Check(ctx, opts, stdout)
	case "once":
		once := agent.Once
		if line.builds {
			once = agent.Builds
		}
		err = once(ctx, opts, stdout)
	default:
		opts.Logger.Info("starting", "version", version.Info(), "build", version.BuildContext())
		err = agent.Run(ctx, opts)
	}
	if line.command == "run" && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitOK
	}
	return exitCode(err, stderr)
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

// commandLine is what the arguments say.
type commandLine struct {
	command       string
	configFile    string
	listen        []string
	webConfig     string
	systemdSocket bool
	builds        bool
	log           promslog.Config
	// answered tells that the arguments asked for help or the version, and have got it.
	answered bool
}

func parse(args []string, stdout io.Writer) (*commandLine, error) {
	line := &commandLine{}
	var named, web bool
	app := kingpin.New(program, "Makes Drone CI visible: polls a Drone server's API with a machine user's token, "+
		"serves what it sees to Prometheus and pushes it to an OpenTelemetry Collector.")
	app.UsageTemplate(kingpin.LongHelpTemplate)
	app.UsageWriter(stdout).ErrorWriter(stdout).Terminate(func(int) { line.answered = true })
	app.Version(version.Print(program))
	app.HelpFlag.Short('h')
	app.Flag("config.file", "Configuration file; without one the built-in defaults and the environment hold: "+
		"DRONE_SERVER and DRONE_TOKEN are enough.").IsSetByUser(&named).StringVar(&line.configFile)
	promslogflag.AddFlags(app, &line.log)
	run := app.Command("run", "Poll, serve and push until stopped.").Default()
	run.Flag("web.listen-address", "Address to listen on, host:port; may be given more than once. It wins over "+
		"prometheus.listen_address.").StringsVar(&line.listen)
	run.Flag("web.config.file", "File that turns on TLS and more, see exporter-toolkit's web-configuration.").
		IsSetByUser(&web).StringVar(&line.webConfig)
	run.Flag("web.systemd-socket", "Take the sockets of systemd's socket activation instead of listening.").
		BoolVar(&line.systemdSocket)
	app.Command("check", "Check the configuration, the token, its rights and the Collector, and say what to mend.")
	once := app.Command("once", "Print one full census in the Prometheus text format.")
	once.Flag("builds", "Print instead the builds that would be told if the agent were started now: those that ended "+
		"since its state was written. Nothing is changed.").BoolVar(&line.builds)
	command, err := app.Parse(args)
	if line.answered {
		return line, nil
	}
	line.command = command
	// An empty value, as of a variable that is not set, would pass for a flag that is not given; kingpin lets it
	// through, and a last flag without its value too.
	if err == nil && (named && line.configFile == "" || web && line.webConfig == "" || slices.Contains(line.listen, "")) {
		err = errors.New("--config.file, --web.config.file and --web.listen-address need a value")
	}
	return line, err
}
