// Command demo runs the agent beside a simulated busy Drone server, in one process: go run ./demo.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"drone-otel-agent/agent"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

// How the demo goes about it.
const (
	// past is how much of the simulated server's life lies behind it when the demo starts.
	past = 2 * time.Hour
	// stride is the simulated time between two steps of that past, and the real time between two steps from
	// then on.
	stride = time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	edition := flags.String("edition", "enterprise", "of the simulated Drone server: enterprise or community")
	listen := flags.String("listen", "127.0.0.1:9464", "address of the agent's Prometheus endpoint")
	interval := flags.Duration("interval", 5*time.Second, "between two polls")
	auth := flags.String("auth", "none", "who may look: none asks nobody for a token, drone wants one that Drone knows")
	otlp := flags.String("otlp", "", "a Collector to push to, as http://127.0.0.1:4317")
	browser := flags.Bool("browser", true, "open the status page in a browser where there is a desktop")
	if err := flags.Parse(args); err != nil {
		return err
	}
	drone, err := newDrone(*edition)
	if err != nil {
		return err
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: drone.server, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(server) }()
	defer func() { _ = web.Close() }()

	config, err := agent.ParseConfig("the demo's configuration", fmt.Sprintf(`
drone: {server: "http://%s", token: %q}
poll: {interval: %s, stale_after: 1m}
prometheus: {listen_address: %q, auth: {mode: %s}}
otlp: {endpoint: %q, interval: 10s}
`, server.Addr(), dronetest.DefaultToken, *interval, *listen, *auth, *otlp))
	if err != nil {
		return err
	}
	simulating, stop := context.WithCancel(ctx)
	defer stop()
	go drone.run(simulating)
	return agent.Run(ctx, agent.Options{
		Config: config, Version: "demo",
		Logger: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Listening: func(addresses []string) {
			_, _ = fmt.Fprintf(out, "A simulated Drone server, %s edition, is at http://%s\n", *edition, server.Addr())
			_, _ = fmt.Fprintf(out, "The status page is at http://%s/\n", addresses[0])
			if *auth != "none" {
				_, _ = fmt.Fprintf(out, "It wants a token: %s\n", dronetest.DefaultToken)
			}
			_, _ = fmt.Fprintln(out, "The agent serves its metrics:")
			_, _ = fmt.Fprintf(out, "\n  curl -H 'Authorization: Bearer %s' http://%s/metrics\n\n",
				dronetest.DefaultToken, addresses[0])
			_, _ = fmt.Fprintln(out, "A line for every poll; Ctrl-C ends it.")
			if *browser {
				openBrowser(ctx, "http://"+addresses[0]+"/")
			}
		},
		Published: func(s *instruments.Snapshot) { printFigures(out, s) },
	})
}

// openBrowser opens a page for somebody who sits at a desktop. Elsewhere, and where there is no way to, nothing
// happens.
func openBrowser(ctx context.Context, page string) {
	desktop := os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		desktop, opener = true, "open"
	}
	if !desktop {
		return
	}
	//nolint:gosec // one of two names, and the agent's own address
	opening := exec.CommandContext(context.WithoutCancel(ctx), opener, page)
	if opening.Start() == nil {
		go func() { _ = opening.Wait() }()
	}
}

func printFigures(out io.Writer, s *instruments.Snapshot) {
	line := []string{s.Polled.Format(time.TimeOnly)}
	pairs := agent.Figures(s)
	for i := 0; i+1 < len(pairs); i += 2 {
		line = append(line, fmt.Sprintf("%v=%v", pairs[i], pairs[i+1]))
	}
	_, _ = fmt.Fprintln(out, strings.Join(line, " "))
}

// drone is the simulated server with the clock that it lives by.
type drone struct {
	server    *dronetest.Server
	simulator *dronetest.Simulator
	// behind is how far its clock is behind the real one.
	behind atomic.Int64
}

// newDrone makes a server that has been busy for a while.
func newDrone(edition string) (*drone, error) {
	editions := map[string]dronetest.Edition{"enterprise": dronetest.Enterprise, "community": dronetest.Community}
	which, known := editions[edition]
	if !known {
		return nil, fmt.Errorf("-edition %s: enterprise or community", edition)
	}
	d := &drone{}
	d.behind.Store(int64(past))
	d.server = dronetest.New(which, dronetest.WithClock(func() time.Time {
		return time.Now().Add(-time.Duration(d.behind.Load()))
	}))
	d.simulator = dronetest.NewSimulator(d.server, 1)
	for left := past; left > 0; left -= stride {
		d.behind.Store(int64(left))
		d.simulator.Step()
	}
	d.behind.Store(0)
	return d, nil
}

func (d *drone) run(ctx context.Context) {
	ticker := time.NewTicker(stride)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.simulator.Step()
		}
	}
}
