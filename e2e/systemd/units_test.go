//go:build systemd

package systemd

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/port"
)

// testSocket lets systemd listen, as the manual says: the agent may be away for a moment, and no scrape is refused.
func testSocket(t *testing.T, a *agent) {
	socket := unit{host: a.host, name: "drone-otel-agent.socket"}
	a.again(t, func() {
		// The port that is in the unit may be taken on this machine.
		socket.dropIn(t, "[Socket]\nListenStream=\nListenStream="+a.address+"\n")
		a.typed(t, "sudo systemctl stop drone-otel-agent")
		a.typed(t, "sudo systemctl enable --now drone-otel-agent.socket drone-otel-agent.service")
	})
	if state := socket.state(t); state != "active (running)" {
		t.Errorf("the socket is %s", state)
	}
	a.again(t, func() {
		// Two at a time, and many restarts: a scrape must come in the very moment in which the agent goes.
		const scrapers, restarts = 2, 10
		stop, scraped := make(chan struct{}), make(chan error, scrapers)
		for range scrapers {
			go func() { scraped <- a.scrapeAllTheTime(t.Context(), stop) }()
		}
		for range restarts {
			a.run(t, "systemctl", "restart", a.name)
		}
		close(stop)
		for range scrapers {
			if err := <-scraped; err != nil {
				t.Errorf("while the agent was restarted: %v", err)
			}
		}
	})
	a.again(t, func() {
		a.run(t, "systemctl", "stop", a.name)
		a.drone.builds(a.drone.open("e2e/one"))
		a.answers(t, a.token, http.StatusOK) // which starts it
	})
	a.again(t, func() {
		a.typed(t, "sudo systemctl disable --now drone-otel-agent.socket drone-otel-agent.service")
		a.typed(t, "sudo systemctl enable --now drone-otel-agent.service")
	})
}

// scrapeAllTheTime scrapes one time after the other, and tells the first one that is not answered.
func (a *agent) scrapeAllTheTime(ctx context.Context, stop <-chan struct{}) error {
	for n := 0; ; n++ {
		select {
		case <-stop:
			if n < 10 {
				return fmt.Errorf("only %d scrapes, which show little", n)
			}
			return nil
		default:
		}
		if status, body, err := a.scrape(ctx, a.token); err != nil || status != http.StatusOK {
			return fmt.Errorf("scrape %d answered %d (%w): %s", n, status, err, body)
		}
	}
}

// testInstances runs two more agents beside the first one, as the manual says, for a Drone server of each edition.
// They stay, for the parts that follow.
func testInstances(t *testing.T, a *agent) {
	for name, edition := range map[string]dronetest.Edition{"one": dronetest.Enterprise, "two": dronetest.Community} {
		i := &agent{
			unit:    unit{host: a.host, name: "drone-otel-agent@" + name + ".service"},
			drone:   startDrone(a.life, edition, "e2e/one", "e2e/two"),
			address: port.Free(t),
			config:  folder + "/" + name + ".yaml",
			token:   dronetest.DefaultToken,
			told:    tally{},
			life:    a.life,
		}
		i.logOnFailure(a.life)
		a.instances = append(a.instances, i)
		i.sitAtEditor(t, name+".token")
		i.typed(t, "cd "+folder+
			" && sudo install -m 0644 config.yaml "+name+".yaml && sudo install -m 0600 drone-token "+name+".token"+
			" && sudoedit "+name+".yaml "+name+".token && sudo systemctl enable --now drone-otel-agent@"+name)
		i.base = i.run(t, "cat", i.config) + "\n"
	}
	for _, i := range a.instances {
		i.await(t, "active (running)")
		i.right(t)
		i.drone.builds(i.drone.open("e2e/one"))
		i.right(t)
		i.same(t, func() { i.reload(t) })
		i.again(t, func() {
			i.run(t, "systemctl", "stop", i.name)
			i.drone.builds(i.drone.open("e2e/one"))
			i.run(t, "systemctl", "start", i.name)
		})
	}
	a.right(t)
}
