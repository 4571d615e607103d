// Package prometheus runs the real Prometheus inside the test: its configuration, discovery, scraping,
// storage and query language, wired as its own main does it. Only the static discovery is compiled in.
package prometheus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
)

// reload is how soon a new set of targets is taken up: Prometheus's own five seconds only slow the tests.
const reload = 50 * time.Millisecond

// Server is a running Prometheus.
type Server struct {
	log     *warnings
	db      *tsdb.DB
	engine  *promql.Engine
	targets *scrape.Manager
}

// Start runs Prometheus with a configuration file's text until the end of the test.
func Start(t testing.TB, configuration string) *Server {
	t.Helper()
	s := &Server{log: &warnings{}}
	logger := slog.New(s.log)
	cfg, err := config.Load(configuration, logger)
	if err != nil {
		t.Fatalf("loading Prometheus's configuration: %v", err)
	}
	registry := prometheus.NewRegistry()
	s.openStorage(t, logger, registry)
	s.startScraping(t, logger, registry, cfg)
	return s
}

func (s *Server) openStorage(t testing.TB, logger *slog.Logger, registry *prometheus.Registry) {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), logger, registry, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatalf("opening Prometheus's storage: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing Prometheus's storage: %v", err)
		}
	})
	s.db = db
	s.engine = promql.NewEngine(promql.EngineOpts{
		Logger: logger, Reg: registry, MaxSamples: 1e6, Timeout: 10 * time.Second,
	})
}

func (s *Server) startScraping(
	t testing.TB, logger *slog.Logger, registry *prometheus.Registry, cfg *config.Config,
) {
	t.Helper()
	sdMetrics, err := discovery.CreateAndRegisterSDMetrics(registry)
	if err != nil {
		t.Fatalf("registering the discovery's metrics: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	found := discovery.NewManager(ctx, logger, registry, sdMetrics, discovery.Updatert(reload))
	s.targets, err = scrape.NewManager(
		&scrape.Options{DiscoveryReloadInterval: model.Duration(reload)}, logger, nil, s.db, nil, registry)
	if err != nil {
		cancel()
		t.Fatalf("making the scrape manager: %v", err)
	}
	jobs, err := cfg.GetScrapeConfigs()
	if err == nil {
		err = s.targets.ApplyConfig(cfg)
	}
	if err == nil {
		static := map[string]discovery.Configs{}
		for _, job := range jobs {
			static[job.JobName] = job.ServiceDiscoveryConfigs
		}
		err = found.ApplyConfig(static)
	}
	if err != nil {
		cancel()
		t.Fatalf("applying Prometheus's configuration: %v", err)
	}
	var running sync.WaitGroup
	// Both say no more at their end than that their context has ended.
	running.Go(func() { _ = found.Run() })
	running.Go(func() { _ = s.targets.Run(found.SyncCh()) })
	t.Cleanup(func() {
		cancel()
		s.targets.Stop()
		running.Wait()
	})
}

// Value answers a query that has exactly one series, with its newest value.
func (s *Server) Value(ctx context.Context, query string) (float64, error) {
	series, err := s.Query(ctx, query)
	if err != nil {
		return 0, err
	}
	if len(series) != 1 {
		return 0, fmt.Errorf("%s has %d series, want 1: %v", query, len(series), series)
	}
	return series[0].F, nil
}

// Query answers a query as of now.
func (s *Server) Query(ctx context.Context, query string) (promql.Vector, error) {
	series, _, err := s.Ask(ctx, query)
	return series, err
}

// Ask is Query with what Prometheus remarks on the query beside the answer, as its own page shows it: that a
// metric is no counter, that histograms of two kinds were mixed.
func (s *Server) Ask(ctx context.Context, query string) (series promql.Vector, remarks []string, err error) {
	question, err := s.engine.NewInstantQuery(ctx, s.db, nil, query, time.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("querying %s: %w", query, err)
	}
	defer question.Close()
	result := question.Exec(ctx)
	series, err = result.Vector()
	if err != nil {
		return nil, nil, fmt.Errorf("querying %s: %w", query, err)
	}
	warnings, infos := result.Warnings.AsStrings(query, 0, 0)
	// The answer's memory goes back to a pool when the question is closed.
	return append(promql.Vector(nil), series...), append(warnings, infos...), nil
}

// ScrapeError is what Prometheus's targets page shows as the last scrape's error, nil where it went well.
// Before the first scrape, and where there is not exactly one target, the second result tells so.
func (s *Server) ScrapeError() (scraped, problem error) {
	target, err := s.target()
	if err != nil {
		return nil, err
	}
	return target.LastError(), nil
}

// Type is the type Prometheus learned for a metric from its last scrape.
func (s *Server) Type(name string) (model.MetricType, error) {
	target, err := s.target()
	if err != nil {
		return "", err
	}
	metadata, known := target.GetMetadata(name)
	if !known {
		return "", fmt.Errorf("the target has no metric named %s", name)
	}
	return metadata.Type, nil
}

// Warnings returns what Prometheus logged as a warning or worse: samples that it had to drop among them.
func (s *Server) Warnings() []string { return s.log.all() }

func (s *Server) target() (*scrape.Target, error) {
	var all []*scrape.Target
	for _, targets := range s.targets.TargetsActive() {
		all = append(all, targets...)
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("prometheus has %d targets, want 1", len(all))
	}
	if all[0].LastScrape().IsZero() {
		return nil, fmt.Errorf("prometheus has not scraped %s yet", all[0].URL())
	}
	return all[0], nil
}
