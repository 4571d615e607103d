package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
)

// Options are what the command line says, beside the configuration.
type Options struct {
	Config *Config
	// Reload reads the configuration anew; nil is that it cannot change.
	Reload func() (*Config, error)
	// Reloads asks for a reload with each value; nil is nobody.
	Reloads <-chan os.Signal
	// Service is the service manager.
	Service Service
	// ListenAddresses replace prometheus.listen_address where there are any.
	ListenAddresses []string
	// WebConfigFile is exporter-toolkit's web configuration, for TLS.
	WebConfigFile string
	// SystemdSocket takes the sockets that systemd hands over instead of listening.
	SystemdSocket bool
	// Version is the agent's own.
	Version string
	Logger  *slog.Logger
	// Published is called after every poll with what is known then; nil is nobody.
	Published func(*instruments.Snapshot)
	// Listening is called once with the addresses that are listened on; nil is nobody.
	Listening func(addresses []string)
}

// How long the end may take: first scrapes that run are let finish, then the last values are pushed.
const (
	serverShutdown = 5 * time.Second
	pushShutdown   = 5 * time.Second
)

// guardTimeout bounds a question to Drone about somebody else's token.
const guardTimeout = 10 * time.Second

// UsageError is a mistake in what the operator gave, found when it was put to use.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// agent is everything that runs.
type agent struct {
	opts Options
	// config is the one in force. reloading is held to change it, and client and settings with it.
	config    *Config
	reloading sync.Mutex
	client    atomic.Pointer[droneapi.Client]
	settings  atomic.Pointer[instruments.Settings]

	poller   *poller
	provider *exporters.Provider
	guard    *exporters.SwitchGuard
	server   *exporters.Server
	service  *service
	board    *board
	// told are the instruments that want to be told; nil before register.
	told *instruments.Instruments
}

// requestFailed counts a failed request, where it is a failure: that the community edition has no queue is none,
// nor what Drone says of a stranger's token.
func (a *agent) requestFailed(err error) {
	var status *droneapi.HTTPError
	expected := errors.As(err, &status) && (status.Missing() || status.Path == droneapi.UserPath)
	if expected || errors.Is(err, context.Canceled) {
		return
	}
	if a.told != nil {
		a.told.RequestFailed(failureType(err))
	}
}

// Run runs the agent until the context ends, and returns nil then. Drone being away is no error: the agent
// waits for it. A [*UsageError] says what cannot be done as configured; any other error is why it failed
// while running.
func Run(ctx context.Context, opts Options) error {
	a, err := assemble(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { a.client.Load().Close() }()
	if err := a.server.Listen(); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			return err // another process may let go of it, an interface may come up: trying again helps
		}
		return &UsageError{err} // nothing ran yet, so there is nothing to push either
	}
	var addresses []string
	for _, addr := range a.server.Addrs() {
		addresses = append(addresses, addr.String())
		opts.Logger.Info("listening", "address", addr.String(), "metrics", opts.Config.metricsPath,
			"auth", opts.Config.auth.mode)
	}
	if opts.SystemdSocket && len(opts.ListenAddresses) > 0 {
		opts.Logger.Warn("systemd's sockets are listened on, and not the addresses of --web.listen-address",
			"not", strings.Join(opts.ListenAddresses, " "))
	}
	if opts.Listening != nil {
		opts.Listening(addresses)
	}
	return a.run(ctx)
}

// run starts everything and stops it in order: no more polls, no new scrapes, the last push.
func (a *agent) run(ctx context.Context) error {
	polling, stopPolling := context.WithCancel(ctx)
	defer stopPolling()
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		a.poller.run(polling)
	}()
	// Scrapes outlive the signal, for as long as the shutdown lets them.
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(context.WithoutCancel(ctx)) }()

	failure := a.attend(ctx, served)
	a.service.stopping()
	stopPolling()
	<-polled
	a.poller.state.close()
	after := context.WithoutCancel(ctx)
	closing, cancel := context.WithTimeout(after, serverShutdown)
	defer cancel()
	if err := a.server.Shutdown(closing); err != nil {
		a.opts.Logger.Warn("scrapes were cut short", "error", err)
	}
	pushing, cancelPush := context.WithTimeout(after, pushShutdown)
	defer cancelPush()
	if err := a.provider.Shutdown(pushing); err != nil {
		a.opts.Logger.Warn("the last values were not pushed", "error", err)
	}
	a.opts.Logger.Info("stopped")
	return failure
}

// attend does what comes up while the agent runs, until the context ends or the server does, and returns why it did.
func (a *agent) attend(ctx context.Context, served <-chan error) error {
	patience := time.NewTimer(readyPatience)
	defer patience.Stop()
	status := time.NewTicker(statusInterval)
	defer status.Stop()
	polled := a.poller.polled
	for {
		select {
		case <-ctx.Done():
			a.opts.Logger.Info("stopping")
			return nil
		case err := <-served:
			return err
		case <-polled:
			polled = nil
			a.service.nowReady()
		case <-patience.C:
			a.service.nowReady()
		case <-status.C:
			a.service.tellStatus()
		case <-a.opts.Reloads:
			_, _ = a.reload(ctx) // it is in the log
		}
	}
}

func assemble(ctx context.Context, opts Options) (*agent, error) {
	cfg := opts.Config
	a := &agent{
		opts: opts, config: cfg, service: newService(opts.Service, opts.Logger),
	}
	a.service.spare(cfg.drone.Timeout)
	a.settings.Store(cfg.inForce(time.Now()))
	a.board = newBoard(time.Now, a.currentSettings, cfg.watch.Interval)
	var err error
	if a.provider, err = newProvider(ctx, cfg, &cfg.otlp, opts); err != nil {
		return nil, &UsageError{err}
	}
	client, err := newClient(cfg, opts, a.observation())
	if err != nil {
		return nil, &UsageError{err}
	}
	a.client.Store(client)
	a.poller = newPoller(cfg, client, opts)
	a.poller.service, a.poller.board = a.service, a.board
	a.poller.state = openState(cfg.statePath, cfg.Server(), opts.Logger)
	warnOpen(cfg, opts.Logger)
	a.poller.state.load(a.poller.watcher)
	a.poller.hold = a.poller.watcher.restored
	if err := a.register(); err != nil { //nolint:contextcheck // what is recorded later has no context
		return nil, err
	}
	guard, err := a.newGuard(cfg)
	if err != nil {
		return nil, &UsageError{err}
	}
	a.guard = exporters.NewSwitchGuard(guard)
	if a.server, err = a.newServer(cfg); err != nil {
		return nil, &UsageError{err}
	}
	return a, nil
}

func (a *agent) register() error {
	metrics := a.opts.Config.metrics
	told, err := instruments.Register(a.provider.Meter("drone-otel-agent"), instruments.Options{
		Newest: a.poller.newest.Load, Settings: a.currentSettings, Now: time.Now,
		Buckets: metrics.Buckets, Stages: metrics.Stages, Steps: metrics.Steps, Events: metrics.Events,
		QueueLabels: metrics.QueueLabels,
	})
	if err != nil {
		return err
	}
	a.poller.finished, a.told = told.Finished, told
	return nil
}
