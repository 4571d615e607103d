package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"

	"drone-otel-agent/droneapi/dronetest"
)

// forgotten is a toxic that forgets connections, as a firewall does that is started anew: what is sent on them
// vanishes for ever, and nobody says so.
type forgotten struct {
	// Until is when those must have begun that are forgotten, in nanoseconds of Unix time.
	Until int64 `json:"until"`
}

// begun is when a connection began, or when the toxic came upon it.
type begun struct{ at time.Time }

// NewState implements toxics.StatefulToxic.
func (*forgotten) NewState() any { return begun{time.Now()} }

// Pipe implements toxics.Toxic.
func (f *forgotten) Pipe(stub *toxics.ToxicStub) {
	connection, _ := stub.State.(begun)
	dead := connection.at.UnixNano() < f.Until
	for {
		var chunk *stream.StreamChunk
		select {
		case <-stub.Interrupt:
			return
		case chunk = <-stub.Input:
		}
		switch {
		case chunk == nil:
			stub.Close()
			return
		case !dead:
			stub.Output <- chunk
		}
	}
}

// forget forgets every connection that there is, and those that begin within a time.
func (l *link) forget(t *testing.T, within time.Duration) {
	t.Helper()
	until := time.Now().Add(within).UnixNano()
	for _, direction := range []string{"upstream", "downstream"} {
		text := fmt.Sprintf(`{"type":"forgotten","stream":%q,"attributes":{"until":%d}}`, direction, until)
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			t.Fatalf("adding the toxic %s: %v", text, err)
		}
	}
}

// forgetting is how long it takes at the least to forget.
const forgetting = 200 * time.Millisecond

// Where the connections that the agent keeps to Drone are forgotten between two polls, the figures are right within two
// polls, however many connections there were: Drone can be reached all the while.
func TestForgottenConnections(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"HTTP/1.1", "HTTP/2"} {
		for _, edition := range editions {
			t.Run(over+"/"+edition.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, edition, over == "HTTP/2")
				line := between(t, w.address)
				s := enact(t, w, line.address())
				s.ready(t)
				_, stopMoving := w.move(t)
				s.settled(t)
				stopMoving()
				// On a slow line several requests are under way at once, each on a connection of its own in HTTP/1.1.
				line.suffer(t, fault{toxics: []toxic{down("latency", map[string]int{"latency": 500})}})
				s.pollsGoOn(t, 2)
				line.forget(t, forgetting)
				w.change(func() build { return build{"faults/b", w.CreateBuild("faults/b", dronetest.BuildSpec{}).Number} })
				s.rightAgain(t)
				s.toldOnce(t)
				s.stop(t)
			})
		}
	}
}
