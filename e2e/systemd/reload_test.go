//go:build systemd

package systemd

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
)

// same holds that something happens without another process of the agent, and without a count lost.
func (a *agent) same(t *testing.T, happen func()) {
	t.Helper()
	pid, told := a.pid(t), a.toldHere(t)
	happen()
	if is := a.pid(t); is != pid {
		t.Errorf("the agent has another process, %d instead of %d", is, pid)
	}
	if after := a.toldHere(t); after.differs(told) != nil {
		t.Errorf("the counters changed: %v", after.differs(told))
	}
}

// toldHere are the builds that the running process told, of which there must be some.
func (a *agent) toldHere(t *testing.T) tally {
	t.Helper()
	now, err := a.figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told := now.finished()
	if err := (tally{}).differs(told); err == nil {
		t.Fatal("the process has told no build yet: a restart could not be seen")
	}
	return told
}

// reloads waits until the gauge says how the last reload went.
func (a *agent) reloads(t *testing.T, well float64) {
	t.Helper()
	const name = "drone_agent_config_last_reload_successful"
	await.Until(t, name, func() error {
		now, err := a.figures(t.Context())
		if err == nil && now[name] != well {
			return fmt.Errorf("it is %v, want %v", now[name], well)
		}
		return err
	})
}

func testReload(t *testing.T, a *agent) {
	a.same(t, func() {
		mark := a.mark(t)
		a.configure(t, "poll", "  users_interval: 1s\n", "prometheus", "  path: /elsewhere\n")
		a.reload(t)
		a.said(t, mark, "waits for a restart", "prometheus.path")
		a.reloads(t, 1)
	})
	a.await(t, "active (running)")
	a.drone.AddUser(dronetest.User{Login: "newcomer"}) // who is not seen for five minutes otherwise
	a.right(t)
	a.configure(t)
	a.same(t, func() { a.reload(t) })
	a.right(t)
}

// testOwnToken rotates the token that Prometheus comes with: the old one, both, the new one.
func testOwnToken(t *testing.T, a *agent) {
	drones := a.token
	for _, step := range []struct {
		accepted []string
		let      map[string]int
	}{
		{[]string{firstOwnToken}, map[string]int{firstOwnToken: 200, secondOwnToken: 401, drones: 401}},
		{[]string{firstOwnToken, secondOwnToken}, map[string]int{firstOwnToken: 200, secondOwnToken: 200}},
		{[]string{secondOwnToken}, map[string]int{firstOwnToken: 401, secondOwnToken: 200}},
	} {
		var digests []string
		for _, token := range step.accepted {
			digests = append(digests, fmt.Sprintf("%x", sha256.Sum256([]byte(token))))
		}
		pid := a.pid(t)
		auth := fmt.Sprintf("  auth: {mode: token, token_sha256: [%s]}\n", strings.Join(digests, ", "))
		a.configure(t, "prometheus", auth)
		a.reload(t)
		for token, want := range step.let {
			a.answers(t, token, want)
		}
		if is := a.pid(t); is != pid {
			t.Errorf("the agent has another process, %d instead of %d", is, pid)
		}
	}
	a.configure(t)
	a.reload(t)
	a.answers(t, secondOwnToken, http.StatusUnauthorized)
	a.right(t)
}

// testBadConfiguration tries to bring mistakes into force, in every way there is.
func testBadConfiguration(t *testing.T, a *agent) {
	spoil := func() { a.configure(t, "prometheus", "  auth: {mode: nobody}\n  pat: /metrics\n") }
	before, _, _ := strings.Cut(a.base, "\nprometheus:\n")
	line := strings.Count(before, "\n") + 3
	first := fmt.Sprintf("%s:%d: prometheus.auth.mode: ", configFile, line)
	second := fmt.Sprintf("%s:%d: prometheus.pat: ", configFile, line+1)
	for _, way := range []struct {
		name string
		try  func()
	}{
		{"systemctl reload", func() { a.fails(t, "systemctl", "reload", a.name) }},
		{"SIGHUP", func() { a.run(t, "systemctl", "kill", "--signal=HUP", "--kill-who=main", a.name) }},
	} {
		spoil()
		a.same(t, func() {
			mark := a.mark(t)
			way.try()
			for _, mistake := range []string{first, second} {
				if e := a.said(t, mark, mistake); e.Priority != "3" {
					t.Errorf("%s: %q has the priority %s, want 3, an error", way.name, e.Message, e.Priority)
				}
			}
		})
		a.await(t, "active (running)")
		a.right(t)
		a.reloads(t, 0)
		a.statusHas(t, "the newest configuration was refused", "prometheus.auth.mode")
		a.configure(t)
		a.same(t, func() { a.reload(t) })
		a.reloads(t, 1)
	}
	spoil()
	a.again(t, func() {
		a.drone.hide()
		a.drone.builds(a.drone.open("e2e/one"))
		a.fails(t, "systemctl", "restart", a.name)
		a.await(t, "failed (failed)") // trying again would not mend it
		a.drone.show()
		a.configure(t)
		a.run(t, "systemctl", "restart", a.name)
	})
	a.drone.end("e2e/one", dronetest.StatusSuccess, a.drone.open("e2e/one"))
	a.right(t)
	a.same(t, func() { a.reload(t) })
	a.reloads(t, 1)
}

// testDroneToken rotates the token that the agent comes to Drone with. systemd hands it over anew at a reload, and the
// reload would fail where it did not.
func testDroneToken(t *testing.T, a *agent) {
	pid := a.pid(t)
	running := a.drone.open("e2e/one")
	a.drone.UpdateUser("prometheus", func(u *dronetest.User) { u.Token = secondDroneToken })
	a.statusHas(t, "last poll failed: ", "401 Unauthorized")
	a.drone.end("e2e/one", dronetest.StatusSuccess, running, a.drone.open("e2e/one"))
	a.drone.end("e2e/two", dronetest.StatusError, a.drone.open("e2e/two"))
	a.write(t, tokenFile, "0600", secondDroneToken+"\n")
	a.token = secondDroneToken
	a.reload(t)
	a.right(t)
	if is := a.pid(t); is != pid {
		t.Errorf("the agent has another process, %d instead of %d", is, pid)
	}
	a.again(t, func() { a.run(t, "systemctl", "restart", a.name) })
	a.answers(t, dronetest.DefaultToken, http.StatusUnauthorized)
}
