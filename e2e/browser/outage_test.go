//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"drone-otel-agent/e2e/await"
	"drone-otel-agent/statuspage"
)

// TestOutlivesARefusal: a page that is open, on a wall perhaps, outlives that nobody can be let in for a while, as when
// Drone has been away for long and cannot be asked whose token it is. It is closed where the token does not do any
// more.
func TestOutlivesARefusal(t *testing.T) {
	page, err := statuspage.New(statuspage.Config{Version: "1", Source: func() statuspage.Status {
		now := time.Now()
		return statuspage.Status{Time: now, Drone: statuspage.Drone{Fresh: &now}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	var answer atomic.Int64
	answer.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", page.Policy())
		if status := int(answer.Load()); status != http.StatusOK {
			page.Door(w, r, status, "refused")
			return
		}
		page.Page(w, r, true)
	}))
	t.Cleanup(server.Close)
	b := open(t, server.URL)
	b.visit("/")
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway} {
		answer.Store(int64(status))
		b.await("#silence", fmt.Sprintf("it says %d", status))
		if said := b.text("#status"); said == "" {
			t.Errorf("the page is gone after %d", status)
		}
	}
	answer.Store(http.StatusOK)
	await.Until(t, "the page to go on", func() error {
		if said := b.text("#silence"); said != "" {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
	answer.Store(http.StatusUnauthorized)
	b.await("#door [role=alert]", "refused")
	// The door itself opens again by itself where the token was not what was wrong.
	answer.Store(http.StatusServiceUnavailable)
	b.visit("/")
	b.await("#door [role=alert]", "refused")
	answer.Store(http.StatusOK)
	b.await("#status", "Builds waiting and running now")
	b.forgive("the server responded with a status of")
}
