package exporters

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"drone-otel-agent/internal/secret"
)

// AskFunc asks Drone whose token this is (GET /api/user with it): Allowed for an admin or a machine user,
// Forbidden for anybody else Drone knows, Unknown for a token Drone refuses with 401. An error says that
// Drone gave no answer to that, or none at all; it must not hold the token.
type AskFunc func(ctx context.Context, token secret.Text) (Decision, error)

// DroneGuardOptions are the numbers of a guard that asks Drone. Zero is the default of each.
type DroneGuardOptions struct {
	// Good is how long an Allowed is believed without asking again: 60 s.
	Good time.Duration
	// Bad is how long anything else is believed, and how long Drone is left alone about a token after a
	// question that failed: 10 s.
	Bad time.Duration
	// StaleGood is how long after its last Allowed a token stays good while asking fails. 10 min. The
	// design wants ten times poll.stale_after.
	StaleGood func() time.Duration
	// Patience is how long a request with a token that was good waits for a question, before it is let
	// in while the question goes on: 3 s. Prometheus gives a scrape ten.
	Patience time.Duration
	// AskTimeout bounds one question: 10 s.
	AskTimeout time.Duration
	// CacheSize is how many tokens are remembered, of the good and of the others each: 1,024.
	CacheSize int
	// StrangersPerSecond and StrangersBurst bound the questions about tokens that were not good before:
	// 1 and 10. StrangersAtOnce bounds those under way, so that others do not wait for them: 2.
	StrangersPerSecond float64
	StrangersBurst     int
	StrangersAtOnce    int
	// Familiar tells of a token that it is no stranger's, though Drone was not asked about it yet; nil knows none.
	// Otherwise nobody is let in who comes for the first time while strangers try one token after the other.
	Familiar func(secret.Text) bool
	// Logger is told when Drone cannot be asked and when it can again.
	Logger *slog.Logger
}

const droneWanted = "This endpoint wants the bearer token of a Drone user who is an admin or a machine " +
	"user, the same that Drone's own /metrics wants.\n" +
	"Make one with: drone user add prometheus --machine"

// NewDroneGuard lets in whom Drone would let read its own /metrics: the caller's token decides.
//
// What Drone says is remembered by the token's SHA-256, good answers apart from bad ones, so that
// strangers cannot push a good one out. One question about one token is under way at a time, and goes on
// when the client that caused it has gone. While Drone cannot be asked a token that was good stays good
// for a while, and any other gets 503.
func NewDroneGuard(ask AskFunc, opts DroneGuardOptions) (Guard, error) {
	opts = opts.withDefaults()
	good, err := lru.New[digest, memory](opts.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("making room for %d tokens: %w", opts.CacheSize, err)
	}
	others, err := lru.New[digest, memory](opts.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("making room for %d tokens: %w", opts.CacheSize, err)
	}
	limit := rate.NewLimiter(rate.Limit(opts.StrangersPerSecond), opts.StrangersBurst)
	return &droneGuard{
		ask: ask, opts: opts, good: good, others: others, strangers: limit,
		asking: make(chan struct{}, opts.StrangersAtOnce),
	}, nil
}

