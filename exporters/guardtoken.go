package exporters

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"drone-otel-agent/internal/secret"
)

// tokenRetry is when a client may come again after a token file could not be read.
const tokenRetry = 10 * time.Second

const tokenWanted = "This endpoint wants the bearer token that drone-otel-agent is configured with " +
	"(prometheus.auth in its configuration).\n" +
	"In Prometheus: authorization: {credentials_file: …} in the scrape configuration."

// NewTokenGuard lets in who has one of the agent's own tokens: those of the sources, asked for at each
// request so that a file may change, and those with one of the SHA-256 digests, in hex. An error is a
// mistake in the digests, or that there is nothing to let anybody in.
func NewTokenGuard(sources []secret.Source, digests []string, logger *slog.Logger) (Guard, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	g := &tokenGuard{sources: sources, logger: logger, broken: make([]bool, len(sources))}
	var mistakes []error
	for i, text := range digests {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != sha256.Size {
			mistakes = append(mistakes, fmt.Errorf("token digest %d: %d hex digits are needed, as of "+
				"printf %%s TOKEN | sha256sum", i+1, 2*sha256.Size))
			continue
		}
		g.digests = append(g.digests, [sha256.Size]byte(raw))
	}
	if len(sources) == 0 && len(digests) == 0 {
		mistakes = append(mistakes, errors.New("guarding with tokens: there is neither a token nor a digest"))
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return g, nil
}

type tokenGuard struct {
	sources []secret.Source
	digests [][sha256.Size]byte
	logger  *slog.Logger

	mu     sync.Mutex
	broken []bool // sources that could not be read when last tried
}

// Decide compares digests, all of them always, so that the time taken tells nothing about any.
func (g *tokenGuard) Decide(_ context.Context, token secret.Text) Answer {
	if token.Empty() {
		return Answer{Decision: Missing, Message: tokenWanted}
	}
	if !wellFormed(token) {
		return Answer{Decision: Unknown, Message: "This is no bearer token.\n" + tokenWanted}
	}
	given, match, unreadable := token.Digest(), 0, false
	for i, source := range g.sources {
		known, err := source.Get()
		g.note(i, err)
		if err != nil || known.Empty() {
			unreadable = unreadable || err != nil
			continue
		}
		digest := known.Digest()
		match |= subtle.ConstantTimeCompare(given[:], digest[:])
	}
	for _, digest := range g.digests {
		match |= subtle.ConstantTimeCompare(given[:], digest[:])
	}
	switch {
	case match == 1:
		return Answer{Decision: Allowed}
	case unreadable:
		return Answer{
			Decision:   Undecidable,
			Message:    "The agent cannot read its own token file and cannot tell whether this token is good; see its log.",
			RetryAfter: tokenRetry,
		}
	default:
		return Answer{Decision: Unknown, Message: "This token is not the one.\n" + tokenWanted}
	}
}

// note logs when a source breaks and when it is whole again.
func (g *tokenGuard) note(i int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken[i] == (err != nil) {
		return
	}
	g.broken[i] = err != nil
	if err != nil {
		g.logger.Error("a token that guards the metrics cannot be read; nobody is let in with it", "err", err)
		return
	}
	g.logger.Info("the token that guards the metrics can be read again")
}
