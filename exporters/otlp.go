package exporters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"drone-otel-agent/internal/secret"
)

const (
	// maxBatch is how many data points go into one request. A point of a histogram takes some 400 bytes,
	// and a Collector refuses requests of more than 4 MiB unless it is told otherwise.
	maxBatch = 5000
	// readerTimeout is how long the SDK's reader gives one collection and export, by default.
	readerTimeout = 30 * time.Second
	// maxReconnect is the longest pause between two attempts to connect. gRPC's own is two minutes, in
	// which a Collector that is back would get nothing.
	maxReconnect = 5 * time.Second
)

// OTLPConfig says where and how to push. A field that is set wins over the standard environment variable;
// one that is not leaves the variable in force, the one for metrics (OTEL_EXPORTER_OTLP_METRICS_…) before
// the one for everything (OTEL_EXPORTER_OTLP_…).
type OTLPConfig struct {
	// Endpoint is the Collector's OTLP gRPC receiver as a URL: http://host:4317 is without TLS,
	// https://host:4317 with, unix:///path a socket. Without a port, http means 4317 and https 443.
	// (…_ENDPOINT)
	Endpoint string
	// Interval is the time between two pushes; 0 is OTEL_METRIC_EXPORT_INTERVAL or a minute.
	Interval time.Duration
	// Timeout bounds one push with its retries; 0 is …_TIMEOUT or ten seconds.
	Timeout time.Duration
	// Headers go with every push, usually a credential. If there is one here, …_HEADERS does not count.
	Headers map[string]secret.Text
	// Compression is gzip or none; empty is …_COMPRESSION or none.
	Compression string
	// Temporality is cumulative, delta or lowmemory (delta where it costs no memory); empty is
	// OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE or cumulative.
	Temporality string
	// TLS holds for https endpoints only.
	TLS OTLPTLSConfig
}

// endpoint is a resolved place to push to.
type endpoint struct {
	target string // for gRPC
	name   string // for people: no user, no path
	plain  bool   // without TLS
}

// resolved is an OTLPConfig with the environment applied.
type resolved struct {
	endpoint
	options []otlpmetricgrpc.Option
	dial    []grpc.DialOption
}

// Validate tells every mistake, in the configuration and in the standard variables, or nil. Files it names
// are read.
func (c OTLPConfig) Validate() error {
	_, err := c.resolve(slog.New(slog.DiscardHandler))
	return err
}

// Target is where the metrics go, as a URL; empty where nothing is pushed. An error is a mistake in the
// endpoint.
func (c OTLPConfig) Target() (string, error) {
	e, err := c.endpoint()
	if err != nil || e == nil {
		return "", err
	}
	return e.name, nil
}

// endpoint finds where to push; nil is nowhere.
func (c OTLPConfig) endpoint() (*endpoint, error) {
	if c.Endpoint != "" {
		return parseEndpoint("otlp.endpoint", c.Endpoint)
	}
	if name, value := otlpEnv("ENDPOINT"); value != "" {
		return parseEndpoint(name, value)
	}
	return nil, nil
}

// parseEndpoint never repeats what it was given in an error but for scheme, host and path: the rest may be
// a credential.
func parseEndpoint(name, raw string) (*endpoint, error) {
	const want = "write http://host:4317 (without TLS) or https://host:4317"
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: it is not a URL: %s", name, want)
	}
	switch u.Scheme {
	case "unix":
		if u.Path == "" || u.Host != "" {
			return nil, fmt.Errorf("%s: write unix:///path/of/the/socket", name)
		}
		return &endpoint{target: "unix://" + u.Path, name: "unix://" + u.Path, plain: true}, nil
	case "http", "https":
	default:
		return nil, fmt.Errorf("%s: a URL with http:// or https:// is needed: %s", name, want)
	}
	switch {
	case u.Hostname() == "":
		return nil, fmt.Errorf("%s: the URL has no host: %s", name, want)
	case u.User != nil:
		return nil, fmt.Errorf("%s: a URL with user or password: put credentials into otlp.headers", name)
	case u.Path != "" && u.Path != "/":
		return nil, fmt.Errorf("%s: path %q: OTLP over gRPC has no paths, write only %s://%s",
			name, u.Path, u.Scheme, u.Host)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s: OTLP over gRPC takes no query and no fragment: %s", name, want)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "4317", "https": "443"}[u.Scheme]
	}
	host := net.JoinHostPort(u.Hostname(), port)
	return &endpoint{target: host, name: u.Scheme + "://" + host, plain: u.Scheme == "http"}, nil
}

