package agent

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
)

// errNoReload says that there is nothing to read the configuration from.
var errNoReload = errors.New("reading the configuration anew: this agent was started with one that is fixed")

// reload reads the configuration anew and takes it over: all of it, or nothing where there is a mistake in it. What
// the watcher knows stays, scrapes and pushes go on. It returns what waits for a restart, and why nothing was
// taken over.
func (a *agent) reload(ctx context.Context) (waiting []string, err error) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	a.service.reloading()
	waiting, err = a.takeOver(ctx)
	a.service.reloaded(err)
	log := a.opts.Logger
	if err != nil {
		settings := a.currentSettings()
		settings.Refused = true
		a.settings.Store(&settings)
		log.Error("the configuration was not taken over; the one before stays in force", "error", err)
		return nil, err
	}
	log.Info("configuration reloaded")
	if len(waiting) > 0 {
		log.Warn("part of the new configuration waits for a restart of the agent", "keys", strings.Join(waiting, ", "))
	}
	return waiting, nil
}

// takeOver does everything that may fail before it changes anything.
func (a *agent) takeOver(ctx context.Context) (waiting []string, err error) {
	if a.opts.Reload == nil {
		return nil, errNoReload
	}
	next, err := a.opts.Reload()
	if err != nil {
		return nil, err
	}
	waiting = next.keep(a.config, len(a.opts.ListenAddresses) > 0 || a.opts.SystemdSocket)
	if err := exporters.ValidateWebConfig(a.opts.WebConfigFile, next.auth.mode != authNone); err != nil {
		return nil, err
	}
	client, err := newClient(next, a.opts, a.observation())
	if err != nil {
		return nil, err
	}
	guard, err := a.nextGuard(next)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(next.otlp, a.config.otlp) {
		if err := a.provider.SetOTLP(ctx, next.otlp); err != nil {
			return nil, err
		}
	}
	client.Follow(a.client.Load())
	a.client.Store(client)
	if guard != nil {
		a.guard.Set(guard)
	}
	a.service.spare(next.drone.Timeout)
	a.poller.change(client, next.watch)
	a.settings.Store(next.inForce(time.Now()))
	a.config = next
	warnOpen(next, a.opts.Logger)
	return waiting, nil
}

// nextGuard makes the guard of a new configuration; nil is to keep the one there is, with what it remembers of the
// tokens that Drone knows: Drone may be away just now.
func (a *agent) nextGuard(next *Config) (exporters.Guard, error) {
	if next.auth.mode == authDrone && a.config.auth.mode == authDrone {
		return nil, nil
	}
	return a.newGuard(next)
}

// inForce are what the instruments see of a configuration that was read at that time; the zero time is that nobody
// may read it anew.
func (c *Config) inForce(since time.Time) *instruments.Settings {
	return &instruments.Settings{
		StaleAfter: c.staleAfter, RepositoriesLimit: c.watch.Selection.Limit, Loaded: since,
	}
}

// currentSettings are those that the instruments see.
func (a *agent) currentSettings() instruments.Settings { return *a.settings.Load() }

// keep puts back what cannot be changed while the agent runs, and returns the keys of what differed there. addressed
// tells that the address to listen on is not the configuration's.
func (c *Config) keep(old *Config, addressed bool) (waiting []string) {
	note := func(key string, differs bool) {
		if differs {
			waiting = append(waiting, key)
		}
	}
	if c.Server() != old.Server() {
		// A token and certificates are for one server: those of the new one are none of the old one's business.
		c.drone, c.watch.Concurrency = old.drone, old.watch.Concurrency
		waiting = append(waiting, "drone.server (and all of drone with it)")
	}
	note("state.path", c.statePath != old.statePath)
	c.statePath = old.statePath

	repositories := c.metrics.Repositories
	note("metrics.repositories (those that have series of their own keep them)",
		narrower(old.metrics.Repositories, repositories))
	note("metrics.histogram", c.metrics.Histogram != old.metrics.Histogram)
	note("metrics.buckets", !slices.Equal(c.metrics.Buckets, old.metrics.Buckets))
	note("metrics.events", c.metrics.Events != old.metrics.Events)
	note("metrics.stages", c.metrics.Stages != old.metrics.Stages)
	note("metrics.steps", c.metrics.Steps != old.metrics.Steps)
	note("metrics.queue_labels", !slices.Equal(c.metrics.QueueLabels, old.metrics.QueueLabels))
	c.metrics = old.metrics
	c.metrics.Repositories, c.watch.QueueLabels = repositories, old.watch.QueueLabels

	note("prometheus.listen_address", c.listen != old.listen && !addressed)
	c.listen = old.listen
	note("prometheus.path", c.metricsPath != old.metricsPath)
	c.metricsPath = old.metricsPath
	return append(waiting, keepOTLP(&c.otlp, &old.otlp)...)
}

// narrower tells whether fewer repositories may have series of their own.
func narrower(old, next repositoriesFile) bool {
	return next.Limit < old.Limit || !slices.Equal(next.Include, old.Include) || !slices.Equal(next.Exclude, old.Exclude)
}

// keepOTLP does for the push what keep does. The SDK's reader is made once: with its interval and temporality, and
// not at all where there is nowhere to push to.
func keepOTLP(next, old *exporters.OTLPConfig) (waiting []string) {
	to, _ := next.Target() // it was found without mistake
	from, _ := old.Target()
	if (to == "") != (from == "") {
		*next = *old
		return []string{"otlp.endpoint"}
	}
	for _, k := range []struct {
		key     string
		differs bool
	}{
		{"otlp.interval", next.Interval != old.Interval},
		{"otlp.timeout", next.Timeout != old.Timeout},
		{"otlp.temporality", next.Temporality != old.Temporality},
	} {
		if k.differs {
			waiting = append(waiting, k.key)
		}
	}
	next.Interval, next.Timeout, next.Temporality = old.Interval, old.Timeout, old.Temporality
	return waiting
}

// change is a configuration that the poll loop has not taken over yet.
type change struct {
	api   *droneapi.Client
	watch watchConfig
}

// change hands a new configuration to the poll loop, which takes it over before its next poll and polls at once.
func (p *poller) change(api *droneapi.Client, watch watchConfig) {
	if never := p.next.Swap(&change{api: api, watch: watch}); never != nil {
		never.api.Close()
	}
	select {
	case p.wake <- struct{}{}:
	default: // it is awake
	}
}

// takeOver lets a configuration that waits come into force, between two polls.
func (p *poller) takeOver() {
	next := p.next.Swap(nil)
	if next == nil {
		return
	}
	p.interval = next.watch.Interval
	p.watcher.reconfigure(next.api, next.watch)
}

// reconfigure goes on with another client and configuration. All that is known stays.
func (w *watcher) reconfigure(api *droneapi.Client, cfg watchConfig) {
	w.api.Close()
	w.api, w.cfg = api, cfg
	w.selection.cfg = cfg.Selection
	// Another user may not see what the one before saw; the server says.
	w.serverAsked, w.usersDue = time.Time{}, time.Time{}
}
