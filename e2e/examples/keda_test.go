package examples

import (
	"fmt"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"drone-otel-agent/droneapi/dronetest"
)

// kedaQuery is the query of the ScaledObject.
func kedaQuery(t *testing.T) string {
	t.Helper()
	var object struct {
		Spec struct {
			Triggers []struct{ Metadata struct{ Query string } }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "../../examples/keda/scaledobject.yaml")), &object); err != nil {
		t.Fatal(err)
	}
	if n := len(object.Spec.Triggers); n != 1 {
		t.Fatalf("the ScaledObject has %d triggers, want 1", n)
	}
	return object.Spec.Triggers[0].Metadata.Query
}

// What KEDA is told: the jobs of the platform, waiting and running, a zero where there are none, and nothing at all,
// which it takes for a failure, where nobody knows.
func TestKEDAIsToldTheQueue(t *testing.T) {
	t.Parallel()
	drone, url := startDrone(t)
	agent, address := startAgent(t, "poll: {interval: 1s, stale_after: 3s}\n",
		"DRONE_SERVER="+url, "DRONE_TOKEN="+dronetest.DefaultToken)
	config := t.TempDir() + "/prometheus.yaml"
	write(t, config, fmt.Sprintf(`
scrape_configs:
  - job_name: drone-otel-agent
    scrape_interval: 500ms
    scrape_timeout: 500ms
    authorization: {credentials: %q}
    static_configs:
      - targets: [%q]
`, dronetest.DefaultToken, address))
	prom, query := startPrometheus(t, config), kedaQuery(t)
	told := func(want ...float64) {
		t.Helper()
		prom.awaits(t, query, want...)
	}
	// The platform's series are not there yet.
	told(0)
	prom.awaits(t, "absent(drone_queue_jobs)", 1)

	stages := []dronetest.StageSpec{{Name: "build"}, {Name: "test"}, {Name: "lint"}, {Name: "arm", Arch: "arm64"}}
	build := drone.CreateBuild(repository, dronetest.BuildSpec{Stages: stages}).Number
	told(3)
	drone.StartStage(repository, build, 1, "runner-1")
	prom.awaits(t, "drone_running_jobs", 1)
	told(3)
	drone.FinishStage(repository, build, 1, dronetest.StatusSuccess)
	told(2)

	away := time.Now()
	drone.Intercept(dronetest.Cut(""))
	told()
	drone.Intercept(nil)
	told(2)
	zeros := fmt.Sprintf("count_over_time((%s == 0)[%dms:100ms])", "("+query+")", time.Since(away).Milliseconds())
	if values, err := prom.values(t.Context(), zeros); err != nil || len(values) > 0 {
		t.Errorf("KEDA was told 0 while Drone was away: %s is %v (%v)", zeros, values, err)
	}

	drone.FinishBuild(repository, build, dronetest.StatusSuccess)
	told(0)
	agent.Kill(t)
	told()
	prom.withoutComplaint(t)
	ends(t, prom.Agent)
}
