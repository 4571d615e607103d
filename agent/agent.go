package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace/noop"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
	"drone-otel-agent/internal/secret"
)

// Options are what the command line says, beside the configuration.
type Options struct {
	Config *Config
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
	opts     Options
	client   *droneapi.Client
	poller   *poller
	provider *exporters.Provider
	server   *exporters.Server
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
	defer a.client.Close()
	if err := a.server.Listen(); err != nil {
		return &UsageError{err} // nothing ran yet, so there is nothing to push either
	}
	var addresses []string
	for _, addr := range a.server.Addrs() {
		addresses = append(addresses, addr.String())
		opts.Logger.Info("listening", "address", addr.String(), "metrics", opts.Config.metricsPath,
			"auth", opts.Config.auth.mode)
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

	var failure error
	select {
	case <-ctx.Done():
		a.opts.Logger.Info("stopping")
	case failure = <-served:
	}
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

func assemble(ctx context.Context, opts Options) (*agent, error) {
	cfg := opts.Config
	a := &agent{opts: opts}
	var err error
	if a.provider, err = newProvider(ctx, cfg, &cfg.otlp, opts); err != nil {
		return nil, &UsageError{err}
	}
	observed := observation{provider: a.provider, failed: a.requestFailed}
	if a.client, err = newClient(cfg, opts, observed); err != nil {
		return nil, &UsageError{err}
	}
	a.poller = newPoller(cfg, a.client, opts)
	a.poller.state = openState(cfg.statePath, cfg.Server(), opts.Logger)
	a.poller.state.load(a.poller.watcher)
	a.poller.hold = a.poller.watcher.restored
	if err := a.register(); err != nil { //nolint:contextcheck // what is recorded later has no context
		return nil, err
	}
	guard, err := newGuard(cfg, a.client, opts.Logger)
	if err != nil {
		return nil, &UsageError{err}
	}
	addresses := opts.ListenAddresses
	if len(addresses) == 0 {
		addresses = []string{cfg.listen}
	}
	a.server, err = exporters.NewServer(exporters.ServerConfig{
		Addresses: addresses, SystemdSocket: opts.SystemdSocket, WebConfigFile: opts.WebConfigFile,
		MetricsPath: cfg.metricsPath, Metrics: a.provider.Handler(), Guard: guard,
		Ready:   func() bool { return a.poller.newest.Load() != nil },
		Version: opts.Version, Logger: opts.Logger,
	})
	if err != nil {
		return nil, &UsageError{err}
	}
	return a, nil
}

func (a *agent) register() error {
	metrics := a.opts.Config.metrics
	told, err := instruments.Register(a.provider.Meter("drone-otel-agent"), instruments.Options{
		Newest: a.poller.newest.Load, StaleAfter: a.opts.Config.staleAfter, Now: time.Now,
		Buckets: metrics.Buckets, Stages: metrics.Stages, Steps: metrics.Steps, Events: metrics.Events,
		QueueLabels: metrics.QueueLabels,
	})
	if err != nil {
		return err
	}
	a.poller.finished, a.told = told.Finished, told
	return nil
}

// observation is how the agent's own requests are measured; the zero value measures nothing.
type observation struct {
	provider *exporters.Provider
	failed   func(error)
}

func newClient(cfg *Config, opts Options, observed observation) (*droneapi.Client, error) {
	drone := cfg.drone
	drone.UserAgent = "drone-otel-agent/" + opts.Version
	drone.Logger = opts.Logger
	drone.Failed = observed.failed
	if observed.provider != nil {
		drone.Around = func(network http.RoundTripper) http.RoundTripper {
			return labelled{network, otelhttp.NewTransport(network,
				otelhttp.WithMeterProvider(observed.provider.MeterProvider()),
				otelhttp.WithTracerProvider(noop.NewTracerProvider()),
				otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()), // no headers of its own
			)}
		}
	}
	client, err := droneapi.New(drone)
	if err != nil {
		return nil, fmt.Errorf("making the client for drone: %w", err)
	}
	return client, nil
}

func newProvider(ctx context.Context, cfg *Config, otlp *exporters.OTLPConfig, opts Options,
) (*exporters.Provider, error) {
	// The SDK has no other way to say what goes wrong inside it than these two globals.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		opts.Logger.Warn("opentelemetry", "error", err)
	}))
	return exporters.NewProvider(ctx, exporters.ProviderConfig{
		Version: opts.Version, Identity: cfg.Server(), OTLP: otlp, Logger: opts.Logger,
		// The instruments bound their series themselves (metrics.repositories.limit and the like); the SDK would
		// merge what is beyond its limit without a word.
		CardinalityLimit: -1, ExponentialHistograms: cfg.metrics.Histogram == histogramExponential,
	})
}

func newPoller(cfg *Config, client *droneapi.Client, opts Options) *poller {
	return &poller{
		watcher: newWatcher(client, cfg.watch, time.Now, opts.Logger), interval: cfg.watch.Interval,
		now: time.Now, log: opts.Logger, published: opts.Published,
	}
}

// newGuard makes who decides about a scrape.
func newGuard(cfg *Config, client *droneapi.Client, log *slog.Logger) (exporters.Guard, error) {
	switch cfg.auth.mode {
	case authNone:
		log.Warn("anyone may read the metrics: prometheus.auth.mode is none")
		return exporters.OpenGuard(), nil
	case authToken:
		return exporters.NewTokenGuard(cfg.auth.sources, cfg.auth.digests, log)
	}
	return exporters.NewDroneGuard(askDrone(client), exporters.DroneGuardOptions{
		StaleGood: 10 * cfg.staleAfter, AskTimeout: guardTimeout, Logger: log,
	})
}

// askDrone asks Drone whose token it is, and lets in whom Drone lets read its own metrics.
func askDrone(client *droneapi.Client) exporters.AskFunc {
	return func(ctx context.Context, token secret.Text) (exporters.Decision, error) {
		user, err := client.UserOf(ctx, token)
		var status *droneapi.HTTPError
		switch {
		case errors.As(err, &status) && status.Status == http.StatusUnauthorized:
			return exporters.Unknown, nil
		case err != nil:
			return exporters.Unknown, err
		case user.Admin || user.Machine:
			return exporters.Allowed, nil
		}
		return exporters.Forbidden, nil
	}
}

// labelled gives otelhttp the template of each request's URL.
type labelled struct{ network, next http.RoundTripper }

// CloseIdleConnections reaches the network, past otelhttp, which does not pass it on.
func (l labelled) CloseIdleConnections() {
	if network, can := l.network.(interface{ CloseIdleConnections() }); can {
		network.CloseIdleConnections()
	}
}

func (l labelled) RoundTrip(req *http.Request) (*http.Response, error) {
	labeler := &otelhttp.Labeler{}
	labeler.Add(semconv.URLTemplate(droneapi.URLTemplate(req)))
	return l.next.RoundTrip(req.WithContext(otelhttp.ContextWithLabeler(req.Context(), labeler)))
}

// plainHTTP tells whether the token crosses a network unprotected.
func plainHTTP(server *url.URL) bool {
	switch server.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return false
	}
	return server.Scheme == "http"
}
