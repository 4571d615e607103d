//go:build systemd

package systemd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
)

// builds lets builds of every kind end; running was open before.
func (d *drone) builds(running int64) {
	d.end("e2e/one", dronetest.StatusFailure, running)
	for range 12 { // more than a page of what the agent reads when it is back
		d.end("e2e/one", dronetest.StatusSuccess, d.open("e2e/one"))
	}
	d.end("e2e/two", dronetest.StatusKilled, d.open("e2e/two"))
}

// running makes a build that runs and that the agent knows.
func (a *agent) running(t *testing.T) int64 {
	t.Helper()
	number := a.drone.open("e2e/one")
	a.drone.StartStage("e2e/one", number, 1, "runner-1")
	a.right(t)
	return number
}

func testKilled(t *testing.T, a *agent) {
	running, restarts, mark := a.running(t), a.number(t, "NRestarts"), a.mark(t)
	a.again(t, func() {
		a.run(t, "systemctl", "kill", "--signal=KILL", "--kill-who=main", a.name)
		a.drone.builds(running)
		a.await(t, "activating (auto-restart)")
		a.drone.end("e2e/two", dronetest.StatusSuccess, a.drone.open("e2e/two"))
		a.await(t, "active (running)")
	})
	a.said(t, mark, "code=killed, status=9/KILL")
	if n := a.number(t, "NRestarts"); n != restarts+1 {
		t.Errorf("systemd has restarted the agent %d times, want %d", n, restarts+1)
	}
}

// testHung stops the agent's process in its tracks, as a deadlock would. An instance beside it, with the same watchdog,
// goes on: it feeds it. With a drone.timeout of a second the agent asks systemd for 31 seconds.
func testHung(t *testing.T, a *agent) {
	one, mark := a.instances[0], a.mark(t)
	for _, watched := range []*agent{a, one} {
		watched.configure(t, "drone", "  timeout: 1s\n")
		watched.setting(t, "WatchdogSec=1s\nRestartSec=1s\n")
	}
	allAgain(t, []*agent{a, one}, func() { a.run(t, "systemctl", "restart", a.name, one.name) })
	running := a.running(t)
	one.lasts(t, 35*time.Second, func() {
		a.again(t, func() {
			pid := a.pid(t)
			a.run(t, "systemctl", "kill", "--signal=STOP", "--kill-who=main", a.name)
			a.drone.builds(running)
			await.Until(t, "the watchdog to bite", func() error {
				if a.number(t, "MainPID") == pid {
					return errors.New("the process that hangs is still there")
				}
				return nil
			})
		})
	})
	a.said(t, mark, "Watchdog timeout")
	a.said(t, mark, "Failed with result 'watchdog'")
	for _, watched := range []*agent{a, one} {
		watched.configure(t)
		watched.reload(t)
	}
}

// testDroneAway starts the agent while nobody answers at Drone's address.
func testDroneAway(t *testing.T, a *agent) {
	a.again(t, func() {
		running := a.drone.open("e2e/one")
		a.drone.away()
		a.drone.builds(running)
		mark := a.mark(t)
		a.run(t, "systemctl", "restart", a.name) // fails unless READY comes
		a.lasts(t, 5*time.Second, func() {
			a.statusHas(t, "nothing is known of Drone yet", "last poll failed: ", "connection refused")
		})
		if e := a.said(t, mark, "level=ERROR", "connection refused"); e.Priority != "3" {
			t.Errorf("%q has the priority %s, want 3, an error", e.Message, e.Priority)
		}
		a.drone.back(t)
	})
	a.statusHas(t, "data is ")
	a.drone.away()
	a.statusHas(t, "data is ", "last poll failed: ", "connection refused")
	a.drone.back(t)
	a.right(t)
}

// testDroneHangs starts the agent while Drone takes connections and answers nothing.
func testDroneHangs(t *testing.T, a *agent) {
	a.configure(t, "drone", "  timeout: 16s\n") // longer than it takes to be called ready all the same
	a.again(t, func() {
		a.drone.Intercept(dronetest.Slow())
		running := a.drone.open("e2e/one")
		a.drone.builds(running)
		a.run(t, "systemctl", "restart", a.name)
		a.statusHas(t, "waiting for Drone's first answer")
		a.drone.show()
	})
	a.configure(t)
	a.reload(t)
}

// statusHas waits until the status that the agent tells systemd contains the words.
func (a *agent) statusHas(t *testing.T, words ...string) {
	t.Helper()
	await.Until(t, fmt.Sprintf("the status to contain %q", words), func() error {
		if status := a.show(t, "StatusText"); !hasAll(status, words) {
			return fmt.Errorf("it is %q", status)
		}
		return nil
	})
}

// testLevels holds that the journal knows how grave each line of the agent's is, after all that it has been through.
func testLevels(t *testing.T, a *agent) {
	priorities := map[string]string{"DEBUG": "7", "INFO": "6", "WARN": "4", "ERROR": "3"}
	seen := map[string]int{}
	for _, e := range a.journal(t) {
		if e.Identifier != "drone-otel-agent" {
			continue
		}
		message := string(e.Message)
		if strings.HasPrefix(message, "<") {
			t.Errorf("a line in the journal has the mark of its level: %q", message)
		}
		_, rest, found := strings.Cut(message, "level=")
		if !found {
			continue
		}
		level, _, _ := strings.Cut(rest, " ")
		seen[level]++
		if e.Priority != priorities[level] {
			t.Errorf("the priority is %s, want %s: %q", e.Priority, priorities[level], message)
		}
	}
	for _, level := range []string{"INFO", "WARN", "ERROR"} {
		if seen[level] == 0 {
			t.Errorf("the journal has no line of the level %s: %v", level, seen)
		}
	}
}
