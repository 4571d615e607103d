package faults

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/process"
)

// What the agent is configured to. It may ask so little that the limit is felt.
const (
	rate       = 6 // requests a second
	interval   = time.Second
	timeout    = 5 * time.Second
	staleAfter = 10 * time.Second
	pushEvery  = 5 * time.Second
)

// configuration is the agent's file. Few series make scrapes cheap; there are many agents here.
const configuration = `
drone: {timeout: %s, max_requests_per_second: %d, tls: {ca_file: %q}}
poll: {interval: %s, stale_after: %s}
otlp: {interval: %s, timeout: %s}
metrics: {stages: false, buckets: [60]}
state: {path: %q}
`

// scene is one agent on a Drone server.
type scene struct {
	world  *world
	agent  *process.Agent
	url    string
	client *http.Client

	env, args []string // of the agent's process
}

// enact starts the agent on a Drone server that it reaches at an address. It keeps its state.
func enact(t *testing.T, w *world, address string, variables ...string) *scene {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "config.yaml")
	text := fmt.Sprintf(configuration, timeout, rate, w.authority, interval, staleAfter, pushEvery, timeout,
		filepath.Join(folder, "state"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatalf("writing the agent's configuration: %v", err)
	}
	scheme := "http"
	if w.authority != "" {
		scheme = "https"
	}
	transport := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	drone := []string{"DRONE_SERVER=" + scheme + "://" + address, "DRONE_TOKEN=" + dronetest.DefaultToken}
	s := &scene{
		world: w, client: &http.Client{Transport: transport},
		env:  append(drone, variables...),
		args: []string{"--config.file=" + file, "--web.listen-address=127.0.0.1:0", "--log.level=debug"},
	}
	s.begin(t)
	return s
}

// begin starts the agent's process, also once more after it has ended.
func (s *scene) begin(t *testing.T) {
	t.Helper()
	s.agent = process.Start(t, binary, s.env, s.args...)
	line := s.agent.AwaitLine(t, "msg=listening")
	found := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("the agent does not say where it listens: %s", line)
	}
	s.url = "http://" + found[1]
}

// ready waits until the agent knows Drone, so that what ends from now on is told.
func (s *scene) ready(t *testing.T) {
	t.Helper()
	s.eventually(t, "the first poll", func(now sample) error {
		if !now.up || !now.seen {
			return errors.New("the agent is not up")
		}
		return nil
	})
}

// eventually scrapes until a sample is as it should be.
func (s *scene) eventually(t *testing.T, what string, right func(sample) error) (last sample) {
	t.Helper()
	s.agent.Await(t, what, sparing(func() (err error) {
		if last, err = s.scrape(t.Context()); err != nil {
			return err
		}
		return right(last)
	}))
	return last
}

// lookEvery is the time between two looks at a condition: many agents share the machine.
const lookEvery = 300 * time.Millisecond

// sparing makes a condition one that is looked at every now and then.
func sparing(condition func() error) func() error {
	var (
		looked time.Time
		err    error
	)
	return func() error {
		if time.Since(looked) > lookEvery {
			err = condition()
			looked = time.Now()
		}
		return err
	}
}

// polls is how many polls have ended since the process began, well or not.
func (s *scene) polls() int {
	return len(s.agent.Lines(`msg="polled drone"`)) + len(s.agent.Lines(`msg="polling drone failed"`))
}

// pollsGoOn waits until some more polls have ended.
func (s *scene) pollsGoOn(t *testing.T, polls int) {
	t.Helper()
	enough := s.polls() + polls
	s.agent.Await(t, fmt.Sprintf("%d more polls", polls), sparing(func() error {
		if n := s.polls(); n < enough {
			return fmt.Errorf("%d have ended, not yet %d", n, enough)
		}
		return nil
	}))
}

// telling is one build that the agent told, in which of its polls.
type telling struct {
	build
	status string
	poll   int
}

// told reads from an agent's log the builds that it told, and how many polls it ended.
func told(t *testing.T, agent *process.Agent) (all []telling, polls int) {
	t.Helper()
	line := regexp.MustCompile(`msg="a build ended" repository=(\S+) build=(\d+) status=(\S+)`)
	for text := range strings.Lines(agent.Log()) {
		if strings.Contains(text, `msg="polled drone"`) || strings.Contains(text, `msg="polling drone failed"`) {
			polls++
		}
		if !strings.Contains(text, `msg="a build ended"`) {
			continue
		}
		found := line.FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no repository, build and status in the line %q", text)
		}
		number, err := strconv.ParseInt(found[2], 10, 64)
		if err != nil {
			t.Fatalf("the number of a build: %v", err)
		}
		all = append(all, telling{build{found[1], number}, found[3], polls})
	}
	return all, polls
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
