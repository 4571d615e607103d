package exporters

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"

	"drone-otel-agent/internal/secret"
)

// The push goes on to another Collector, as somebody else, and what was recorded before goes with it.
func TestPushGoesElsewhere(t *testing.T) {
	first, second := newCollector(t), newCollector(t)
	p := newTestProvider(t, ProviderConfig{OTLP: &OTLPConfig{Endpoint: "http://" + first.addr, Interval: time.Hour}})
	counter, err := p.Meter("test").Int64Counter("sheep")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 2)
	if err := p.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	sheep := func(p push) int64 {
		return p.metrics()["sheep"].GetSum().GetDataPoints()[0].GetAsInt()
	}
	if got := sheep(first.next(t)); got != 2 {
		t.Errorf("the first Collector has %d sheep, want 2", got)
	}
	err = p.SetOTLP(t.Context(), OTLPConfig{
		Endpoint: "http://" + second.addr, Headers: map[string]secret.Text{"authorization": secret.New(theToken)},
		Compression: "gzip",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.PushStatus(); got.State != PushWaiting || got.Endpoint != "http://"+second.addr {
		t.Errorf("the status is %+v, want that it waits for %s", got, second.addr)
	}
	counter.Add(t.Context(), 3)
	if err := p.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	got := second.next(t)
	if n := sheep(got); n != 5 {
		t.Errorf("the second Collector has %d sheep, want 5", n)
	}
	if diff := cmp.Diff([]string{theToken}, got.headers.Get("authorization")); diff != "" || got.compression != "gzip" {
		t.Errorf("the second Collector got compression %q and headers (-want +got):\n%s", got.compression, diff)
	}
	if n := len(first.pushes); n != 0 {
		t.Errorf("the first Collector got %d more pushes, want 0", n)
	}
	if err := p.SetOTLP(t.Context(), OTLPConfig{Endpoint: "gopher://x"}); err == nil ||
		!strings.Contains(err.Error(), "otlp.endpoint") {
		t.Errorf("a wrong endpoint gives the error %v, want one that names it", err)
	}
	if err := p.SetOTLP(t.Context(), OTLPConfig{}); !errors.Is(err, ErrFixedPush) {
		t.Errorf("ending the push gives the error %v, want %v", err, ErrFixedPush)
	}
	if err := p.Flush(soon(t)); err != nil { // as before
		t.Fatal(err)
	}
	if n := sheep(second.next(t)); n != 5 {
		t.Errorf("after refusals the second Collector has %d sheep, want 5", n)
	}
}

// A push that is under way is neither cut off nor waited for.
func TestPushUnderWayEndsAsItBegan(t *testing.T) {
	first, second := newCollector(t), newCollector(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	first.respond(func() (*colmetricpb.ExportMetricsServiceResponse, error) {
		close(arrived)
		<-answer
		return &colmetricpb.ExportMetricsServiceResponse{}, nil
	})
	p := newTestProvider(t, ProviderConfig{OTLP: &OTLPConfig{Endpoint: "http://" + first.addr, Interval: time.Hour}})
	flushed := make(chan error, 1)
	go func() { flushed <- p.Flush(soon(t)) }()
	<-arrived
	if err := p.SetOTLP(t.Context(), OTLPConfig{Endpoint: "http://" + second.addr}); err != nil {
		t.Fatal(err)
	}
	close(answer)
	if err := <-flushed; err != nil {
		t.Errorf("the push under way failed: %v", err)
	}
	if got := p.PushStatus().State; got != PushWaiting {
		t.Errorf("the status is %q after an answer of the Collector before, want that it waits for the new one", got)
	}
	if err := p.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	second.next(t)
}

func TestPushCannotBeginLater(t *testing.T) {
	p := newTestProvider(t, ProviderConfig{OTLP: &OTLPConfig{}})
	if err := p.SetOTLP(t.Context(), OTLPConfig{Endpoint: "http://localhost:4317"}); !errors.Is(err, ErrFixedPush) {
		t.Errorf("beginning a push gives the error %v, want %v", err, ErrFixedPush)
	}
	if err := p.SetOTLP(t.Context(), OTLPConfig{}); err != nil {
		t.Error(err)
	}
}

// mute is something between the agent and the Collector that has forgotten its connections: it goes on taking what
// comes in, and passes nothing on. New connections are passed on.
type mute struct {
	net.Listener
	to    string
	quiet atomic.Int64 // connections up to this number are forgotten
	count atomic.Int64
}

func newMute(t *testing.T, to string) *mute {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{Listener: listener, to: to}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.pass(conn, m.count.Add(1))
		}
	}()
	return m
}

func (m *mute) pass(conn net.Conn, number int64) {
	defer func() { _ = conn.Close() }()
	on, err := net.Dial("tcp", m.to)
	if err != nil {
		return
	}
	defer func() { _ = on.Close() }()
	go func() { _, _ = io.Copy(conn, on) }()
	buf := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if number > m.quiet.Load() {
			_, _ = on.Write(buf[:n])
		}
	}
}

// A connection to which nobody listens any more is given up, though nothing says that it is dead.
func TestPushGivesUpADeadConnection(t *testing.T) {
	c := newCollector(t)
	between := newMute(t, c.addr)
	logs, logger := newLogbook(t)
	p := newTestProvider(t, ProviderConfig{Logger: logger, OTLP: &OTLPConfig{
		Endpoint: "http://" + between.Addr().String(), Interval: time.Hour, Timeout: 100 * time.Millisecond,
	}})
	for ctx := soon(t); p.Flush(ctx) != nil; { // 100 ms may be short for the first
		if ctx.Err() != nil {
			t.Fatal("no push at all")
		}
	}
	between.quiet.Store(between.count.Load())
	pushes := 0
	for ctx := soon(t); p.Flush(ctx) != nil; pushes++ {
		if ctx.Err() != nil {
			t.Fatalf("%d pushes, and none went by another connection", pushes)
		}
	}
	for _, line := range logs.loud(t)[max(0, len(logs.loud(t))-2):] {
		if !strings.Contains(line, "the OpenTelemetry Collector") {
			t.Errorf("the log says %q", line)
		}
	}
}
