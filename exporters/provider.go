package exporters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/otlptranslator"
	prombridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"google.golang.org/grpc"
)

// ServiceName is the service.name of the agent where neither OTEL_SERVICE_NAME nor
// OTEL_RESOURCE_ATTRIBUTES gives another.
const ServiceName = "drone-otel-agent"

// ProviderConfig is what a [Provider] is made of. The zero value works: no push, no version.
type ProviderConfig struct {
	// Version is the agent's version, for service.version and drone_otel_agent_build_info.
	Version string
	// Identity tells this agent from others on the same host, and stays the same across restarts: the
	// address of the Drone server it watches, say. Only a hash of it leaves the process.
	Identity string
	// CardinalityLimit is how many attribute sets one instrument may have; the SDK merges the rest into
	// one series with otel_metric_overflow="true". 0 is the SDK's default (2,000), negative is no limit.
	CardinalityLimit int
	// ExponentialHistograms records every histogram with base-2 exponential buckets, which Prometheus
	// knows as native histograms, whatever boundaries its instrument advises.
	ExponentialHistograms bool
	// OTLP is where to push; nil is nowhere, whatever the OTEL_EXPORTER_OTLP_* variables say. Where it
	// is not nil but neither it nor a variable gives an endpoint, nothing is pushed either.
	OTLP *OTLPConfig
	// Logger gets what goes wrong while running; nil discards it.
	Logger *slog.Logger
}

// Provider is a MeterProvider with two readers: what its instruments record can be pulled as Prometheus
// exposition and is pushed over OTLP. All methods may be called at the same time.
type Provider struct {
	sdk         *sdkmetric.MeterProvider
	instruments *exposition          // what OpenTelemetry instruments hold, and target_info
	own         *prometheus.Registry // the runtime, the process, the build, the endpoint
	push        *pusher              // nil: nothing is pushed
	exponential bool                 // histograms are pushed with exponential buckets
	logger      *slog.Logger
}

// NewProvider makes a Provider. Nothing is connected here: a Collector that is away is found at the first
// push. An error names the setting or variable that is wrong, all of them where there are several.
func NewProvider(ctx context.Context, cfg ProviderConfig) (*Provider, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	own, err := newOwnRegistry(cfg.Version)
	if err != nil {
		return nil, err
	}
	res, err := newResource(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &Provider{instruments: newExposition(pullOptions(cfg)...), own: own, logger: cfg.Logger}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(p.instruments.reader)}
	if cfg.CardinalityLimit != 0 {
		opts = append(opts, sdkmetric.WithCardinalityLimit(cfg.CardinalityLimit))
	}
	if os.Getenv("OTEL_METRICS_EXEMPLAR_FILTER") == "" {
		// The SDK keeps room for an exemplar in every bucket of every histogram series and reader, some
		// 3 KB a series, also where nothing is ever traced.
		opts = append(opts, sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	}
	if cfg.OTLP != nil {
		reader, err := p.newPushReader(ctx, cfg)
		if err != nil {
			return nil, err
		}
		if reader != nil {
			opts = append(opts, sdkmetric.WithReader(reader))
		}
	}
	p.sdk = sdkmetric.NewMeterProvider(opts...)
	if p.push != nil {
		if err := p.push.observe(p.sdk); err != nil {
			return nil, errors.Join(err, p.Shutdown(ctx))
		}
	}
	return p, nil
}

func pullOptions(cfg ProviderConfig) []sdkmetric.ManualReaderOption {
	if !cfg.ExponentialHistograms {
		return nil
	}
	return []sdkmetric.ManualReaderOption{sdkmetric.WithAggregationSelector(exponentialHistograms)}
}

// exponentialHistograms is the SDK's default for everything but histograms. Size and scale are those the
// OpenTelemetry specification recommends.
func exponentialHistograms(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	if kind == sdkmetric.InstrumentKindHistogram {
		return sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}
	}
	return sdkmetric.DefaultAggregationSelector(kind)
}

