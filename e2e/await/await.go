// Package await waits for a condition, never for a time.
package await

import (
	"context"
	"testing"
	"time"
)

// step is how often a condition is asked for. Conditions here look at memory or at a loopback socket.
const step = 20 * time.Millisecond

// Deadline bounds every wait of the tests. It is generous: a loaded machine is slow, not wrong.
const Deadline = time.Minute

// Until asks for the condition until it holds, that is until it returns nil, and ends the test with its
// last error when the deadline has passed.
func Until(t testing.TB, what string, condition func() error) {
	t.Helper()
	UntilOr(t, what, nil, condition)
}

// UntilOr is Until with a channel whose closing makes further waiting pointless: a process that has ended.
func UntilOr(t testing.TB, what string, hopeless <-chan struct{}, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for %s: %v", Deadline, what, err)
		case <-hopeless:
			t.Fatalf("no use waiting for %s any longer: %v", what, err)
		case <-ticker.C:
		}
	}
}
