package exporters

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// maxScrapes is how many scrapes are answered at the same time. A pair of Prometheus servers and somebody
// with curl need three.
const maxScrapes = 10

// newOwnRegistry holds what is about the agent's process: the runtime and process metrics that Drone's own
// endpoint has (Drone uses client_golang's default collectors), and the build.
func newOwnRegistry(agentVersion string) (*prometheus.Registry, error) {
	reg := prometheus.NewRegistry()
	build := version.NewCollector("drone_otel_agent")
	if agentVersion != "" {
		build = version.NewCollector("drone_otel_agent",
			version.WithExtraConstLabels(prometheus.Labels{"version": agentVersion}))
	}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering the process's own metrics: %w", err)
		}
	}
	return reg, nil
}

// Handler serves everything in whatever format the client asks for: text, OpenMetrics, protobuf (the only
// one with native histograms), compressed if it likes. A series that cannot be shown costs itself, a log
// line and promhttp_metric_handler_errors_total, not the scrape. It does not ask who reads: see [Guard].
func (p *Provider) Handler() http.Handler {
	all := &scrapeLog{next: joined{p.instruments, p.own}, what: "metrics for a scrape", logger: p.logger}
	return promhttp.InstrumentMetricHandler(p.own, promhttp.HandlerFor(all, promhttp.HandlerOpts{
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          debugLog{p.logger},
		Registry:          p.own,
		EnableOpenMetrics: true,
	}))
}

// debugLog takes what promhttp has to say. Errors of gathering are in the log already (scrapeLog), and
// the others are about clients that went away in the middle, one line for each metric family not sent.
type debugLog struct{ logger *slog.Logger }

func (l debugLog) Println(v ...any) {
	l.logger.Debug("serving a scrape", "err", strings.TrimSpace(fmt.Sprintln(v...)))
}

// repeatGatherError is how often a gather error that stays is logged again.
const repeatGatherError = 10 * time.Minute

// scrapeLog logs that metrics cannot be gathered: when it begins, now and then while it lasts, and when it
// is over. Scrapes come every few seconds and would otherwise say it each time.
type scrapeLog struct {
	next   prometheus.Gatherer
	what   string
	logger *slog.Logger

	mu     sync.Mutex
	bad    bool
	logged time.Time
}

// Gather passes on what there is, and the error.
func (s *scrapeLog) Gather() ([]*dto.MetricFamily, error) {
	families, err := s.next.Gather()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case err != nil && (!s.bad || now.Sub(s.logged) >= repeatGatherError):
		s.bad, s.logged = true, now
		s.logger.Error("some metrics are left out: gathering "+s.what+" failed", "err", oneLine(err))
	case err == nil && s.bad:
		s.bad = false
		s.logger.Info("no metrics are left out any more: gathering " + s.what + " works again")
	}
	return families, err
}

// oneLine puts the errors of a gathering, there may be thousands, into a line that can be read.
func oneLine(err error) string {
	const most = 3
	var all prometheus.MultiError
	if !errors.As(err, &all) {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	var texts []string
	for _, e := range all[:min(most, len(all))] {
		texts = append(texts, strings.ReplaceAll(e.Error(), "\n", "; "))
	}
	if more := len(all) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

// tolerant drops the error of a gathering: the bridge to OTLP would throw away everything gathered for
// it, and hand the error to OpenTelemetry's global handler.
type tolerant struct{ next prometheus.Gatherer }

func (t tolerant) Gather() ([]*dto.MetricFamily, error) {
	families, _ := t.next.Gather()
	return families, nil
}
