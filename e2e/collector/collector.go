// Package collector runs the real OpenTelemetry Collector inside the test: its configuration, its service
// and its OTLP receiver are upstream's, and only the exporter at the end of the pipeline is ours, to hand
// the test what arrived.
package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/bearertokenauthextension"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry"

	"drone-otel-agent/e2e/await"
	"drone-otel-agent/e2e/port"
)

// configuration is what an operator would write, with the test's exporter in place of a backend.
const configuration = `
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: %s
exporters:
  inbox:
service:
  pipelines:
    metrics:
      receivers: [otlp]
      exporters: [inbox]
`

// Collector is a running Collector and what it has received so far. It may be stopped and started again
// at the same address.
type Collector struct {
	address       string
	configuration string
	inbox         inbox

	mu   sync.Mutex
	stop func() error
}

// New prepares a Collector on a free loopback port and does not start it: until Start, whoever pushes
// is refused.
func New(t testing.TB) *Collector {
	t.Helper()
	address := port.Free(t)
	return &Collector{address: address, configuration: fmt.Sprintf(configuration, address)}
}

// Start prepares a Collector, starts it, and stops it at the end of the test.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := New(t)
	c.Start(t)
	return c
}

// Configured is Start with a configuration file's text of one's own. It is told the address to listen on, and sends
// the metrics to the exporter named inbox. The authenticator bearertokenauth is there too.
func Configured(t testing.TB, configuration func(address string) string) *Collector {
	t.Helper()
	c := New(t)
	c.configuration = configuration(c.address)
	c.Start(t)
	return c
}

// Address is where it listens, host and port.
func (c *Collector) Address() string { return c.address }

// Endpoint is the address to push to, as a URL: http means gRPC without TLS.
func (c *Collector) Endpoint() string { return "http://" + c.address }

// Start runs the Collector and returns when it accepts pushes.
func (c *Collector) Start(t testing.TB) {
	t.Helper()
	col, err := otelcol.NewCollector(c.settings())
	if err != nil {
		t.Fatalf("making the Collector: %v", err)
	}
	ended := make(chan struct{})
	var failure error
	go func() {
		defer close(ended)
		failure = col.Run(context.WithoutCancel(t.Context()))
	}()
	c.mu.Lock()
	c.stop = sync.OnceValue(func() error {
		col.Shutdown()
		<-ended
		return failure
	})
	c.mu.Unlock()
	t.Cleanup(func() { c.Stop(t) })
	await.UntilOr(t, "the Collector to run", ended, func() error {
		if state := col.GetState(); state != otelcol.StateRunning {
			return fmt.Errorf("its state is %v", state)
		}
		return nil
	})
}

// Stop shuts the Collector down in order. What it has received stays readable.
func (c *Collector) Stop(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	stop := c.stop
	c.mu.Unlock()
	if stop == nil {
		return
	}
	if err := stop(); err != nil {
		t.Errorf("the Collector: %v", err)
	}
}

// Refuse makes the end of the pipeline refuse what is pushed from now on, or take it again.
func (c *Collector) Refuse(refuses bool) {
	c.inbox.mu.Lock()
	defer c.inbox.mu.Unlock()
	c.inbox.refuses = refuses
}

// Pushes returns what has been received so far, oldest first.
func (c *Collector) Pushes() []Push { return c.inbox.all() }

// Last returns the newest push, or an error before the first one.
func (c *Collector) Last() (Push, error) {
	all := c.inbox.all()
	if len(all) == 0 {
		return Push{}, errors.New("the Collector has received nothing")
	}
	return all[len(all)-1], nil
}

func (c *Collector) settings() otelcol.CollectorSettings {
	return otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol", Description: "Collector of the tests", Version: "test"},
		Factories: c.factories,
		// SIGTERM is for the agent, not for the process of the tests.
		DisableGracefulShutdown: true,
		SkipSettingGRPCLogger:   true,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				URIs:              []string{"yaml:" + c.configuration},
				ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
			},
		},
	}
}

func (c *Collector) factories() (otelcol.Factories, error) {
	receivers, err := otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory())
	if err != nil {
		return otelcol.Factories{}, err
	}
	exporters, err := otelcol.MakeFactoryMap[exporter.Factory](c.inbox.factory())
	if err != nil {
		return otelcol.Factories{}, err
	}
	extensions, err := otelcol.MakeFactoryMap[extension.Factory](bearertokenauthextension.NewFactory())
	if err != nil {
		return otelcol.Factories{}, err
	}
	return otelcol.Factories{
		Receivers:  receivers,
		Exporters:  exporters,
		Extensions: extensions,
		// The Collector's metrics about itself are of no interest, and silent by this factory's defaults.
		Telemetry: telemetry.NewFactory(func() component.Config { return &struct{}{} }),
	}, nil
}
