//go:build systemd

package systemd

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
)

// Units that the package brings, as arguments for systemd-analyze.
var allUnits = []string{
	service, "drone-otel-agent.socket", "drone-otel-agent@one.service",
}

// mostExposure is what `systemd-analyze security` may say, from 0 to 10.
const mostExposure = 1.5

func testGuard(t *testing.T, a *agent) {
	for _, request := range []struct {
		token string
		want  int
	}{
		{a.token, 200},
		{"", 401},
		{"0123456789abcdef0123456789abcdef", 401},
	} {
		status, body, err := a.scrape(t.Context(), request.token)
		if err != nil || status != request.want {
			t.Errorf("with the token %q a scrape answers %d (%v), want %d", request.token, status, err, request.want)
		}
		if told := strings.Contains(body, "drone_build_count"); told != (request.want == 200) {
			t.Errorf("with the token %q a scrape tells the figures: %t", request.token, told)
		}
	}
	a.drone.end("e2e/one", dronetest.StatusSuccess, a.drone.open("e2e/one"), a.drone.open("e2e/one"))
	a.drone.end("e2e/two", dronetest.StatusFailure, a.drone.open("e2e/two"))
	running := a.drone.open("e2e/two")
	a.drone.StartStage("e2e/two", running, 1, "runner-1")
	a.drone.open("e2e/one")
	a.right(t)
	a.drone.end("e2e/two", dronetest.StatusKilled, running)
	a.right(t)
}

// status is a line of /proc/PID/status.
func (u unit) status(t *testing.T, key string) string {
	t.Helper()
	for line := range strings.Lines(u.proc(t, "status")) {
		if value, found := strings.CutPrefix(line, key+":"); found {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("no %s in the status of the process", key)
	return ""
}

func testConfined(t *testing.T, a *agent) {
	user, _, _ := strings.Cut(a.status(t, "Uid"), " ")
	if id, err := strconv.Atoi(user); err != nil || id < 61184 || id > 65519 {
		t.Errorf("the agent runs as user %s, want one of systemd's dynamic users, 61184 to 65519", user)
	}
	for key, want := range map[string]string{
		"CapInh": "0000000000000000",
		"CapPrm": "0000000000000000",
		"CapEff": "0000000000000000",
		"CapBnd": "0000000000000000",
		"CapAmb": "0000000000000000",
		// No new privileges, and a filter for system calls.
		"NoNewPrivs": "1",
		"Seccomp":    "2",
	} {
		if is := a.status(t, key); is != want {
			t.Errorf("%s of the process is %s, want %s", key, is, want)
		}
	}
	if passwd := a.run(t, "cat", "/etc/passwd"); strings.Contains(passwd, "drone") {
		t.Error("there is a user of the agent's in /etc/passwd, want a dynamic one")
	}
	// What it can see and write, asked from inside its mount namespace.
	inside := func(command ...string) error {
		_, err := a.try(t.Context(), append([]string{
			"nsenter", "--target", strconv.Itoa(a.pid(t)), "--mount", "--",
			"setpriv", "--reuid=" + user, "--clear-groups", "--"}, command...)...)
		return err
	}
	for _, path := range []string{"/etc", "/usr/bin", "/var/lib", "/home", "/root", "/sys/fs/cgroup"} {
		if inside("touch", path+"/left-by-e2e") == nil {
			t.Errorf("the agent's user can write in %s", path)
		}
	}
	if inside("cat", tokenFile) == nil {
		t.Errorf("the agent's user can read %s, want its credential alone to be readable", tokenFile)
	}
	if err := inside("touch", "/var/lib/drone-otel-agent/left-by-e2e"); err != nil {
		t.Errorf("the agent's user cannot write its state: %v", err)
	}
	a.run(t, "rm", "-f", "/var/lib/private/drone-otel-agent/left-by-e2e")
}

func testExposure(t *testing.T, a *agent) {
	verify := "systemd-analyze --man=no verify " + strings.Join(allUnits, " ") + " 2>&1"
	if said, err := a.try(t.Context(), "sh", "-c", verify); err != nil || said != "" {
		t.Errorf("%s: %v\n%s", verify, err, said)
	}
	overall := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)
	for _, name := range []string{service, "drone-otel-agent@one.service"} {
		said := a.run(t, "systemd-analyze", "--no-pager", "security", name)
		found := overall.FindStringSubmatch(said)
		if found == nil {
			t.Errorf("systemd-analyze security does not tell the exposure of %s:\n%s", name, said)
			continue
		}
		if exposure, err := strconv.ParseFloat(found[1], 64); err != nil || exposure > mostExposure {
			t.Errorf("the exposure of %s is %s, want at most %v:\n%s", name, found[1], mostExposure, said)
		}
		t.Logf("the exposure of %s is %s", name, found[1])
	}
}

func testLimits(t *testing.T, a *agent) {
	for property, most := range map[string]uint64{
		"MemoryHigh":  512 << 20,
		"MemoryMax":   512 << 20,
		"TasksMax":    256, // systemd's own default is thousands
		"LimitNOFILE": 8192,
		"LimitCORE":   0,
	} {
		value := a.show(t, property)
		if n, err := strconv.ParseUint(value, 10, 64); err != nil || n > most {
			t.Errorf("%s of %s is %s, want at most %d", property, a.name, value, most)
		}
	}
	for property, want := range map[string]string{
		"Restart": "on-failure", "WatchdogUSec": "3min", "TimeoutStartUSec": "1min", "TimeoutStopUSec": "30s",
	} {
		if value := a.show(t, property); value != want {
			t.Errorf("%s of %s is %s, want %s", property, a.name, value, want)
		}
	}
}

func testState(t *testing.T, a *agent) {
	if is := a.run(t, "readlink", "/var/lib/drone-otel-agent"); is != "private/drone-otel-agent" {
		t.Errorf("/var/lib/drone-otel-agent leads to %s, want private/drone-otel-agent", is)
	}
	if mode := a.run(t, "stat", "--format=%a", "/var/lib/private/drone-otel-agent"); mode != "700" {
		t.Errorf("the mode of the state's folder is %s, want 700", mode)
	}
	// As the agent sees it: from outside, newer versions of systemd show another owner (an ID-mapped mount).
	user, _, _ := strings.Cut(a.status(t, "Uid"), " ")
	is := a.run(t, "nsenter", "--target", strconv.Itoa(a.pid(t)), "--mount", "--",
		"stat", "--format=%u %a", "/var/lib/drone-otel-agent/builds.db")
	if is != user+" 600" {
		t.Errorf("owner and mode of the state are %s, want %s 600", is, user)
	}
}
