package exporters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// farewell is how long a Collector that has been away is tried for at the end.
const farewell = time.Second

// PushState is how the push is doing.
type PushState string

// The states of a push.
const (
	PushOff     PushState = "off"     // there is no endpoint
	PushWaiting PushState = "waiting" // nothing was pushed yet
	PushOK      PushState = "ok"      // the Collector took the last push
	PushAway    PushState = "away"    // it did not
)

// PushStatus tells how the push is doing, for people and checks.
type PushStatus struct {
	State PushState
	// Endpoint is where the metrics go, as a URL without credentials.
	Endpoint string
	// Since is when State began; zero for off and waiting.
	Since time.Time
	// LastSuccess is when the Collector last took a push; zero is never.
	LastSuccess time.Time
	// Err is why the Collector did not take the last push; nil unless State is away.
	Err error
	// Hint is what to look at then.
	Hint string
	// Rejected is what was wrong with the part of the metrics that the Collector did not take while it
	// took the rest; empty where it takes everything.
	Rejected string
}

// pusher is an exporter around the OTLP exporter. It turns what happens to exports into a state, logs the
// changes of it, and tells the SDK that all is well: the SDK would hand errors to OpenTelemetry's global
// handler, one for each interval.
//
// The SDK exports one collection in several batches, one after the other; a collection is called a round
// here. Where a round is partly taken and partly not, the Collector counts as back only after a whole round
// without a fault, or else every round would log that it went and came.
type pusher struct {
	logger  *slog.Logger
	closing atomic.Bool

	mu        sync.Mutex
	status    PushStatus
	delivered bool   // the request under way was answered with OK
	rejected  string // and with this complaint
	// rejectedPoints is how many data points the complaint is about.
	rejectedPoints int64
	// outcomes are how many data points were exported, by what became of them: an error.type, or outcomeTaken.
	outcomes map[string]int64
	round    struct{ taken, failed, rejected int }
	mixed    bool // a round was partly taken: wait for a whole one
	// now is what is exported with, and renew makes another like it, with a connection of its own; nil is that there
	// is only this one.
	now   *line
	renew func(context.Context) (sdkmetric.Exporter, error)
}

func newPusher(name string, logger *slog.Logger) *pusher {
	return &pusher{
		logger: logger, status: PushStatus{State: PushWaiting, Endpoint: name},
		outcomes: map[string]int64{outcomeTaken: 0},
	}
}

// Status is a copy.
func (p *pusher) Status() PushStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// line is an exporter, and how many calls to it are under way. mu of pusher guards it.
type line struct {
	sdkmetric.Exporter

	users   int
	retired bool
}

// use goes on with the exporter that renew makes, to an endpoint of that name. An export under way ends as it began.
func (p *pusher) use(ctx context.Context, name string, renew func(context.Context) (sdkmetric.Exporter, error)) error {
	next, err := renew(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.status, p.mixed = PushStatus{State: PushWaiting, Endpoint: name}, false
	p.renew = renew
	p.mu.Unlock()
	p.switchTo(ctx, next)
	return nil
}

// reconnect goes on with another connection.
func (p *pusher) reconnect(ctx context.Context) {
	p.mu.Lock()
	renew := p.renew
	p.mu.Unlock()
	if renew == nil {
		return
	}
	next, err := renew(ctx)
	if err != nil {
		p.logger.Debug("the push keeps its connection, as another one cannot be made", "err", err)
		return
	}
	p.switchTo(ctx, next)
}

// switchTo goes on with another exporter, and ends the one before when nobody uses it any more.
func (p *pusher) switchTo(ctx context.Context, next sdkmetric.Exporter) {
	p.mu.Lock()
	before := p.now
	p.now = &line{Exporter: next}
	unused := before != nil && before.users == 0
	if before != nil {
		before.retired = true
	}
	p.mu.Unlock()
	if unused {
		_ = before.Shutdown(context.WithoutCancel(ctx)) // it only closes a connection
	}
}

// exporter is the one to use until release is called.
func (p *pusher) exporter() (now *line, release func(context.Context)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now = p.now
	now.users++
	return now, func(ctx context.Context) {
		p.mu.Lock()
		now.users--
		last := now.retired && now.users == 0
		p.mu.Unlock()
		if last {
			_ = now.Shutdown(context.WithoutCancel(ctx))
		}
	}
}

// Temporality is the OTLP exporter's.
func (p *pusher) Temporality(kind sdkmetric.InstrumentKind) metricdata.Temporality {
	next, release := p.exporter()
	defer release(context.Background())
	return next.Temporality(kind)
}

// Aggregation is the OTLP exporter's.
func (p *pusher) Aggregation(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	next, release := p.exporter()
	defer release(context.Background())
	return next.Aggregation(kind)
}

// ForceFlush is the OTLP exporter's.
func (p *pusher) ForceFlush(ctx context.Context) error {
	next, release := p.exporter()
	defer release(ctx)
	return next.ForceFlush(ctx)
}

// Shutdown closes the connection, which takes no time, also when the last export took all there was.
func (p *pusher) Shutdown(ctx context.Context) error {
	next, release := p.exporter()
	defer release(ctx)
	return next.Shutdown(context.WithoutCancel(ctx))
}

// Export never fails; see pusher.
func (p *pusher) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	if p.closing.Load() && p.Status().State == PushAway {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, farewell)
		defer cancel()
	}
	p.mu.Lock()
	p.delivered, p.rejected, p.rejectedPoints = false, "", 0
	p.mu.Unlock()
	next, release := p.exporter()
	err := next.Export(ctx, rm)
	release(ctx)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil // the program is ending; the last values are exported once more
	}
	p.count(dataPoints(rm), err)
	if p.settle(next, err) {
		p.reconnect(ctx)
	}
	return nil
}

