package exporters

import (
	"context"
	"sync/atomic"

	"drone-otel-agent/internal/secret"
)

// SwitchGuard is a guard that another one can take the place of while requests come in.
type SwitchGuard struct{ now atomic.Pointer[Guard] }

// NewSwitchGuard makes a SwitchGuard that decides as first does.
func NewSwitchGuard(first Guard) *SwitchGuard {
	s := &SwitchGuard{}
	s.Set(first)
	return s
}

// Set lets another guard decide from now on.
func (s *SwitchGuard) Set(next Guard) { s.now.Store(&next) }

// Decide is the decision of the guard there is now.
func (s *SwitchGuard) Decide(ctx context.Context, token secret.Text) Answer {
	return (*s.now.Load()).Decide(ctx, token)
}

// letsAnyone tells whether a guard lets in everyone.
func letsAnyone(g Guard) bool {
	if s, is := g.(*SwitchGuard); is {
		g = *s.now.Load()
	}
	_, is := g.(openGuard)
	return is
}
