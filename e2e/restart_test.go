package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
	"drone-otel-agent/e2e/prometheus"
)

// again kills the agent as the kernel does, lets things happen in Drone, and starts the agent once more on the
// same state. Prometheus sees that it was away.
func (s *scene) again(t *testing.T, prom *prometheus.Server, meanwhile func()) {
	t.Helper()
	s.pollsGoOn(t, 2) // what the poll before told is written down by then
	s.agent.Kill(t)
	meanwhile()
	for _, gone := range []string{"drone_build_finished_total", "up == 1"} {
		await.Until(t, "no "+gone, func() error { return nothing(t.Context(), prom, gone) })
	}
	s.begin(t)
}

// Builds that end while the agent is down are told once after it is back, and none that was told before, though
// it had no time to end in order.
func TestKilledAndBack(t *testing.T) {
	onBoth(t, func(t *testing.T, edition dronetest.Edition) {
		drone := anew(t, edition, "e2e/one", "e2e/two")
		drone.atOnce("e2e/two", dronetest.StatusFailure, 5) // before the agent's time: never told
		s := drone.watched(t, nil,
			eachSecond+fmt.Sprintf("state: {path: %q}\n", filepath.Join(t.TempDir(), "state")))
		prom := s.scrape(t, bearer)
		s.ready(t, prom)
		told := func(what string, want table) {
			t.Helper()
			s.agent.Await(t, what, func() error {
				return want.inPrometheus(t.Context(), prom, "drone_build_finished_total")
			})
		}
		drone.atOnce("e2e/one", dronetest.StatusSuccess, 2)
		runs, waits, stays := drone.open("e2e/one"), drone.open("e2e/one"), drone.open("e2e/two")
		drone.StartStage("e2e/one", runs, 1, "runner-1")
		told("what ended before", twoRepos(2, 0, 0, 0))
		s.agent.Await(t, "the open builds", func() error {
			return table{"": 3}.inPrometheus(t.Context(), prom, "drone_running_builds + drone_pending_builds")
		})

		var born int64
		s.again(t, prom, func() {
			drone.pass(60)
			drone.FinishBuild("e2e/one", runs, dronetest.StatusFailure)
			drone.FinishBuild("e2e/one", waits, dronetest.StatusSuccess)
			drone.atOnce("e2e/one", dronetest.StatusSuccess, 12) // more than a page of the census
			drone.atOnce("e2e/two", dronetest.StatusFailure, 2)
			born = drone.open("e2e/two")
			drone.AddRepo(dronetest.Repo{Slug: "e2e/new", Active: true})
			drone.atOnce("e2e/new", dronetest.StatusKilled, 1)
		})
		after := twoRepos(13, 1, 0, 2)
		after["cicd.pipeline.name=e2e/new drone.build.status=success"] = 0
		after["cicd.pipeline.name=e2e/new drone.build.status=failure"] = 0
		after["cicd.pipeline.name=e2e/new drone.build.status=killed"] = 1
		told("what ended meanwhile", after)
		drone.FinishBuild("e2e/two", stays, dronetest.StatusSuccess)
		drone.FinishBuild("e2e/two", born, dronetest.StatusSuccess)
		after["cicd.pipeline.name=e2e/two drone.build.status=success"] = 2
		told("what was open all the time", after)
		s.pollsGoOn(t, 5)
		told("the same, polls later", after)
		stored := float64(drone.Totals().Builds)
		count, err := prom.Value(t.Context(), "drone_build_count")
		if err := differs("drone_build_count", count, stored, err); err != nil {
			t.Error(err)
		}

		s.again(t, prom, func() {})
		s.ready(t, prom)
		s.pollsGoOn(t, 5)
		none := twoRepos(0, 0, 0, 0)
		none["cicd.pipeline.name=e2e/new drone.build.status=success"] = 0
		none["cicd.pipeline.name=e2e/new drone.build.status=failure"] = 0
		told("nothing", none)
		s.stop(t)
	})
}

// twoRepos is drone.build.finished of two repositories.
func twoRepos(oneSuccess, oneFailure, twoSuccess, twoFailure float64) table {
	return table{
		"cicd.pipeline.name=e2e/one drone.build.status=success": oneSuccess,
		"cicd.pipeline.name=e2e/one drone.build.status=failure": oneFailure,
		"cicd.pipeline.name=e2e/two drone.build.status=success": twoSuccess,
		"cicd.pipeline.name=e2e/two drone.build.status=failure": twoFailure,
	}
}
