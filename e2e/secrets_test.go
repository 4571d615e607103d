package e2e

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
)

// inhabited is a Drone server with the recorded database and the users of the leak tests.
func inhabited(t *testing.T) *dronetest.Server {
	t.Helper()
	drone, _ := recordedDrone(t, dronetest.Enterprise)
	drone.AddUser(dronetest.User{Login: "scraper", Machine: true, Active: true, Token: ofScraper})
	drone.AddUser(dronetest.User{Login: "person", Active: true, Token: ofPerson})
	return drone
}

// leaky is an agent at debug level that has secrets of every kind, and whose every way out is treacherous.
type leaky struct {
	*findings

	proxy        *treacherous
	agent        *process.Agent
	base, folder string
}

// configure replaces the configuration; text goes below what every one has.
func (l *leaky) configure(t *testing.T, text string) {
	t.Helper()
	text = fmt.Sprintf(`
drone: {server: "http://drone.test"}
poll: {interval: 1s}
state: {path: %s/state}
otlp: {endpoint: "http://collector.test:4317", interval: 1s, headers: {authorization: "Bearer %s"}}
`, l.folder, ofHeader) + text
	if err := os.WriteFile(l.folder+"/config.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startLeaky(t *testing.T) *leaky {
	t.Helper()
	l := &leaky{findings: &findings{}, proxy: newTreacherous(t, inhabited(t)), folder: t.TempDir()}
	if err := os.WriteFile(l.folder+"/token", []byte(ofFile), 0o600); err != nil {
		t.Fatal(err)
	}
	l.configure(t, "")
	address := port.Free(t)
	l.base = "http://" + address
	env := append(l.proxy.env(), "DRONE_TOKEN="+dronetest.DefaultToken,
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20"+ofVariable)
	l.agent = process.Start(t, binary, env, "--config.file="+l.folder+"/config.yaml",
		"--web.listen-address="+address, "--log.level=debug")
	l.agent.Await(t, "a scrape", func() error { return l.scrapes(t, ofScraper, http.StatusOK) })
	return l
}

// scrapes tells whether a token gets that status at /metrics.
func (l *leaky) scrapes(t *testing.T, token string, want int) error {
	t.Helper()
	if got := l.ask(t, http.MethodGet, l.base+"/metrics", token); got != want {
		return fmt.Errorf("status %d, want %d", got, want)
	}
	return nil
}

// reload has the agent read its configuration anew, which also makes it poll at once.
func (l *leaky) reload(t *testing.T, token string, want int) {
	t.Helper()
	if got := l.ask(t, http.MethodPost, l.base+"/-/reload", token); got != want {
		t.Errorf("POST /-/reload: status %d, want %d", got, want)
	}
}

// TestSecretsStayInside lets everything go wrong that can with a token in it, and then searches everything that the
// agent has written, served and sent.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	to := collector.Start(t)
	l := startLeaky(t)
	l.agent.AwaitLine(t, "does not take the metrics") // the proxy refuses, and says why
	l.proxy.tunnels.Store("collector.test:4317", to.Address())
	l.agent.AwaitLine(t, "takes the metrics again")

	for name, trouble := range troubles() {
		l.proxy.troubled.Store(0)
		l.proxy.now.Store(&trouble)
		l.reload(t, ofScraper, http.StatusOK)
		l.agent.Await(t, "a poll to get into trouble: "+name, func() error {
			if l.proxy.troubled.Load() == 0 {
				return errors.New("Drone was not asked")
			}
			return nil
		})
		l.ask(t, http.MethodGet, l.base+"/metrics", ofStranger+name[:1])
		l.ask(t, http.MethodGet, l.base+"/metrics", ofPerson)
		l.ask(t, http.MethodGet, l.base+"/metrics?token="+ofStranger, "")
	}
	l.proxy.now.Store(nil)
	l.misconfigure(t)
	for _, path := range []string{"/", "/-/healthy", "/-/ready", "/nowhere", "/metrics"} {
		l.ask(t, http.MethodGet, l.base+path, ofGuard)
	}
	l.reload(t, ofStranger, http.StatusUnauthorized)
	l.add("the command line", l.agent.Proc(t, "cmdline"))
	l.endWithADump(t)
	l.add("the log", l.agent.Log())
	l.folderOfState(t)
	for _, push := range to.Pushes() {
		text, err := new(pmetric.JSONMarshaler).MarshalMetrics(push.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		l.add("what the Collector was sent", string(text))
	}
	l.search(t)
	if said := l.agent.Log(); !strings.Contains(said, "[redacted]") || !strings.Contains(said, "level=DEBUG") {
		t.Error("the log quotes nobody, or is not at debug level: nothing was tried")
	}
}

// misconfigure puts secrets where they do not belong, reloads in both ways, and ends with a guard of the agent's own.
func (l *leaky) misconfigure(t *testing.T) {
	t.Helper()
	l.configure(t, fmt.Sprintf(`
prometheus: {path: %[1]s, auth: {mode: %[1]s, token_sha256: [%[1]s], %[1]s: x}}
metrics: {histogram: %[1]s, buckets: [%[1]s], repositories: {include: [%[1]s]}}
%[1]s: {}
`, ofGuard))
	l.reload(t, ofScraper, http.StatusInternalServerError)
	l.agent.Signal(t, syscall.SIGHUP)
	l.agent.Await(t, "the second refusal", func() error {
		if n := len(l.agent.Lines("the configuration was not taken over")); n < 2 {
			return fmt.Errorf("%d refusals", n)
		}
		return nil
	})
	l.configure(t, "drone: {token: [\"x") // no YAML, and a key twice
	l.reload(t, ofScraper, http.StatusInternalServerError)
	l.configure(t, fmt.Sprintf("prometheus: {auth: {mode: token, token: %s, token_file: %s/token}}\n", ofGuard, l.folder))
	l.reload(t, ofScraper, http.StatusOK)
	for token, want := range map[string]int{
		ofGuard: http.StatusOK, ofFile: http.StatusOK, "": http.StatusUnauthorized, ofScraper: http.StatusUnauthorized,
	} {
		if got := l.ask(t, http.MethodGet, l.base+"/metrics", token); got != want {
			t.Errorf("with the agent's own tokens: status %d, want %d", got, want)
		}
	}
}

// endWithADump ends the agent with a dump of all goroutines' stacks, which goes to the log.
func (l *leaky) endWithADump(t *testing.T) {
	t.Helper()
	l.agent.Signal(t, syscall.SIGQUIT)
	l.agent.AwaitEnd(t)
	if !strings.Contains(l.agent.Log(), "SIGQUIT: quit") || !strings.Contains(l.agent.Log(), "(*poller).run") {
		t.Error("no stacks were dumped")
	}
}

func (l *leaky) folderOfState(t *testing.T) {
	t.Helper()
	l.folder = filepath.Join(l.folder, "state")
	l.findings.folder(t, "the state", l.folder)
	if len(l.texts["the state builds.db"]) < 4096 {
		t.Errorf("the state has %d bytes", len(l.texts["the state builds.db"]))
	}
}

// TestSecretsOfCommands does the same for the commands that end by themselves.
func TestSecretsOfCommands(t *testing.T) {
	t.Parallel()
	var found findings
	proxy := newTreacherous(t, inhabited(t))
	secured := httptest.NewUnstartedServer(proxy.drone)
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	secured.StartTLS()
	t.Cleanup(secured.Close)
	proxy.tunnels.Store("tls.test:443", secured.Listener.Addr().String())
	all := troubles()
	for _, tc := range []struct {
		name, server string
		code         int
	}{
		{"well", "http://drone.test", 0},
		{"401", "http://drone.test", 3},
		{"no status", "http://drone.test", 1},
		{"redirect to a host", "http://drone.test", 1},
		{"texts for numbers", "http://drone.test", 1},
		{"refused by the proxy", "https://drone.test", 1},
		{"not trusted", "https://tls.test", 1},
		{"a token for a host and port", ofGuard + ":443", 2},
	} {
		if trouble, known := all[tc.name]; known {
			proxy.now.Store(&trouble)
		}
		env := append(proxy.env(), "DRONE_TOKEN="+dronetest.DefaultToken, "DRONE_SERVER="+tc.server,
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.test:4317", "OTEL_EXPORTER_OTLP_TIMEOUT=3000",
			"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20"+ofVariable)
		for _, command := range []string{"check", "once"} {
			a := process.Start(t, binary, env, command, "--log.level=debug")
			code := a.AwaitEnd(t)
			if tc.name == "well" && command == "check" {
				code-- // the Collector is not reached
			}
			if code != tc.code {
				t.Errorf("%s, %s: exit code %d, want %d:\n%s", tc.name, command, code, tc.code, a.Log())
			}
			found.add("what "+command+" prints", a.Log())
		}
		proxy.now.Store(nil)
	}
	found.search(t)
}

// TestCrashLeavesNothing lets check crash in the middle, told to leave a core behind. Its stacks hold no secret, and
// there is no core: neither does the limit allow one.
func TestCrashLeavesNothing(t *testing.T) { //nolint:paralleltest // it changes a limit of the process
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) })
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: limit.Max, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	proxy := newTreacherous(t, inhabited(t))
	slow := trouble(func(_ http.ResponseWriter, r *http.Request, _, _ string) { <-r.Context().Done() })
	proxy.now.Store(&slow)
	var found findings
	for _, command := range []string{"check", "once", "run"} {
		proxy.troubled.Store(0)
		env := append(proxy.env(), "DRONE_TOKEN="+dronetest.DefaultToken, "DRONE_SERVER=http://drone.test",
			"GOTRACEBACK=crash", "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20"+ofVariable)
		args := []string{command}
		if command == "run" {
			args = append(args, "--web.listen-address="+port.Free(t))
		}
		a := process.Start(t, binary, env, args...)
		a.Await(t, "Drone to be asked", func() error {
			if proxy.troubled.Load() == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		for line := range strings.Lines(a.Proc(t, "limits")) {
			rest, is := strings.CutPrefix(line, "Max core file size")
			if is && strings.Join(strings.Fields(rest), " ") != "0 0 bytes" {
				t.Errorf("%s: the limit of a core file is %s", command, rest)
			}
		}
		a.Signal(t, syscall.SIGABRT)
		a.AwaitEnd(t)
		if !strings.Contains(a.Log(), "SIGABRT: abort") {
			t.Errorf("%s: no stacks were dumped: %s", command, a.Log())
		}
		found.add("the stacks of "+command, a.Log())
		if left := a.Left(t); len(left) > 0 {
			t.Errorf("%s leaves %q behind", command, left)
		}
	}
	found.search(t)
}

// TestLoosePermissionsAreSaid starts the agent with a token that everyone can read, and has it checked.
func TestLoosePermissionsAreSaid(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	token := filepath.Join(folder, "token")
	for _, one := range []string{folder, filepath.Dir(folder)} {
		if err := os.Chmod(one, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(token, []byte(dronetest.DefaultToken), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	drone, env := recordedDrone(t, dronetest.Enterprise)
	env = append(env[:1], "DRONE_TOKEN_FILE="+token)
	s := enact(t, drone, nil, env, "poll: {interval: 1s}\n")
	line := s.agent.AwaitLine(t, "the token file can be read by everyone")
	if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "chmod o-r "+token) {
		t.Errorf("the log says %s", line)
	}
	s.stop(t)
	text := process.Output(t, binary, env, "check")
	if !strings.Contains(text, "note  permissions  the token file "+token) {
		t.Errorf("check prints\n%s", text)
	}
}
