//go:build image

package image

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
	"drone-otel-agent/e2e/port"
)

// configuration is what is mounted over the image's own.
const configuration = `
drone:
  server: %s
  token_file: /etc/drone-otel-agent/drone-token
  tls: {ca_file: /etc/drone-otel-agent/ca.pem}
poll: {interval: 1s}
prometheus: {listen_address: "%s"}
`

// TestWatchesDrone: a Drone server with TLS, everything in mounted files, and a volume for the state.
func TestWatchesDrone(t *testing.T) {
	drone := dronetest.New(dronetest.Enterprise)
	if err := drone.LoadRecorded(); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewTLSServer(drone)
	defer web.Close()
	address := port.Free(t)
	mounted := folder(t, map[string]string{
		"config.yaml": fmt.Sprintf(configuration, web.URL, address),
		"drone-token": dronetest.DefaultToken + "\n",
		"ca.pem":      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})),
	})
	args := []string{
		"--network=host", "--read-only", "--volume=" + mounted + ":/etc/drone-otel-agent:ro",
		"--volume=state:/var/lib/drone-otel-agent", name, "--log.level=debug",
	}
	first := start(t, args...)
	awaitMetric(t, address, "\ndrone_build_count 212\n")
	if answer, err := scrape(t, address, "no-token"); err != nil || answer != "401 Unauthorized" {
		t.Errorf("a scrape with a wrong token: %.100s, %v", answer, err)
	}
	first.confined(t)

	// It hangs, and goes on.
	if said := first.sick(t); said != "" {
		t.Errorf("the health check fails: %s", said)
	}
	process := first.process(t)
	signal(t, process, syscall.SIGSTOP)
	said := first.sick(t)
	signal(t, process, syscall.SIGCONT)
	if !strings.Contains(said, "1 drone-otel-agent: asking the agent at "+address+": no answer") {
		t.Errorf("the health check of an agent that hangs says %q", said)
	}
	if said := first.sick(t); said != "" {
		t.Errorf("the health check fails: %s", said)
	}

	podman.do(t, "kill", "--signal=HUP", first.id)
	first.awaitLog(t, "configuration reloaded")

	// What ends while it is down is told by the next container on the same volume.
	number := drone.CreateBuild("org0/service-00003", dronetest.BuildSpec{}).Number
	first.awaitPolls(t, drone, 2)
	podman.do(t, "kill", first.id)
	podman.do(t, "wait", first.id)
	drone.FinishBuild("org0/service-00003", number, dronetest.StatusSuccess)
	second := start(t, args...)
	await.Until(t, "the build that ended meanwhile", func() error {
		text, err := scrape(t, address, dronetest.DefaultToken)
		if err != nil {
			return err
		}
		told := regexp.MustCompile(`(?m)^drone_build_finished_total{.*org0/service-00003.*success"} 1$`)
		if !told.MatchString(text) {
			return errors.New("it is not told")
		}
		return nil
	})
	podman.do(t, "stop", second.id)
	if code := second.inspect(t, ".State.ExitCode"); code != "0" {
		t.Errorf("exit code %s after podman stop", code)
	}
	for line := range strings.Lines(first.log(t) + second.log(t)) {
		refused := strings.Contains(line, "a request was refused") // that is the wrong token
		if strings.Contains(line, dronetest.DefaultToken) || strings.Contains(line, "level=WARN") && !refused {
			t.Errorf("a warning or a token in the log: %s", line)
		}
	}
}

// TestEnvironment: two variables and a secret are enough, as the README has it.
func TestEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	podman.do(t, "secret", "create", "drone-token", file)
	c := start(t, "--network=none", "--env=DRONE_SERVER=https://drone.example.com",
		"--secret=drone-token,uid=65532,mode=0400", "--env=DRONE_TOKEN_FILE=/run/secrets/drone-token",
		"--volume=drone-otel-agent:/var/lib/drone-otel-agent", name)
	c.awaitLog(t, "polling drone failed")
	if said := c.sick(t); said != "" {
		t.Errorf("the health check fails: %s", said)
	}
	c.confined(t)
	log := c.log(t)
	if strings.Contains(log, "level=WARN") || strings.Contains(log, "the state") || !strings.Contains(log, ":9464") {
		t.Errorf("not what it should say:\n%s", log)
	}
	// Other commands have the same configuration.
	podman.do(t, "exec", c.id, "/usr/bin/drone-otel-agent", "check", "--offline")
	out, err := podman.try(t.Context(), runs("--rm", "--network=none", name, "check", "--offline")...)
	if err == nil || !strings.Contains(err.Error(), "DRONE_SERVER is not set") {
		t.Errorf("a configuration without a server: %v\n%s", err, out)
	}
}

// process is the agent's id as seen from here.
func (c container) process(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(c.inspect(t, ".State.Pid"))
	if err != nil || pid == 0 {
		t.Fatalf("the container has no process: %v", err)
	}
	return pid
}

// confined holds that the agent is nobody and can become nobody else.
func (c container) confined(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.process(t)), "status"))
	if err != nil {
		t.Fatal(err)
	}
	status := strings.Join(strings.Fields(string(raw)), " ")
	id := strconv.Itoa(nobody)
	for _, want := range []string{
		"Uid: " + strings.TrimSpace(strings.Repeat(id+" ", 4)), "Gid: " + strings.TrimSpace(strings.Repeat(id+" ", 4)),
		"Groups: " + id + " ", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2",
	} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in %s", want, status)
		}
	}
}

// awaitLog waits for a text in the log.
func (c container) awaitLog(t *testing.T, text string) {
	t.Helper()
	await.Until(t, text, func() error {
		if log := c.log(t); !strings.Contains(log, text) {
			return fmt.Errorf("it is not in\n%s", log)
		}
		return nil
	})
}

// awaitPolls waits until so many polls have begun from now on.
func (c container) awaitPolls(t *testing.T, drone *dronetest.Server, polls int) {
	t.Helper()
	before := drone.Requests()["GET /api/queue"]
	await.Until(t, "polls", func() error {
		if now := drone.Requests()["GET /api/queue"]; now < before+polls {
			return fmt.Errorf("%d polls", now-before)
		}
		return nil
	})
}

func signal(t *testing.T, process int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(process, signal); err != nil {
		t.Fatal(err)
	}
}
