package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/prometheus"
)

// queue is drone.queue.jobs: what waits and runs on plain linux/amd64, and on linux/arm64 in the pool named big.
func queue(pending, running, bigPending, bigRunning float64) metric {
	const plain, big = " os=linux arch=amd64 type=docker", " os=linux arch=arm64 type=docker drone.stage.label.pool=big"
	return metric{"drone.queue.jobs", "drone_queue_jobs", pmetric.MetricTypeGauge, table{
		"drone.stage.status=pending" + plain: pending, "drone.stage.status=running" + plain: running,
		"drone.stage.status=pending" + big: bigPending, "drone.stage.status=running" + big: bigRunning,
	}}
}

// The queue's gauges rise and fall to a zero that means an empty queue. While Drone is out of reach there is
// nothing, and never a zero: an autoscaler must not take "unknown" for "empty".
func TestQueueForAutoscalers(t *testing.T) {
	onBoth(t, func(t *testing.T, edition dronetest.Edition) {
		to := collector.Start(t)
		drone := anew(t, edition, "e2e/one")
		s := drone.watched(t, to,
			"poll: {interval: 1s, stale_after: 3s}\notlp: {interval: 1s}\nmetrics: {queue_labels: [pool]}\n")
		prom := s.scrape(t, bearer)
		s.ready(t, prom)
		now := func(want metric) {
			t.Helper()
			s.holds(t, prom, to, []metric{want})
		}
		if err := nothing(t.Context(), prom, "drone_queue_jobs"); err != nil {
			t.Errorf("before any stage was seen: %v", err)
		}
		stages := []dronetest.StageSpec{
			{Name: "build"}, {Name: "test"}, {Name: "arm", Arch: "arm64", Labels: map[string]string{"pool": "big"}},
		}
		build := drone.CreateBuild("e2e/one", dronetest.BuildSpec{Stages: stages}).Number
		now(queue(2, 0, 1, 0))
		drone.StartStage("e2e/one", build, 1, "runner-1")
		drone.StartStage("e2e/one", build, 3, "runner-2")
		now(queue(1, 1, 0, 1))
		drone.FinishBuild("e2e/one", build, dronetest.StatusSuccess)
		now(queue(0, 0, 0, 0))

		build = drone.CreateBuild("e2e/one", dronetest.BuildSpec{Stages: stages}).Number
		now(queue(2, 0, 1, 0))
		away := time.Now()
		drone.Intercept(dronetest.Cut(""))
		s.unknown(t, prom, to)
		drone.Intercept(nil)
		now(queue(2, 0, 1, 0))
		zeros := func() string {
			return fmt.Sprintf(`count_over_time((drone_queue_jobs{drone_stage_status="pending"} == 0)[%dms:100ms])`,
				time.Since(away).Milliseconds())
		}
		if err := nothing(t.Context(), prom, zeros()); err != nil {
			t.Errorf("while Drone was away: %v", err)
		}
		drone.FinishBuild("e2e/one", build, dronetest.StatusSuccess)
		now(queue(0, 0, 0, 0))
		s.agent.Await(t, "zeros to be found where there are some", func() error {
			if nothing(t.Context(), prom, zeros()) == nil {
				return fmt.Errorf("%s finds none", zeros())
			}
			return nil
		})
		s.stop(t)
	})
}

// unknown waits until nothing is told of the queue any more, while the agent itself is there.
func (s *scene) unknown(t *testing.T, prom *prometheus.Server, to *collector.Collector) {
	t.Helper()
	s.agent.Await(t, "the queue to become unknown", func() error {
		up, err := prom.Value(t.Context(), "up + drone_up")
		push, other := to.Last()
		if other != nil {
			return other
		}
		for _, name := range []string{"drone.queue.jobs", "drone.queue.oldest.age", "drone.pending.jobs"} {
			if _, absent := push.Metric(name); absent == nil {
				other = fmt.Errorf("the Collector is told of %s", name)
			}
		}
		return errors.Join(differs("up + drone_up", up, 1, err), other, nothing(t.Context(), prom,
			`{__name__=~"drone_queue_.*|drone_(pending|running)_.*|cicd_worker_count|cicd_pipeline_run_active"}`))
	})
}
