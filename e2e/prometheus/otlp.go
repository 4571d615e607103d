package prometheus

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/prometheus/prometheus/config"
	otlp "github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Receive stores metrics that were pushed as Prometheus's own OTLP endpoint does: it is the endpoint's translation,
// with the settings that it has by default. The pushes are in the order of their times.
func (s *Server) Receive(t testing.TB, pushes ...pmetric.Metrics) {
	t.Helper()
	cfg, err := config.Load("", slog.New(s.log))
	if err != nil {
		t.Fatalf("loading Prometheus's default configuration: %v", err)
	}
	for i, push := range pushes {
		if err := s.receive(t, cfg.OTLPConfig, push); err != nil {
			t.Fatalf("pushing to Prometheus, number %d of %d: %v", i+1, len(pushes), err)
		}
	}
}

func (s *Server) receive(t testing.TB, cfg config.OTLPConfig, push pmetric.Metrics) error {
	t.Helper()
	storage := s.db.AppenderV2(t.Context())
	remarks, err := otlp.NewPrometheusConverter(storage).FromMetrics(t.Context(), push, otlp.Settings{
		AddMetricSuffixes:                    cfg.TranslationStrategy.ShouldAddSuffixes(),
		AllowUTF8:                            !cfg.TranslationStrategy.ShouldEscape(),
		PromoteResourceAttributes:            otlp.NewPromoteResourceAttributes(cfg),
		KeepIdentifyingResourceAttributes:    cfg.KeepIdentifyingResourceAttributes,
		ConvertHistogramsToNHCB:              cfg.ConvertHistogramsToNHCB,
		PromoteScopeMetadata:                 cfg.PromoteScopeMetadata,
		LabelNameUnderscoreSanitization:      cfg.LabelNameUnderscoreSanitization,
		LabelNamePreserveMultipleUnderscores: cfg.LabelNamePreserveMultipleUnderscores,
	})
	if err != nil {
		_ = storage.Rollback()
		return fmt.Errorf("translating it: %w", err)
	}
	if complaints, _ := remarks.AsStrings("", 0, 0); len(complaints) > 0 {
		_ = storage.Rollback()
		return fmt.Errorf("prometheus complains: %q", complaints)
	}
	return storage.Commit()
}
