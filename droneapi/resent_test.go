package droneapi_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

// TestRateLimitHoldsForWhatTheNetworkSendsAgain cuts every second request without an answer: net/http sends such a
// request again by itself where it went over a connection that had served one before, and that counts too.
func TestRateLimitHoldsForWhatTheNetworkSendsAgain(t *testing.T) {
	const (
		rate  = 50.0
		calls = 60
	)
	drone := dronetest.New(dronetest.Enterprise)
	var (
		mu    sync.Mutex
		asked []time.Time
	)
	cut := dronetest.Cut("")
	drone.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		asked = append(asked, time.Now())
		odd := len(asked)%2 == 1
		mu.Unlock()
		return !odd && cut(w, r)
	})
	web := serve(t, drone)
	client := newClient(t, web.URL, func(c *droneapi.Config) { c.MaxRequestsPerSecond = rate })
	for range calls {
		if _, err := client.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	took := asked[len(asked)-1].Sub(asked[0]).Seconds()
	t.Logf("%d requests in %.2f s", len(asked), took)
	if got := float64(len(asked)-1) / took; got > rate*1.05 {
		t.Errorf("drone was asked %.0f times a second, want at most %.0f", got, rate)
	}
}