// resolve applies the environment and makes the exporter's options; nil where there is no endpoint. The logger is for
// certificates that are renewed later.
func (c OTLPConfig) resolve(logger *slog.Logger) (*resolved, error) {
	mistakes := checkOTLPEnv()
	note := func(err error) {
		if err != nil {
			mistakes = append(mistakes, err)
		}
	}
	e, err := c.endpoint()
	note(err)
	headers, err := c.headers()
	note(err)
	temporality, err := c.temporality()
	note(err)
	if c.Interval < 0 {
		note(fmt.Errorf("otlp.interval: %s is less than nothing", c.Interval))
	}
	if c.Timeout < 0 {
		note(fmt.Errorf("otlp.timeout: %s is less than nothing", c.Timeout))
	}
	if c.Compression != "" && c.Compression != "gzip" && c.Compression != "none" {
		note(fmt.Errorf("otlp.compression: %q: write gzip or none", c.Compression))
	}
	if e == nil {
		return nil, errors.Join(mistakes...)
	}
	creds, err := c.TLS.credentials(e.plain, logger)
	note(err)
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	// Endpoint and credentials always come from here, so that http:// means without TLS also where
	// OTEL_EXPORTER_OTLP_CERTIFICATE is set: the library would use TLS then.
	opts := []otlpmetricgrpc.Option{
		otlpmetricgrpc.WithEndpoint(e.target),
		otlpmetricgrpc.WithTLSCredentials(creds),
	}
	if c.Timeout > 0 {
		opts = append(opts, otlpmetricgrpc.WithTimeout(c.Timeout))
	}
	if headers != nil {
		opts = append(opts, otlpmetricgrpc.WithHeaders(headers))
	}
	if temporality != nil {
		opts = append(opts, otlpmetricgrpc.WithTemporalitySelector(temporality))
	}
	if c.Compression == "gzip" {
		opts = append(opts, otlpmetricgrpc.WithCompressor("gzip"))
	}
	return &resolved{endpoint: *e, options: opts, dial: c.dialOptions()}, nil
}

func (c OTLPConfig) dialOptions() []grpc.DialOption {
	reconnect := backoff.DefaultConfig
	reconnect.MaxDelay = maxReconnect
	opts := []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 10 * time.Second}),
		// With it the kernel gives up a connection whose peer is silent after 20 s rather than 15 min.
		// Servers accept pings no more often than every five minutes.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 5 * time.Minute, Timeout: 20 * time.Second}),
	}
	if c.Compression == "none" {
		// The exporter's own option knows no way to turn off what the variable turned on.
		opts = append(opts, grpc.WithDefaultCallOptions(grpc.UseCompressor("")))
	}
	return opts
}

// headers are those of the configuration; nil where the variable is to count.
func (c OTLPConfig) headers() (map[string]string, error) {
	if len(c.Headers) == 0 {
		return nil, nil
	}
	headers := make(map[string]string, len(c.Headers))
	var mistakes []error
	for name, value := range c.Headers {
		if err := checkHeader(name, value.Reveal()); err != nil {
			mistakes = append(mistakes, fmt.Errorf("otlp.headers: a header: %w", err))
		}
		headers[name] = value.Reveal()
	}
	return headers, errors.Join(mistakes...)
}

func (c OTLPConfig) temporality() (sdkmetric.TemporalitySelector, error) {
	switch c.Temporality {
	case "":
		return nil, nil
	case "cumulative":
		return sdkmetric.CumulativeTemporalitySelector, nil
	case "delta":
		return sdkmetric.DeltaTemporalitySelector, nil
	case "lowmemory":
		return sdkmetric.LowMemoryTemporalitySelector, nil
	}
	return nil, fmt.Errorf("otlp.temporality: %q: write cumulative, delta or lowmemory", c.Temporality)
}

// pushRetries are within one push and its timeout, for a Collector that restarts or is overloaded for a
// moment. The next push comes anyway.
func pushRetries() otlpmetricgrpc.RetryConfig {
	return otlpmetricgrpc.RetryConfig{
		Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: time.Minute,
	}
}

// exporter makes the library's exporter. It connects when it is first used.
func (r *resolved) exporter(
	ctx context.Context, opts ...otlpmetricgrpc.Option,
) (*otlpmetricgrpc.Exporter, error) {
	dial := append(slices.Clip(r.dial), grpc.WithChainUnaryInterceptor(redacting(r.target)))
	opts = slices.Concat(r.options, []otlpmetricgrpc.Option{otlpmetricgrpc.WithDialOption(dial...)}, opts)
	exporter, err := otlpmetricgrpc.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("making the OTLP exporter for %s: %w", r.name, err)
	}
	return exporter, nil
}

// CheckOTLP tells whether the Collector can be reached and takes an export, by sending it an empty one. An
// error says where it was sent, why it failed and what to look at. Without an endpoint there is nothing to
// check and the answer is nil.
func CheckOTLP(ctx context.Context, cfg OTLPConfig) error {
	r, err := cfg.resolve(slog.New(slog.DiscardHandler))
	if err != nil || r == nil {
		return err
	}
	once := otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{Enabled: false})
	exporter, err := r.exporter(ctx, once)
	if err != nil {
		return err
	}
	defer func() { _ = exporter.Shutdown(context.WithoutCancel(ctx)) }()
	if err := exporter.Export(ctx, &metricdata.ResourceMetrics{}); err != nil {
		return fmt.Errorf("sending an empty export to %s: %w (%s)", r.name, exportCause(err), exportHint(err))
	}
	return nil
}

// exportCause leaves out what the library says about its own doing.
func exportCause(err error) error {
	if inner := errors.Unwrap(err); inner != nil && strings.HasPrefix(err.Error(), "failed to upload metrics: ") {
		return inner
	}
	return err
}
