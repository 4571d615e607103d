package main

import (
	"errors"
	"io"
	"slices"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
)

// commandLine is what the arguments say.
type commandLine struct {
	command       string
	configFile    string
	listen        []string
	webConfig     string
	systemdSocket bool
	builds        bool
	offline       bool
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
		"DRONE_SERVER and DRONE_TOKEN are enough.").PlaceHolder("FILE").IsSetByUser(&named).StringVar(&line.configFile)
	promslogflag.AddFlags(app, &line.log)
	run := app.Command("run", "Poll, serve and push until stopped.").Default()
	run.Flag("web.listen-address", "Address to listen on, host:port; may be given more than once. It wins over "+
		"prometheus.listen_address.").PlaceHolder("ADDRESS").StringsVar(&line.listen)
	run.Flag("web.config.file", "File that turns on TLS and more, see exporter-toolkit's web-configuration.").
		PlaceHolder("FILE").IsSetByUser(&web).StringVar(&line.webConfig)
	run.Flag("web.systemd-socket", "Take the sockets of systemd's socket activation instead of listening. They are taken "+
		"without it, too, where there are any; with it their absence is a mistake.").
		BoolVar(&line.systemdSocket)
	check := app.Command("check", "Check the configuration, the token, its rights and the Collector, and say what to "+
		"mend.")
	check.Flag("offline", "Check the configuration alone, and ask nobody.").BoolVar(&line.offline)
	once := app.Command("once", "Print one full census in the Prometheus text format.")
	once.Flag("builds", "Print instead the builds that would be told if the agent were started now: those that ended "+
		"since its state was written. Nothing is changed.").BoolVar(&line.builds)
	healthcheck := app.Command("healthcheck", "Ask the agent that runs in the same container whether it is well: exit "+
		"code 0, or 1 and why it is not.")
	healthcheck.Flag("web.listen-address", "Where it listens, as given to run; without, what the configuration says.").
		PlaceHolder("ADDRESS").StringsVar(&line.listen)
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