// newPushReader makes the reader that pushes, or nil where there is no endpoint.
func (p *Provider) newPushReader(ctx context.Context, cfg ProviderConfig) (sdkmetric.Reader, error) {
	otlp := *cfg.OTLP
	target, err := otlp.resolve(cfg.Logger)
	if err != nil || target == nil {
		return nil, err
	}
	p.push = newPusher(target.name, cfg.Logger)
	p.exponential = cfg.ExponentialHistograms
	if err = p.push.use(ctx, target.name, p.exporterTo(*target)); err != nil {
		return nil, err
	}
	runtime := &scrapeLog{next: p.own, what: "the agent's own metrics for OTLP", logger: cfg.Logger}
	bridge := prombridge.NewMetricProducer(prombridge.WithGatherer(tolerant{runtime}))
	readerOpts := []sdkmetric.PeriodicReaderOption{
		sdkmetric.WithInterval(otlp.Interval),
		sdkmetric.WithMaxExportBatchSize(maxBatch),
		sdkmetric.WithProducer(p.push.announced(bridge)),
	}
	if otlp.Timeout >= readerTimeout {
		readerOpts = append(readerOpts, sdkmetric.WithTimeout(otlp.Timeout+readerTimeout))
	}
	return sdkmetric.NewPeriodicReader(p.push, readerOpts...), nil
}

// exporterTo returns what makes exporters that the pusher watches.
func (p *Provider) exporterTo(target resolved) func(context.Context) (sdkmetric.Exporter, error) {
	target.dial = append(slices.Clip(target.dial), grpc.WithChainUnaryInterceptor(p.push.intercept))
	opts := []otlpmetricgrpc.Option{otlpmetricgrpc.WithRetry(pushRetries())}
	if p.exponential {
		opts = append(opts, otlpmetricgrpc.WithAggregationSelector(exponentialHistograms))
	}
	return func(ctx context.Context) (sdkmetric.Exporter, error) { return target.exporter(ctx, opts...) }
}

// ErrFixedPush says that a push cannot begin or end while the Provider lives.
var ErrFixedPush = errors.New("a push begins and ends with the process")

// SetOTLP pushes to another endpoint, with other headers, TLS or compression from now on; it waits for a push that
// is under way. What has been recorded stays. Interval, timeout and temporality are those the Provider was made
// with. An error is a mistake in the configuration, or [ErrFixedPush]; the push goes on as it was then.
func (p *Provider) SetOTLP(ctx context.Context, cfg OTLPConfig) error {
	target, err := cfg.resolve(p.logger)
	if err != nil {
		return err
	}
	if (target == nil) != (p.push == nil) {
		return ErrFixedPush
	}
	if target == nil {
		return nil
	}
	return p.push.use(ctx, target.name, p.exporterTo(*target))
}

// Meter gives the meter of an instrumentation scope.
func (p *Provider) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return p.sdk.Meter(name, opts...)
}

// WriteText writes what the OpenTelemetry instruments hold now to w, in the Prometheus text format. It
// leaves out target_info and everything about the process: those describe whoever writes, not what was
// measured. Where a series is invalid the others are written, and the error says which one is not.
func (p *Provider) WriteText(w io.Writer) error {
	families, gatherErr := joined{p.instruments}.Gather()
	if gatherErr != nil {
		gatherErr = fmt.Errorf("collecting the metrics: %w", gatherErr)
	}
	enc := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if family.GetName() == otlptranslator.TargetInfoMetricName {
			continue
		}
		if err := enc.Encode(family); err != nil {
			return errors.Join(gatherErr, fmt.Errorf("writing %s as text: %w", family.GetName(), err))
		}
	}
	return gatherErr
}

// Flush pushes now, and returns when the Collector has answered or ctx ends. Without a push it does
// nothing. An error says why the Collector did not take the metrics; it was logged already if it is news.
func (p *Provider) Flush(ctx context.Context) error {
	if err := p.sdk.ForceFlush(ctx); err != nil {
		return fmt.Errorf("flushing the metrics: %w", err)
	}
	if status := p.PushStatus(); status.State == PushAway {
		return fmt.Errorf("pushing to %s: %w", status.Endpoint, status.Err)
	}
	return nil
}

// PushStatus tells how the push over OTLP is doing.
func (p *Provider) PushStatus() PushStatus {
	if p.push == nil {
		return PushStatus{State: PushOff}
	}
	return p.push.Status()
}

// Shutdown pushes the last values and ends both readers, within ctx's deadline. A Collector that has been
// away already gets one short last try, not the whole of the deadline. That the Collector does not answer
// is no error here, it is in the log and in [Provider.PushStatus]; an error is a defect of the shutdown
// itself. A second call does nothing.
func (p *Provider) Shutdown(ctx context.Context) error {
	if p.push != nil {
		p.push.closing.Store(true)
	}
	err := p.sdk.Shutdown(ctx)
	if errors.Is(err, sdkmetric.ErrReaderShutdown) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("shutting down the metrics: %w", err)
	}
	return nil
}
