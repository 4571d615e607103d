package faults

import (
	"context"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"drone-otel-agent/droneapi/dronetest"
)

// sample is what one scrape showed.
type sample struct {
	began, ended time.Time
	up           bool
	// known tells that Drone is known, and seen that what waits and runs in it is too: that is not told while a
	// repository has open builds about which Drone gave no answer. fresh is when the poll began that it is all of.
	known, seen bool
	fresh       time.Time
	figures
	// finished counts the builds that ended, by repository and status.
	finished map[ending]int
	usage
}

// ending is one series of drone_build_finished_total.
type ending struct{ slug, status string }

// usage is what the agent's process has of the machine.
type usage struct{ goroutines, files, heap, resident, cpu float64 }

// scrapeTime bounds a scrape, also while Drone is away, who is asked who the caller is. Prometheus waits no longer.
const scrapeTime = 10 * time.Second

// scrape reads the agent's metrics.
func (s *scene) scrape(ctx context.Context) (sample, error) {
	out := sample{began: time.Now(), finished: map[ending]int{}}
	ctx, cancel := context.WithTimeout(ctx, scrapeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/metrics", nil)
	if err != nil {
		return out, err
	}
	req.Header.Set("Authorization", "Bearer "+dronetest.DefaultToken)
	resp, err := s.client.Do(req)
	if err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("the scrape is answered with %s", resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return out, fmt.Errorf("reading the scrape: %w", err)
	}
	out.ended = time.Now()
	return out, out.read(families)
}

// read takes the families apart.
func (s *sample) read(families map[string]*dto.MetricFamily) error {
	there := 0
	value := func(name string) float64 {
		series := families[name].GetMetric()
		if len(series) != 1 {
			return 0
		}
		there++
		return series[0].GetGauge().GetValue()
	}
	for i, name := range []string{
		"drone_pending_builds", "drone_pending_jobs", "drone_running_builds", "drone_running_jobs",
	} {
		s.open[i] = int(value(name))
	}
	s.seen = there == len(s.open)
	s.builds, s.users = int(value("drone_build_count")), int(value("drone_user_count"))
	s.repos = int(value("drone_repo_count"))
	if s.known = there > 0; s.known && there != 7 && there != 7-len(s.open) {
		return fmt.Errorf("%d of the seven are there", there)
	}
	s.up = value("drone_up") == 1
	if fresh := value("drone_agent_poll_last_success_timestamp_seconds"); fresh > 0 {
		s.fresh = time.Unix(0, int64(fresh*1e9))
	}
	s.usage = usage{
		goroutines: value("go_goroutines"), files: value("process_open_fds"),
		heap: value("go_memstats_heap_inuse_bytes"), resident: value("process_resident_memory_bytes"),
		cpu: families["process_cpu_seconds_total"].GetMetric()[0].GetCounter().GetValue(),
	}
	for _, series := range families["drone_build_finished_total"].GetMetric() {
		var of ending
		for _, label := range series.GetLabel() {
			switch label.GetName() {
			case "cicd_pipeline_name":
				of.slug = label.GetValue()
			case "drone_build_status":
				of.status = label.GetValue()
			}
		}
		if n := int(series.GetCounter().GetValue()); n > 0 {
			s.finished[of] = n
		}
	}
	return nil
}
