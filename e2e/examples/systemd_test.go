package examples

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/process"
)

const oneHost = "../../examples/systemd-one-host/"

// install does what the README's commands do with its files, below a folder instead of /, and gives that.
func install(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	commands := regexp.MustCompile(`(?m)^\$ sudo install -m (\d+)(?: -g \w+)? (\S+) (/etc/\S+)$`).FindAllStringSubmatch(
		read(t, oneHost+"README.md"), -1)
	if len(commands) != 9 {
		t.Fatalf("README.md installs %d files, want 9: %q", len(commands), commands)
	}
	for _, command := range commands {
		source := command[2]
		if !filepath.IsAbs(source) {
			source = oneHost + source
		}
		write(t, root+command[3], read(t, source))
	}
	files, err := os.ReadDir(oneHost)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		used := func(command []string) bool { return command[2] == file.Name() }
		if file.Name() != "README.md" && !slices.ContainsFunc(commands, used) {
			t.Errorf("README.md does not say what %s is for", file.Name())
		}
	}
	return root
}

// variables are those of an environment file, as systemd reads it.
func variables(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(read(t, path)) {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case !found:
			t.Fatalf("%s: %q sets nothing", path, line)
		default:
			all[name] = strings.Trim(value, `"`)
		}
	}
	return all
}

// The agent, Prometheus and the Collector of examples/systemd-one-host, from the files that its README has installed.
func TestOneHost(t *testing.T) {
	t.Parallel()
	root := install(t)
	drone, url := startDrone(t)
	next := collector.Start(t)

	passing := variables(t, root+"/etc/otelcol-contrib/otelcol-contrib.conf")
	if passing["OTLP_NEXT"] == "" {
		t.Error("otelcol-contrib.conf does not say who is next")
	}
	var files []string
	for _, flag := range strings.Fields(passing["OTELCOL_OPTIONS"]) {
		file, found := strings.CutPrefix(flag, "--config=")
		if !found {
			t.Errorf("%s is not tested", flag)
		}
		files = append(files, root+file)
	}
	otelcol, endpoint := startCollector(t, []string{"OTLP_NEXT=" + next.Address()}, freePort(t), files...)

	pushing := variables(t, root+"/etc/default/drone-otel-agent")
	want := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317"}
	if !maps.Equal(pushing, want) {
		t.Errorf("the agent's environment is %q, want %q", pushing, want)
	}
	write(t, root+"/etc/drone-otel-agent/drone-token", dronetest.DefaultToken)
	agent, address := startAgent(t, with(t, read(t, root+"/etc/drone-otel-agent/config.yaml"),
		"https://drone.example.com", url)+"poll: {interval: 1s}\notlp: {interval: 1s}\n",
		"CREDENTIALS_DIRECTORY="+root+"/etc/drone-otel-agent", "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)

	prom := scrapeOneHost(t, root, address)
	drone.CreateBuild(repository, dronetest.BuildSpec{})
	prom.awaits(t, `drone_up{job="drone-otel-agent"}`, 1)
	prom.awaits(t, `drone_build_count{job="drone-otel-agent"}`, 1)
	prom.awaits(t, `up`, 1)
	prom.hasAlerts(t)
	arrives(t, agent, next)
	// Nothing has come to Prometheus besides by its scrape.
	prom.awaits(t, `count(drone_up)`, 1)
	prom.withoutComplaint(t)
	ends(t, agent, otelcol, prom.Agent)
}

// scrapeOneHost starts Prometheus with the file, the token and the flags that the README has installed.
func scrapeOneHost(t *testing.T, root, address string) server {
	t.Helper()
	write(t, root+"/etc/prometheus/drone-token", dronetest.DefaultToken)
	config := root + "/etc/prometheus/prometheus.yml"
	write(t, config, with(t, read(t, config), "localhost:9464", address, "scrape_interval: 15s", "scrape_interval: 1s"))
	var flags []string
	for _, flag := range strings.Fields(variables(t, root+"/etc/default/prometheus")["ARGS"]) {
		if !strings.HasPrefix(flag, "--web.listen-address=") {
			flags = append(flags, flag)
		}
	}
	return startPrometheus(t, config, flags...)
}

// arrives waits until who is next has what the agent pushed.
func arrives(t *testing.T, agent *process.Agent, next *collector.Collector) {
	t.Helper()
	agent.Await(t, "the push to arrive", func() error {
		push, err := next.Last()
		if err != nil {
			return err
		}
		if builds, err := push.Gauge("drone.build.count"); err != nil || builds != 1 {
			return fmt.Errorf("drone.build.count is %v (%w), want 1", builds, err)
		}
		return nil
	})
}
