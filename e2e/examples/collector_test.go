package examples

import (
	"strings"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
)

// The agent pushes to the Collector, and that writes to Prometheus, in both ways of examples/collector-prometheus.
func TestCollectorInFrontOfPrometheus(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ overlay, flag, variable, path string }{
		{"remote-write.yaml", "--web.enable-remote-write-receiver", "REMOTE_WRITE_URL", "/api/v1/write"},
		{"otlp.yaml", "--web.enable-otlp-receiver", "PROMETHEUS_OTLP_URL", "/api/v1/otlp"},
	} {
		t.Run(way.overlay, func(t *testing.T) {
			t.Parallel()
			const folder = "../../examples/collector-prometheus/"
			if !strings.Contains(read(t, folder+"README.md"), way.flag+"\n") {
				t.Errorf("README.md does not say %s", way.flag)
			}
			ownPort := freePort(t)
			config := t.TempDir() + "/prometheus.yaml"
			write(t, config, with(t, read(t, folder+"prometheus.yaml"),
				"localhost:8888", "localhost:"+ownPort, "scrape_interval: 15s", "scrape_interval: 1s",
				"../../deploy", absolute(t, "../../deploy")))
			prom := startPrometheus(t, config, way.flag)
			collector, endpoint := startCollector(t, []string{way.variable + "=" + prom.url + way.path}, ownPort,
				"../../deploy/collector/config.yaml", folder+way.overlay)
			drone, url := startDrone(t)
			agent, _ := startAgent(t, "poll: {interval: 1s}\notlp: {interval: 1s}\n", "DRONE_SERVER="+url,
				"DRONE_TOKEN="+dronetest.DefaultToken, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)

			prom.awaits(t, `drone_up{job="drone-otel-agent",instance!=""}`, 1)
			build := drone.CreateBuild(repository, dronetest.BuildSpec{}).Number
			prom.awaits(t, `drone_queue_jobs{os="linux",arch="amd64",type="docker",drone_stage_status="pending"}`, 1)
			drone.StartStage(repository, build, 1, "runner-1")
			drone.FinishBuild(repository, build, dronetest.StatusSuccess)
			prom.awaits(t, `sum by (job) (drone_build_finished_total{cicd_pipeline_name="e2e/one"})`, 1)
			prom.awaits(t, `sum(cicd_pipeline_run_duration_seconds_bucket{le="+Inf"})`, 2)
			// Labels that no scrape has.
			prom.awaits(t, `count({job="drone-otel-agent",__name__!="target_info"}) - `+
				`count({job="drone-otel-agent",__name__!="target_info",otel_scope_name="",service_name=""})`, 0)
			prom.awaits(t, `up{job="otelcol"}`, 1)
			prom.hasAlerts(t)
			drone.Intercept(dronetest.Cut(""))
			// DroneUnreachable, once it lasts.
			prom.awaits(t, `drone_up{job="drone-otel-agent"} == 0`, 0)
			prom.withoutComplaint(t)
			ends(t, agent, collector, prom.Agent)
		})
	}
}
