package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

// TestCutWhatIsSeldomAskedFor: a line that cuts the first answer of what is seldom asked for costs that poll, and the
// next one asks again: at the start nothing is known of it yet.
func TestCutWhatIsSeldomAskedFor(t *testing.T) {
	for _, path := range []string{"/api/system/stats", "/api/users"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				drone := dronetest.New(dronetest.Enterprise)
				if err := drone.LoadRecorded(); err != nil {
					t.Fatal(err)
				}
				r := newRig(t, drone)
				drone.Intercept(dronetest.Cut("", dronetest.On(path), dronetest.First(3)))
				if err := r.poll(t.Context(), time.Time{}); err == nil {
					t.Fatal("the poll went well")
				}
				r.pass(t, 1)
				r.exact(t, "a poll later")
			})
		})
	}
}
