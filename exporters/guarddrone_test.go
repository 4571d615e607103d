package exporters

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/internal/secret"
)

// fakeDrone answers questions about tokens.
type fakeDrone struct {
	mu     sync.Mutex
	users  map[string]Decision
	err    error
	delay  time.Duration
	asked  []string
	cancel bool // a question was cut short
}

func (d *fakeDrone) ask(ctx context.Context, token secret.Text) (Decision, error) {
	d.mu.Lock()
	d.asked = append(d.asked, token.Reveal())
	delay, err, decision := d.delay, d.err, d.users[token.Reveal()]
	d.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		d.mu.Lock()
		d.cancel = true
		d.mu.Unlock()
		return Allowed, ctx.Err()
	}
	return decision, err
}

// questions gives the tokens asked about since the last call.
func (d *fakeDrone) questions() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

func (d *fakeDrone) set(change func(*fakeDrone)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// bubble is a guard and its Drone in a time of their own.
type bubble struct {
	t    *testing.T
	d    *fakeDrone
	g    Guard
	logs *logbook
}

func droneTest(t *testing.T, opts DroneGuardOptions, test func(b bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		logs, logger := newLogbook(t)
		opts.Logger = logger
		d := &fakeDrone{users: map[string]Decision{theToken: Allowed, "somebody": Forbidden}}
		g, err := NewDroneGuard(d.ask, opts)
		if err != nil {
			t.Fatal(err)
		}
		test(bubble{t, d, g, logs})
	})
}

func decide(t *testing.T, g Guard, token string) Answer {
	t.Helper()
	answer := g.Decide(t.Context(), secret.New(token))
	if strings.Contains(answer.Message, theToken) || (answer.Message == "") != (answer.Decision == Allowed) {
		t.Errorf("message %q", answer.Message)
	}
	return answer
}

func expect(t *testing.T, g Guard, token string, want Decision) {
	t.Helper()
	if got := decide(t, g, token); got.Decision != want {
		t.Errorf("%.40q: decision %d, want %d (%s)", token, got.Decision, want, got.Message)
	}
}

func expectAsked(t *testing.T, d *fakeDrone, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, d.questions()); diff != "" {
		t.Errorf("Drone was asked about (-want +got):\n%s", diff)
	}
}

func TestDroneGuardRemembers(t *testing.T) {
	droneTest(t, DroneGuardOptions{}, func(b bubble) {
		t, d, g := b.t, b.d, b.g
		for range 3 {
			expect(t, g, theToken, Allowed)
			expect(t, g, "somebody", Forbidden)
			expect(t, g, "nobody", Unknown)
		}
		expectAsked(t, d, theToken, "somebody", "nobody")
		time.Sleep(10*time.Second - time.Nanosecond)
		expect(t, g, "somebody", Forbidden)
		expect(t, g, "nobody", Unknown)
		expectAsked(t, d)
		time.Sleep(time.Nanosecond) // 10 s: the bad are asked about again
		d.set(func(d *fakeDrone) { d.users["nobody"] = Allowed })
		expect(t, g, "somebody", Forbidden)
		expect(t, g, "nobody", Allowed) // the token was made meanwhile
		expectAsked(t, d, "somebody", "nobody")
		time.Sleep(50*time.Second - time.Nanosecond)
		expect(t, g, theToken, Allowed)
		expectAsked(t, d)
		time.Sleep(time.Nanosecond) // 60 s: the good too
		d.set(func(d *fakeDrone) { d.users[theToken] = Unknown })
		expect(t, g, theToken, Unknown) // the token was revoked
		expectAsked(t, d, theToken)
	})
}

func TestDroneGuardNeverAsks(t *testing.T) {
	droneTest(t, DroneGuardOptions{}, func(b bubble) {
		t, d, g := b.t, b.d, b.g
		expect(t, g, "", Missing)
		expect(t, g, strings.Repeat("x", maxToken+1), Unknown)
		expect(t, g, "two words", Unknown)
		expect(t, g, "line\nbreak", Unknown)
		expectAsked(t, d)
	})
}

