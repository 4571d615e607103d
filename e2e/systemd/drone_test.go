//go:build systemd

package systemd

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
	"drone-otel-agent/e2e/port"
)

// drone is a Drone server that knows how its builds ended.
type drone struct {
	*dronetest.Server
	address string
	web     *httptest.Server

	mu   sync.Mutex
	done tally
}

// tally counts builds that ended, by "repository status".
type tally map[string]float64

func (a tally) plus(b tally) tally {
	sum := maps.Clone(a)
	for key, n := range b {
		sum[key] += n
	}
	return sum
}

// differs tells where two tallies are not the same; what is missing is 0.
func (a tally) differs(want tally) error {
	var wrong []error
	all := a.plus(want)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if a[key] != want[key] {
			wrong = append(wrong, fmt.Errorf("%s: %v builds, want %v", key, a[key], want[key]))
		}
	}
	return errors.Join(wrong...)
}

// startDrone starts a Drone server with these repositories, of which the builds so far are of no interest.
func startDrone(t *testing.T, edition dronetest.Edition, slugs ...string) *drone {
	t.Helper()
	d := &drone{Server: dronetest.New(edition), address: port.Free(t), done: tally{}}
	for _, slug := range slugs {
		d.AddRepo(dronetest.Repo{Slug: slug, Active: true})
		d.FinishBuild(slug, d.CreateBuild(slug, dronetest.BuildSpec{}).Number, dronetest.StatusSuccess)
	}
	d.back(t)
	t.Cleanup(d.away)
	return d
}

func (d *drone) url() string { return "http://" + d.address }

// away shuts the server down: connections to it are refused.
func (d *drone) away() {
	if d.web != nil {
		d.web.CloseClientConnections()
		d.web.Close()
		d.web = nil
	}
}

// back starts it again at its address.
func (d *drone) back(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", d.address)
	if err != nil {
		t.Fatalf("starting Drone: %v", err)
	}
	d.web = httptest.NewUnstartedServer(d.Server)
	_ = d.web.Listener.Close()
	d.web.Listener = listener
	d.web.Start()
}

// hide lets the server fail whatever it is asked, until show.
func (d *drone) hide() { d.Intercept(dronetest.Status(http.StatusServiceUnavailable, "maintenance")) }

func (d *drone) show() { d.Intercept(nil) }

// open makes a build that waits for a runner.
func (d *drone) open(slug string) int64 { return d.CreateBuild(slug, dronetest.BuildSpec{}).Number }

// end ends builds of a repository.
func (d *drone) end(slug, status string, numbers ...int64) {
	for _, number := range numbers {
		d.FinishBuild(slug, number, status)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done[slug+" "+status] += float64(len(numbers))
}

// ended are the builds that ended since the server was started.
func (d *drone) ended() tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.done)
}

// requests waits until the server was asked some more times: how tests let time pass.
func (d *drone) requests(t *testing.T, more int) {
	t.Helper()
	enough := d.RequestCount() + more
	await.Until(t, fmt.Sprintf("%d more requests to Drone", more), func() error {
		if n := d.RequestCount(); n < enough {
			return fmt.Errorf("Drone has had %d requests, not yet %d", n, enough)
		}
		return nil
	})
}
