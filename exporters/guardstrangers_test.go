package exporters

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/internal/secret"
)

// TestDroneGuardStrangersWaitForEachOther has Drone hang over tokens that it does not know, while a stranger tries
// a hundred of them at the same time, and then again and again.
func TestDroneGuardStrangersWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, now, most atomic.Int32
		ask := func(ctx context.Context, token secret.Text) (Decision, error) {
			if !strings.HasPrefix(token.Reveal(), "guess") {
				return Allowed, nil
			}
			asked.Add(1)
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-ctx.Done()
			return Unknown, ctx.Err()
		}
		g, err := NewDroneGuard(ask, DroneGuardOptions{
			Familiar: func(token secret.Text) bool { return token.Reveal() == theToken },
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wg sync.WaitGroup
		for second := range 60 {
			for i := range 100 {
				wg.Go(func() {
					answer := g.Decide(t.Context(), secret.New(fmt.Sprint("guess", second, "-", i)))
					if answer.Decision != TooMany && answer.Decision != Undecidable {
						t.Errorf("a stranger gets %+v", answer)
					}
				})
			}
			synctest.Wait()
			before := time.Now()
			expect(t, g, theToken, Allowed) // for the first time in the first second
			if took := time.Since(before); took > 0 {
				t.Errorf("in second %d a good token waited for %v", second, took)
			}
			time.Sleep(time.Second)
		}
		wg.Wait()
		if took := time.Since(start); took > 70*time.Second {
			t.Errorf("strangers waited for %v after the last of them came", took-60*time.Second)
		}
		if most.Load() != 2 || asked.Load() > 10+60 {
			t.Errorf("Drone was asked about %d tokens of strangers, %d at once", asked.Load(), most.Load())
		}
	})
}

// TestDroneGuardFamiliarIsAsked lets nobody in for being familiar alone.
func TestDroneGuardFamiliarIsAsked(t *testing.T) {
	opts := DroneGuardOptions{Familiar: func(secret.Text) bool { return true }}
	droneTest(t, opts, func(b bubble) {
		expect(b.t, b.g, "nobody", Unknown)
		expect(b.t, b.g, "nobody", Unknown)
		expectAsked(b.t, b.d, "nobody")
	})
}
