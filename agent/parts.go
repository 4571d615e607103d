package agent

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
	"drone-otel-agent/internal/secret"
	"drone-otel-agent/statuspage"
)

// observation is how the agent's own requests are measured; the zero value measures nothing.
type observation struct {
	provider *exporters.Provider
	failed   func(error)
}

// observation of everything that the agent asks.
func (a *agent) observation() observation {
	return observation{provider: a.provider, failed: a.requestFailed}
}

func newClient(cfg *Config, opts Options, observed observation) (*droneapi.Client, error) {
	drone := cfg.drone
	drone.UserAgent = "drone-otel-agent/" + opts.Version
	drone.Logger = opts.Logger
	drone.Failed = observed.failed
	if observed.provider != nil {
		drone.Around = observed.provider.ObserveRequests(droneapi.URLTemplate, sawAnswer)
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
		wake: make(chan struct{}, 1), polled: make(chan struct{}),
	}
}

// newServer makes the server of the metrics and of the status page.
func (a *agent) newServer(cfg *Config) (*exporters.Server, error) {
	addresses := a.opts.ListenAddresses
	if len(addresses) == 0 {
		addresses = []string{cfg.listen}
	}
	page, err := statuspage.New(statuspage.Config{
		Source: a.status, Version: a.opts.Version,
		Paths: statuspage.Paths{
			Metrics: cfg.metricsPath, Document: exporters.StatusPath, Logout: exporters.LogoutPath,
			Healthy: exporters.HealthyPath, Ready: exporters.ReadyPath,
		},
	})
	if err != nil {
		return nil, err
	}
	return exporters.NewServer(exporters.ServerConfig{
		Addresses: addresses, SystemdSocket: a.opts.SystemdSocket, WebConfigFile: a.opts.WebConfigFile,
		MetricsPath: cfg.metricsPath, Metrics: a.provider.Handler(), Guard: a.guard,
		Reload: a.reload,
		Ready:  func() bool { return a.poller.newest.Load() != nil },
		Front:  page, Identity: cfg.Server(), Logger: a.opts.Logger,
	})
}

// status is what people and programs are shown. The server and the labels of the queue stay as they were at the start.
func (a *agent) status() statuspage.Status {
	out := a.board.status(a.opts.Config.metrics.QueueLabels)
	out.Agent.Version, out.Drone.Server = a.opts.Version, a.opts.Config.Server()
	out.Push = pushOf(a.provider.PushStatus())
	return out
}

// newGuard makes who decides about a scrape.
func (a *agent) newGuard(cfg *Config) (exporters.Guard, error) {
	log := a.opts.Logger
	switch cfg.auth.mode {
	case authNone:
		log.Warn("anyone may read the metrics: prometheus.auth.mode is none")
		return exporters.OpenGuard(), nil
	case authToken:
		return exporters.NewTokenGuard(cfg.auth.sources, cfg.auth.digests, log)
	}
	return exporters.NewDroneGuard(askDrone(a.client.Load), exporters.DroneGuardOptions{
		StaleGood:  func() time.Duration { return 10 * a.currentSettings().StaleAfter },
		AskTimeout: guardTimeout, Logger: log,
		Familiar: func(token secret.Text) bool { return a.client.Load().OwnToken(token) },
	})
}

// askDrone asks Drone whose token it is, and lets in whom Drone lets read its own metrics.
func askDrone(client func() *droneapi.Client) exporters.AskFunc {
	return func(ctx context.Context, token secret.Text) (exporters.Decision, error) {
		user, err := client().UserOf(ctx, token)
		var status *droneapi.HTTPError
		switch {
		case errors.As(err, &status) && status.Kind() == droneapi.Unauthorized:
			return exporters.Unknown, nil
		case err != nil:
			return exporters.Unknown, err
		case user.Admin || user.Machine:
			return exporters.Allowed, nil
		}
		return exporters.Forbidden, nil
	}
}

// plainHTTP tells whether the token crosses a network unprotected.
func plainHTTP(server *url.URL) bool {
	switch server.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return false
	}
	return server.Scheme == "http"
}
