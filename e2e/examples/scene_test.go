package examples

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
)

// repository is the one that has builds.
const repository = "e2e/one"

// startDrone starts a Drone server with one repository, and gives its address.
func startDrone(t *testing.T) (drone *dronetest.Server, url string) {
	t.Helper()
	drone = dronetest.New(dronetest.Enterprise)
	drone.AddRepo(dronetest.Repo{Slug: repository, Active: true})
	web := httptest.NewServer(drone)
	t.Cleanup(web.Close)
	return drone, web.URL
}

// startAgent starts the agent with the text of a configuration, and gives where it is scraped.
func startAgent(t *testing.T, configuration string, env ...string) (running *process.Agent, address string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	write(t, file, configuration)
	address = port.Free(t)
	running = process.Start(t, agent, env, "--config.file="+file, "--web.listen-address="+address)
	return running, address
}

// startCollector starts a Collector with files that are laid over each other, and gives where to push.
func startCollector(t *testing.T, env []string, ownPort string, files ...string) (running *process.Agent, url string) {
	t.Helper()
	address := port.Free(t)
	var flags []string
	for _, file := range files {
		flags = append(flags, "--config="+absolute(t, file))
	}
	env = append(env, "OTLP_LISTEN="+address, "COLLECTOR_METRICS_PORT="+ownPort)
	running = process.Start(t, otelcol, env, flags...)
	running.AwaitLine(t, "Everything is ready")
	return running, "http://" + address
}

// freePort is a port of the loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	_, number, _ := strings.Cut(port.Free(t), ":")
	return number
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// with replaces what depends on the machine, pair by pair, each of which is there once.
func with(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if n := strings.Count(text, pairs[i]); n != 1 {
			t.Fatalf("%q is there %d times, want once, in\n%s", pairs[i], n, text)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// ends holds that programs end in order.
func ends(t *testing.T, programs ...*process.Agent) {
	t.Helper()
	for _, one := range programs {
		if code := one.Terminate(t); code != 0 {
			t.Errorf("after SIGTERM a program ended with exit code %d, want 0:\n%s", code, one.Log())
		}
	}
}