func TestDroneGuardAsksOnceAtATime(t *testing.T) {
	droneTest(t, DroneGuardOptions{}, func(b bubble) {
		t, d, g := b.t, b.d, b.g
		d.set(func(d *fakeDrone) { d.delay = time.Second })
		var wg sync.WaitGroup
		gone, leave := context.WithCancel(t.Context())
		wg.Go(func() { // the one that causes the question goes away
			if got := g.Decide(gone, secret.New(theToken)); got.Decision != Undecidable {
				t.Errorf("decision %d for a client that has gone", got.Decision)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() { expect(t, g, theToken, Allowed) })
		}
		synctest.Wait()
		leave()
		wg.Wait()
		expectAsked(t, d, theToken)
		if d.cancel {
			t.Error("the question was cut short")
		}
		expect(t, g, theToken, Allowed)
		expectAsked(t, d)
	})
}

func TestDroneGuardWhileDroneIsAway(t *testing.T) {
	opts := DroneGuardOptions{StaleGood: func() time.Duration { return 5 * time.Minute }}
	droneTest(t, opts, func(b bubble) {
		t, d, g, logs := b.t, b.d, b.g, b.logs
		start := time.Now()
		expect(t, g, theToken, Allowed)
		d.set(func(d *fakeDrone) { d.err = errors.New("connecting to Drone: connection refused") })
		d.questions()
		var questions int
		for time.Since(start) < 5*time.Minute {
			expect(t, g, theToken, Allowed)
			questions += len(d.questions())
			time.Sleep(time.Second)
		}
		if questions != 24 { // from the 60th second on, one in ten seconds
			t.Errorf("Drone was asked %d times", questions)
		}
		// Long enough: nobody can tell any more.
		for range 10 {
			answer := decide(t, g, theToken)
			if answer.Decision != Undecidable || answer.RetryAfter <= 0 || answer.RetryAfter > 10*time.Second {
				t.Errorf("answer %+v", answer)
			}
			time.Sleep(time.Second)
		}
		expectAsked(t, d, theToken)
		// A token never seen good.
		answer := decide(t, g, "new")
		want := Answer{
			Decision: Undecidable, RetryAfter: 10 * time.Second,
			Message: "Drone does not answer, so the agent cannot ask it about this token; " +
				"it was not known as good before, or too long ago.",
		}
		if diff := cmp.Diff(want, answer); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		expect(t, g, "new", Undecidable)
		expectAsked(t, d, "new")
		// And back.
		d.set(func(d *fakeDrone) { d.err = nil })
		time.Sleep(10 * time.Second)
		expect(t, g, theToken, Allowed)
		expect(t, g, "new", Unknown)
		lines := logs.loud(t)
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "WARN Drone cannot be asked") ||
			!strings.HasPrefix(lines[1], "INFO Drone can be asked again") {
			t.Errorf("logged %q", lines)
		}
	})
}

func TestDroneGuardWhileDroneHangs(t *testing.T) {
	droneTest(t, DroneGuardOptions{}, func(b bubble) {
		t, d, g := b.t, b.d, b.g
		expect(t, g, theToken, Allowed)
		time.Sleep(time.Minute)
		d.set(func(d *fakeDrone) { d.delay = time.Hour })
		start := time.Now()
		expect(t, g, theToken, Allowed) // not later than Prometheus waits
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %s", took)
		}
		start = time.Now()
		answer := decide(t, g, "new")
		if took := time.Since(start); answer.Decision != Undecidable || took != 10*time.Second {
			t.Errorf("%+v after %s", answer, took)
		}
	})
}

func TestDroneGuardSlowsStrangers(t *testing.T) {
	opts := DroneGuardOptions{StrangersPerSecond: 0.5, StrangersBurst: 5, CacheSize: 8}
	droneTest(t, opts, func(b bubble) {
		t, d, g := b.t, b.d, b.g
		expect(t, g, theToken, Allowed)
		time.Sleep(10 * time.Second)
		var asked int
		for i := range 1000 {
			answer := decide(t, g, fmt.Sprint("guess", i))
			switch {
			case answer.Decision == Unknown:
				asked++
			case answer.Decision != TooMany || answer.RetryAfter != 2*time.Second:
				t.Fatalf("answer %+v", answer)
			}
		}
		if asked != 5 || len(d.questions()) != 6 {
			t.Errorf("Drone was asked %d times", asked)
		}
		// Nobody whose token was good feels it, not even when it is asked about again.
		time.Sleep(time.Minute)
		for i := range 1000 {
			decide(t, g, fmt.Sprint("other", i))
		}
		d.questions()
		expect(t, g, theToken, Allowed)
		expectAsked(t, d, theToken)
		if guard := g.(*droneGuard); guard.others.Len() > 8 || guard.good.Len() != 1 {
			t.Errorf("%d and %d tokens are remembered", guard.others.Len(), guard.good.Len())
		}
	})
}

func TestDroneGuardRemembersNoMoreThanItMay(t *testing.T) {
	opts := DroneGuardOptions{CacheSize: 8, StrangersPerSecond: 1e6, StrangersBurst: 1e6}
	droneTest(t, opts, func(b bubble) {
		t, d, g := b.t, b.d, b.g
		for i := range 100 {
			d.set(func(d *fakeDrone) { d.users[fmt.Sprint("machine", i)] = Allowed })
			expect(t, g, fmt.Sprint("machine", i), Allowed)
			expect(t, g, fmt.Sprint("guess", i), Unknown)
		}
		if guard := g.(*droneGuard); guard.others.Len() != 8 || guard.good.Len() != 8 {
			t.Errorf("%d and %d tokens are remembered", guard.others.Len(), guard.good.Len())
		}
	})
}

func TestDroneGuardDistrustsNonsense(t *testing.T) {
	droneTest(t, DroneGuardOptions{}, func(b bubble) {
		t, d, g := b.t, b.d, b.g
		d.set(func(d *fakeDrone) { d.users["odd"] = TooMany })
		expect(t, g, "odd", Undecidable)
		// An error counts, whatever decision comes with it.
		d.set(func(d *fakeDrone) { d.users["new"], d.err = Allowed, errors.New("cut short") })
		expect(t, g, "new", Undecidable)
	})
}

func TestNewDroneGuardRefuses(t *testing.T) {
	if _, err := NewDroneGuard(nil, DroneGuardOptions{CacheSize: -1}); err == nil {
		t.Error("a guard with room for -1 tokens was made")
	}
}