func (o DroneGuardOptions) withDefaults() DroneGuardOptions {
	o.Good = orDefault(o.Good, time.Minute)
	o.Bad = orDefault(o.Bad, 10*time.Second)
	if o.StaleGood == nil {
		o.StaleGood = func() time.Duration { return 10 * time.Minute }
	}
	o.Patience = orDefault(o.Patience, 3*time.Second)
	o.AskTimeout = orDefault(o.AskTimeout, 10*time.Second)
	o.CacheSize = orDefault(o.CacheSize, 1024)
	o.StrangersPerSecond = orDefault(o.StrangersPerSecond, 1)
	o.StrangersBurst = orDefault(o.StrangersBurst, 10)
	o.StrangersAtOnce = orDefault(o.StrangersAtOnce, 2)
	if o.Familiar == nil {
		o.Familiar = func(secret.Text) bool { return false }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T int | float64 | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

type digest = [sha256.Size]byte

// memory is what is known about a token.
type memory struct {
	decision Decision
	said     time.Time // when Drone said so; for Undecidable when asking failed
	failed   time.Time // of an Allowed: the last question that failed after it
}

type droneGuard struct {
	ask       AskFunc
	opts      DroneGuardOptions
	good      *lru.Cache[digest, memory] // tokens whose last answer was Allowed
	others    *lru.Cache[digest, memory]
	flight    singleflight.Group
	strangers *rate.Limiter
	asking    chan struct{} // slots for questions about strangers

	mu   sync.Mutex
	away bool // the last question failed
}

// Decide answers from memory or asks.
func (g *droneGuard) Decide(ctx context.Context, token secret.Text) Answer {
	if token.Empty() {
		return Answer{Decision: Missing, Message: droneWanted}
	}
	if !wellFormed(token) {
		return Answer{Decision: Unknown, Message: "This is no token of Drone.\n" + droneWanted}
	}
	key := token.Digest()
	if answer, ok := g.remembered(key); ok {
		return answer
	}
	answered := g.flight.DoChan(string(key[:]), func() (any, error) {
		return g.question(context.WithoutCancel(ctx), key, token), nil
	})
	var patience <-chan time.Time
	if g.staleGood(key) {
		timer := time.NewTimer(g.opts.Patience)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case result := <-answered:
		return result.Val.(Answer) //nolint:forcetypeassert // the function above returns nothing else
	case <-patience:
		return Answer{Decision: Allowed}
	case <-ctx.Done():
		return g.undecidable(g.opts.Bad)
	}
}

// remembered answers from memory where that is fresh enough.
func (g *droneGuard) remembered(key digest) (Answer, bool) {
	now := time.Now()
	if m, ok := g.good.Get(key); ok {
		age, left := now.Sub(m.said), g.opts.Bad-now.Sub(m.failed)
		switch {
		case age < g.opts.Good, left > 0 && age < g.opts.StaleGood():
			return Answer{Decision: Allowed}, true
		case left > 0:
			return g.undecidable(left), true
		default:
			return Answer{}, false
		}
	}
	m, ok := g.others.Get(key)
	left := g.opts.Bad - now.Sub(m.said)
	if !ok || left <= 0 {
		return Answer{}, false
	}
	return g.answer(m.decision, left), true
}

// staleGood tells whether the token may be let in without an answer.
func (g *droneGuard) staleGood(key digest) bool {
	m, ok := g.good.Peek(key)
	return ok && time.Since(m.said) < g.opts.StaleGood()
}

// question asks Drone, unless somebody else has just done so or strangers have asked too much.
func (g *droneGuard) question(ctx context.Context, key digest, token secret.Text) Answer {
	if answer, ok := g.remembered(key); ok {
		return answer
	}
	stranger := !g.good.Contains(key) && !g.opts.Familiar(token)
	if stranger && !g.strangers.Allow() {
		return Answer{
			Decision: TooMany,
			Message: "Too many tokens that Drone does not know were tried here; " +
				"the agent does not ask Drone about more of them for the moment.",
			RetryAfter: time.Duration(float64(time.Second) / g.opts.StrangersPerSecond),
		}
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.AskTimeout)
	defer cancel()
	if stranger {
		select {
		case g.asking <- struct{}{}:
			defer func() { <-g.asking }()
		case <-ctx.Done():
			return g.askedInVain(key, time.Now())
		}
	}
	decision, err := g.ask(ctx, token)
	if err == nil && decision != Allowed && decision != Forbidden && decision != Unknown {
		err = fmt.Errorf("asking Drone about a token: decision %d is none", decision)
	}
	g.note(err)
	now := time.Now()
	switch {
	case err != nil:
		return g.askedInVain(key, now)
	case decision == Allowed:
		g.others.Remove(key)
		g.good.Add(key, memory{decision: Allowed, said: now})
	default:
		g.good.Remove(key)
		g.others.Add(key, memory{decision: decision, said: now})
	}
	return g.answer(decision, 0)
}

// askedInVain remembers that Drone gave no answer, so that it is left alone for a while.
func (g *droneGuard) askedInVain(key digest, now time.Time) Answer {
	m, ok := g.good.Peek(key)
	if !ok {
		g.others.Add(key, memory{decision: Undecidable, said: now})
		return g.undecidable(g.opts.Bad)
	}
	m.failed = now
	g.good.Add(key, m)
	if now.Sub(m.said) < g.opts.StaleGood() {
		return Answer{Decision: Allowed}
	}
	return g.undecidable(g.opts.Bad)
}

func (g *droneGuard) answer(d Decision, left time.Duration) Answer {
	switch d {
	case Allowed:
		return Answer{Decision: Allowed}
	case Forbidden:
		return Answer{
			Decision: Forbidden,
			Message: "Drone knows this token, but its user is neither an admin nor a machine user.\n" +
				"Make one that is with: drone user add prometheus --machine",
		}
	case Undecidable:
		return g.undecidable(left)
	default:
		return Answer{Decision: Unknown, Message: "Drone does not know this token.\n" + droneWanted}
	}
}

func (g *droneGuard) undecidable(retry time.Duration) Answer {
	return Answer{
		Decision: Undecidable,
		Message: "Drone does not answer, so the agent cannot ask it about this token; " +
			"it was not known as good before, or too long ago.",
		RetryAfter: retry,
	}
}

// note logs when questions begin to fail and when they work again.
func (g *droneGuard) note(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away == (err != nil) {
		return
	}
	g.away = err != nil
	if err != nil {
		g.opts.Logger.Warn("Drone cannot be asked who may read the metrics; tokens that were good stay good",
			"for", g.opts.StaleGood(), "err", err)
		return
	}
	g.opts.Logger.Info("Drone can be asked again who may read the metrics")
}
