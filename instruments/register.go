package instruments

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Options say where the instruments read from, and which there are.
type Options struct {
	// Newest returns the newest snapshot, nil before the first. It must not block.
	Newest func() *Snapshot
	// Settings returns what may change while the agent runs. It must not block.
	Settings func() Settings
	// Now is the clock.
	Now func() time.Time

	// Buckets are the boundaries of the histograms, in seconds, increasing; none are those of the design. They
	// do not matter where the SDK is set to exponential histograms.
	Buckets []float64
	// Stages and Steps add the histograms of the durations of stages and steps.
	Stages, Steps bool
	// Events tells builds that ended apart by what caused them.
	Events bool
	// QueueLabels are the names of the labels in [Platform.Labels].
	QueueLabels []string
}

// Settings are what may change while the agent runs.
type Settings struct {
	// StaleAfter is how old what is known of Drone may be; after that it is no longer observed.
	StaleAfter time.Duration
	// RepositoriesLimit is how many repositories may have series of their own.
	RepositoriesLimit int
	// Loaded is when the configuration in force was read.
	Loaded time.Time
	// Refused tells that a newer configuration was not taken over.
	Refused bool
}

// defaultBuckets reach from a second to two hours. OpenTelemetry's own are made for milliseconds.
func defaultBuckets() []float64 {
	return []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200}
}

// Instruments are the instruments of the catalogue on a meter. Its methods may be called at any time, also at
// once; none blocks for long.
type Instruments struct {
	opts     Options
	labels   []attribute.Key
	observed []observed
	recorded []recorded
	names    *partNames

	mu    sync.Mutex // over what a collection uses
	repos repoCache
}

// observed is an instrument that is read from the snapshot.
type observed struct {
	Instrument
	put func(o metric.Observer, value float64, attributes []metric.ObserveOption)
}

// recorded is an instrument that is told of events.
type recorded struct {
	Instrument
	put recorder
}

// Register makes every instrument of the catalogue on the meter, and the one callback that observes those that
// are read from the newest snapshot. The others want to be told: see [Instruments.Finished] and
// [Instruments.RequestFailed].
//
// The SDK is to be given no cardinality limit, or it merges series silently: every attribute has a bounded number
// of values already, where the names in Repo.Name and FinishedBuild.Repository and the platforms are bounded.
func Register(meter metric.Meter, opts Options) (*Instruments, error) {
	if opts.Newest == nil || opts.Now == nil || opts.Settings == nil {
		return nil, errors.New("registering the instruments: the newest snapshot, the clock or the settings are missing")
	}
	if len(opts.Buckets) == 0 {
		opts.Buckets = defaultBuckets()
	}
	i := &Instruments{opts: opts, names: newPartNames()}
	for _, label := range opts.QueueLabels {
		i.labels = append(i.labels, labelKey(label))
	}
	var observables []metric.Observable
	for _, in := range Catalog() {
		if in.enabled != nil && !in.enabled(&opts) {
			continue
		}
		observable, err := i.add(meter, in)
		if err != nil {
			return nil, fmt.Errorf("making the instrument %s: %w", in.Name, err)
		}
		if observable != nil {
			observables = append(observables, observable)
		}
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		i.collect(o)
		return nil
	}, observables...)
	if err != nil {
		return nil, fmt.Errorf("registering the callback of the instruments: %w", err)
	}
	return i, nil
}

// collect is called by each reader.
func (i *Instruments) collect(o metric.Observer) {
	snapshot := i.opts.Newest()
	if snapshot == nil {
		return
	}
	now, settings := i.opts.Now(), i.opts.Settings()
	stale := snapshot.Stale(now, settings)
	i.mu.Lock()
	defer i.mu.Unlock()
	v := &view{
		Snapshot: snapshot, settings: settings, now: now, stale: stale,
		labels: i.labels, series: i.repos.series(snapshot.Repos),
	}
	for _, in := range i.observed {
		if stale && !in.lasting {
			continue
		}
		in.observe(v, func(value float64, attributes ...metric.ObserveOption) { in.put(o, value, attributes) })
	}
}

// Finished records a build that ended. It is to be called once for each.
func (i *Instruments) Finished(b FinishedBuild) {
	b.ErrorType = errorTypeOf(&b)
	b.Event = eventOf(&b)
	if !i.opts.Events {
		b.Event = ""
	}
	if i.opts.Stages || i.opts.Steps {
		b.Stages = i.names.bound(&b)
	}
	for _, in := range i.recorded {
		if in.finished != nil {
			in.finished(&b, in.put)
		}
	}
}

// RequestFailed counts a request to Drone that failed. The type is one of a few words, such as a status code
// or "timeout"; empty is an error that is none of those named.
func (i *Instruments) RequestFailed(errorType string) {
	if errorType == "" {
		errorType = errorOther()
	}
	for _, in := range i.recorded {
		if in.failed != nil {
			in.failed(errorType, in.put)
		}
	}
}
