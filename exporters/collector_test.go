package exporters

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // so that the receiver can read it
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// push is one export as a Collector sees it.
type push struct {
	request     *colmetricpb.ExportMetricsServiceRequest
	headers     metadata.MD
	compression string
}

// collector is an OTLP/gRPC receiver on a real socket.
type collector struct {
	colmetricpb.UnimplementedMetricsServiceServer
	addr   string
	pushes chan push

	mu     sync.Mutex
	server *grpc.Server
	answer func() (*colmetricpb.ExportMetricsServiceResponse, error)
}

type compressionKey struct{}

// seenCompression puts the encoding of a request into its context.
type seenCompression struct{}

func (seenCompression) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, compressionKey{}, new(string))
}

func (seenCompression) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		*ctx.Value(compressionKey{}).(*string) = header.Compression
	}
}

func (seenCompression) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (seenCompression) HandleConn(context.Context, stats.ConnStats)                       {}

func newCollector(t *testing.T, opts ...grpc.ServerOption) *collector {
	t.Helper()
	c := &collector{addr: "127.0.0.1:0", pushes: make(chan push, 1000)}
	c.start(t, opts...)
	t.Cleanup(c.stop)
	return c
}

// start serves, after a stop at the same address.
func (c *collector) start(t *testing.T, opts ...grpc.ServerOption) {
	t.Helper()
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.addr = listener.Addr().String()
	c.server = grpc.NewServer(append(opts, grpc.StatsHandler(seenCompression{}))...)
	colmetricpb.RegisterMetricsServiceServer(c.server, c)
	go func() { _ = c.server.Serve(listener) }()
}

func (c *collector) stop() { c.server.Stop() }

// respond sets what exports are answered with; nil is all well.
func (c *collector) respond(answer func() (*colmetricpb.ExportMetricsServiceResponse, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func (c *collector) Export(
	ctx context.Context, req *colmetricpb.ExportMetricsServiceRequest,
) (*colmetricpb.ExportMetricsServiceResponse, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	c.pushes <- push{request: req, headers: headers, compression: *ctx.Value(compressionKey{}).(*string)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answer != nil {
		return c.answer()
	}
	return &colmetricpb.ExportMetricsServiceResponse{}, nil
}

// next waits for a push.
func (c *collector) next(t *testing.T) push {
	t.Helper()
	select {
	case p := <-c.pushes:
		return p
	case <-soon(t).Done():
		t.Fatal("no push arrived")
		return push{}
	}
}

// lastHeader gives a header of the newest push; empty where there is none.
func (c *collector) lastHeader(name string) (value string) {
	for len(c.pushes) > 0 {
		value = strings.Join((<-c.pushes).headers[name], ",")
	}
	return value
}

// metrics gives all metrics of a push by name.
func (p push) metrics() map[string]*metricpb.Metric {
	all := map[string]*metricpb.Metric{}
	for _, rm := range p.request.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				all[m.GetName()] = m
			}
		}
	}
	return all
}

// resource gives the resource attributes of a push.
func (p push) resource() map[string]string {
	all := map[string]string{}
	for _, rm := range p.request.GetResourceMetrics() {
		for _, kv := range rm.GetResource().GetAttributes() {
			all[kv.GetKey()] = stringValue(kv.GetValue())
		}
	}
	return all
}

func stringValue(v *commonpb.AnyValue) string { return v.GetStringValue() }
