package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
	"drone-otel-agent/e2e/prometheus"
)

// configuration is the agent's file, laid over the built-in one, which takes the rest from the environment.
const configuration = `
poll:
  interval: 1s
otlp:
  interval: %s
`

// often is a push interval for tests that watch the push go on.
const often = "1s"

// scene is one agent with what it watches and where it listens.
type scene struct {
	drone   *dronetest.Server
	agent   *process.Agent
	address string // of the Prometheus endpoint

	env, args []string // of the agent's process
}

// play starts a Drone server with the recorded database, and the agent on it. The Collector may be nil;
// variables are added to the agent's environment.
func play(
	t *testing.T, edition dronetest.Edition, to *collector.Collector, pushEvery string, variables ...string,
) scene {
	t.Helper()
	drone, env := recordedDrone(t, edition)
	return enact(t, drone, to, append(env, variables...), fmt.Sprintf(configuration, pushEvery))
}

// enact starts the agent on a Drone server with the text of a configuration file, an environment and more flags.
func enact(
	t *testing.T, drone *dronetest.Server, to *collector.Collector, env []string, configuration string, flags ...string,
) scene {
	t.Helper()
	if to != nil {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+to.Endpoint())
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatalf("writing the agent's configuration: %v", err)
	}
	s := scene{drone: drone, address: port.Free(t), env: env}
	s.args = append([]string{"--config.file=" + file, "--web.listen-address=" + s.address}, flags...)
	s.begin(t)
	return s
}

// begin starts the agent's process, also once more after it has ended.
func (s *scene) begin(t *testing.T) {
	t.Helper()
	s.agent = process.Start(t, binary, s.env, s.args...)
}

// recordedDrone is a Drone server with the recorded database, and the environment that leads the agent to it.
func recordedDrone(t *testing.T, edition dronetest.Edition) (drone *dronetest.Server, env []string) {
	t.Helper()
	start := time.Now()
	drone = dronetest.New(edition, dronetest.WithClock(func() time.Time {
		return time.Unix(dronetest.RecordedAt, 0).Add(time.Since(start))
	}))
	if err := drone.LoadRecorded(); err != nil {
		t.Fatalf("preparing Drone: %v", err)
	}
	web := httptest.NewServer(today(drone))
	t.Cleanup(web.Close)
	return drone, []string{"DRONE_SERVER=" + web.URL, "DRONE_TOKEN=" + dronetest.DefaultToken}
}

// today moves the times in Drone's answers from the day of the recording to now. The agent's process has the
// clock of the machine, and on the community edition it looks for open builds among those of the last day.
func today(drone http.Handler) http.Handler {
	unixSeconds := regexp.MustCompile(`\b1[0-9]{9}\b`)
	since := time.Now().Unix() - dronetest.RecordedAt
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		drone.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(unixSeconds.ReplaceAllFunc(answer.Body.Bytes(), func(then []byte) []byte {
			seconds, _ := strconv.ParseInt(string(then), 10, 64)
			return strconv.AppendInt(nil, seconds+since, 10)
		}))
	})
}

// scrape starts a Prometheus on the agent's endpoint. authorization is what people write in its
// configuration to send a token; any other line of a scrape configuration may go with it.
func (s *scene) scrape(t *testing.T, authorization string) *prometheus.Server {
	t.Helper()
	return prometheus.Start(t, fmt.Sprintf(`
scrape_configs:
  - job_name: drone
    scrape_interval: 500ms
    scrape_timeout: 500ms
    %s
    static_configs:
      - targets: [%q]
`, authorization, s.address))
}

// stop ends the agent as systemd does and holds what must be true of every run.
func (s *scene) stop(t *testing.T) {
	t.Helper()
	if code := s.agent.Terminate(t); code != 0 {
		t.Errorf("after SIGTERM the agent ended with exit code %d, want 0", code)
	}
	if strings.Contains(s.agent.Log(), dronetest.DefaultToken) {
		t.Error("the token is in the agent's log")
	}
}

// pollsGoOn waits until the agent has polled Drone some more times: how tests let time pass.
func (s *scene) pollsGoOn(t *testing.T, polls int) {
	t.Helper()
	enough := s.drone.RequestCount() + polls
	s.agent.Await(t, fmt.Sprintf("%d more requests to Drone", polls), func() error {
		if n := s.drone.RequestCount(); n < enough {
			return fmt.Errorf("Drone has had %d requests, not yet %d", n, enough)
		}
		return nil
	})
}

// seven are Drone's own metrics as the simulated server counts them, by OpenTelemetry's name.
type seven map[string]float64

// recorded is what the real server's database held; the table of the seven in its recordings.
func recorded() seven {
	return seven{
		"drone.build.count":    212,
		"drone.user.count":     7,
		"drone.repo.count":     13,
		"drone.pending.builds": 5,
		"drone.running.builds": 2,
		"drone.pending.jobs":   6,
		"drone.running.jobs":   2,
	}
}

func totals(drone *dronetest.Server) seven {
	now := drone.Totals()
	return seven{
		"drone.build.count":    float64(now.Builds),
		"drone.user.count":     float64(now.Users),
		"drone.repo.count":     float64(now.Repos),
		"drone.pending.builds": float64(now.PendingBuilds),
		"drone.running.builds": float64(now.RunningBuilds),
		"drone.pending.jobs":   float64(now.PendingJobs),
		"drone.running.jobs":   float64(now.RunningJobs),
	}
}

// names are the seven OpenTelemetry names, sorted.
func (want seven) names() []string {
	var names []string
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// promName is the Prometheus name of an OpenTelemetry one that gets no suffix.
func promName(name string) string { return strings.ReplaceAll(name, ".", "_") }

// inPrometheus tells which of the seven Prometheus answers otherwise.
func (want seven) inPrometheus(ctx context.Context, prom *prometheus.Server) error {
	var wrong []error
	for _, name := range want.names() {
		got, err := prom.Value(ctx, promName(name))
		wrong = append(wrong, differs(promName(name), got, want[name], err))
	}
	return errors.Join(wrong...)
}

// inPush tells which of the seven the newest push has otherwise, their being gauges included.
func (want seven) inPush(to *collector.Collector) error {
	push, err := to.Last()
	if err != nil {
		return err
	}
	var wrong []error
	for _, name := range want.names() {
		got, err := push.Gauge(name)
		wrong = append(wrong, differs(name, got, want[name], err))
	}
	return errors.Join(wrong...)
}

func differs(name string, got, want float64, err error) error {
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s is %v, want %v", name, got, want)
	}
	return nil
}