// settle notes how an export ended, and tells whether its connection is to be given up.
func (p *pusher) settle(by *line, err error) (giveUp bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if by != p.now {
		return false // it says nothing about the endpoint there is now
	}
	if !p.delivered {
		p.failed(exportCause(err))
		return isLate(err)
	}
	if err != nil { // some metrics could not be put into OTLP
		p.rejected = err.Error()
	}
	p.taken()
	return false
}

// isLate tells whether no answer came in time. What stands between may have lost the connection and go on as if it had
// not; a ping would tell after minutes.
func isLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}

// intercept sees every request's fate. What the Collector says of a part it did not take is taken out of
// the answer, where the exporter would make an error of the same kind as any other of it.
func (p *pusher) intercept(
	ctx context.Context, method string, req, reply any,
	cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	err := invoke(ctx, method, req, reply, cc, opts...)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivered = true
	response, ok := reply.(*colmetricpb.ExportMetricsServiceResponse)
	if partial := response.GetPartialSuccess(); ok && partial != nil {
		if partial.GetRejectedDataPoints() != 0 || partial.GetErrorMessage() != "" {
			p.rejected = fmt.Sprintf("%d data points rejected: %s",
				partial.GetRejectedDataPoints(), partial.GetErrorMessage())
			p.rejectedPoints = partial.GetRejectedDataPoints()
		}
		response.PartialSuccess = nil
	}
	return nil
}

func (p *pusher) failed(err error) {
	if err == nil {
		err = errors.New("nothing was sent")
	}
	p.round.failed++
	p.mixed = p.mixed || p.round.taken > 0
	p.status.Err, p.status.Hint = err, exportHint(err)
	if p.status.State == PushAway {
		return
	}
	p.status.State, p.status.Since = PushAway, time.Now()
	p.logger.Warn("the OpenTelemetry Collector does not take the metrics; they are offered again at every interval",
		"endpoint", p.status.Endpoint, "err", err, "check", p.status.Hint)
}

func (p *pusher) taken() {
	now := time.Now()
	p.round.taken++
	p.status.LastSuccess = now
	switch {
	case p.status.State == PushWaiting:
		p.status.State, p.status.Since = PushOK, now
	case p.status.State == PushAway && p.round.failed == 0 && !p.mixed:
		p.back(now)
	}
	if p.rejected == "" {
		return
	}
	p.round.rejected++
	if p.status.Rejected == "" {
		p.logger.Warn("the OpenTelemetry Collector takes the metrics only in part",
			"endpoint", p.status.Endpoint, "err", p.rejected)
	}
	p.status.Rejected = p.rejected
}

func (p *pusher) back(now time.Time) {
	p.logger.Info("the OpenTelemetry Collector takes the metrics again",
		"endpoint", p.status.Endpoint, "away", now.Sub(p.status.Since).Round(time.Millisecond))
	p.status.State, p.status.Since, p.status.Err, p.status.Hint, p.mixed = PushOK, now, nil, "", false
}

// newRound looks back at the round that has ended.
func (p *pusher) newRound() {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.round
	p.round.taken, p.round.failed, p.round.rejected = 0, 0, 0
	if last.taken == 0 || last.failed > 0 {
		return
	}
	if p.status.State == PushAway {
		p.back(time.Now())
	}
	if p.status.Rejected != "" && last.rejected == 0 {
		p.status.Rejected = ""
		p.logger.Info("the OpenTelemetry Collector takes all metrics again", "endpoint", p.status.Endpoint)
	}
}

// announced is a producer that begins a round: the reader asks its producers once for each collection.
func (p *pusher) announced(next sdkmetric.Producer) sdkmetric.Producer { return roundProducer{p, next} }

type roundProducer struct {
	pusher *pusher
	next   sdkmetric.Producer
}

func (r roundProducer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	r.pusher.newRound()
	return r.next.Produce(ctx)
}

// exportHint says what to look at when an export failed.
func exportHint(err error) string {
	text := err.Error()
	if strings.Contains(text, "tls: ") || strings.Contains(text, "x509: ") ||
		strings.Contains(text, "server preface") {
		return "does the receiver use TLS exactly where otlp.endpoint says https://, " +
			"and is its certificate signed by an authority the agent trusts (otlp.tls.ca_file)?"
	}
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return "is the credential in otlp.headers the one the Collector wants?"
	case codes.Unimplemented:
		return "has the receiver a metrics pipeline, and is it OTLP over gRPC (port 4317, not 4318)?"
	case codes.ResourceExhausted:
		return "is the Collector's memory_limiter at work, or its max_recv_msg_size_mib below 4?"
	case codes.DeadlineExceeded:
		return "is the Collector overloaded, or otlp.timeout too short?"
	default:
		return "is the Collector running, and does its OTLP gRPC receiver listen there (port 4317, not 4318)?"
	}
}
