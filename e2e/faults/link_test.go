package faults

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"drone-otel-agent/e2e/await"
	"drone-otel-agent/e2e/port"
)

// toxic is one thing that toxiproxy does to a direction of every connection: upstream is from the agent, downstream
// to it.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]int `json:"attributes"`
	// Toxicity is the share of connections that are affected; 0 is all.
	Toxicity float64 `json:"toxicity,omitempty"`
}

// up and down make a toxic for one direction.
func up(kind string, attributes map[string]int) toxic { return toxic{kind, "upstream", attributes, 0} }
func down(kind string, attributes map[string]int) toxic {
	return toxic{kind, "downstream", attributes, 0}
}

// fault is what is wrong with a line for a while.
type fault struct {
	name   string
	toxics []toxic
	// refused tells that nobody listens: every connection is cut and none is taken.
	refused bool
	// total tells that no exchange can succeed.
	total bool
	// forgets tells that connections are dead that began before the fault is over, for ever.
	forgets bool
	// short tells that all builds end before they can be seen to wait or run, while it lasts.
	short bool
}

// link is the line between the agent and an upstream.
type link struct {
	proxy    *toxiproxy.Proxy
	upstream string
}

// between puts a line without a fault in front of an upstream.
func between(t *testing.T, upstream string) *link {
	t.Helper()
	l := &link{upstream: upstream}
	// Another test may take the port between its choice and its use.
	await.Until(t, "a port to listen on", func() error { return l.listen(t, port.Free(t)) })
	t.Cleanup(func() { l.proxy.Stop() })
	return l
}

// listen makes a line without a fault that begins at an address.
func (l *link) listen(t *testing.T, address string) error {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l.proxy = toxiproxy.NewProxy(server, t.Name(), address, l.upstream)
	return l.proxy.Start()
}

// address is where the line begins.
func (l *link) address() string { return l.proxy.Listen }

// suffer begins a fault, on the connections that there are too.
func (l *link) suffer(t *testing.T, f fault) {
	t.Helper()
	if f.refused {
		l.proxy.Stop()
	}
	if f.forgets {
		l.forget(t, lasting)
	}
	for _, one := range f.toxics {
		text, err := json.Marshal(one)
		if err != nil {
			t.Fatalf("describing a toxic: %v", err)
		}
		if _, err := l.proxy.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
			t.Fatalf("adding the toxic %s: %v", text, err)
		}
	}
}

// lift ends the fault, and cuts the connections that there are: toxiproxy sometimes waits for ever where it is to take
// a toxic off a connection that ends just then, so another line takes the place of the faulty one. A line that forgets
// stays as it is.
func (l *link) lift(t *testing.T, f fault) {
	t.Helper()
	if f.forgets {
		return
	}
	l.proxy.Stop()
	await.Until(t, "the line to begin where it did", func() error { return l.listen(t, l.proxy.Listen) })
}
