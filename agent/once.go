package agent

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Once takes one full census of Drone and writes it in the Prometheus text format. A [*RefusedError] says
// that Drone refused the token.
func Once(ctx context.Context, opts Options, out io.Writer) error {
	client, err := newClient(opts.Config, opts.Version, opts.Logger)
	if err != nil {
		return &UsageError{err}
	}
	defer client.Close()
	provider, err := newProvider(ctx, opts.Config, nil, opts)
	if err != nil {
		return &UsageError{err}
	}
	defer func() { _ = provider.Shutdown(context.WithoutCancel(ctx)) }()
	a := &agent{opts: opts, client: client, provider: provider, poller: newPoller(opts.Config, client, opts)}
	if err := a.register(); err != nil {
		return err
	}
	if err := a.poller.poll(ctx, time.Time{}); err != nil {
		return failed(err)
	}
	if err := provider.WriteText(out); err != nil {
		return fmt.Errorf("printing the metrics: %w", err)
	}
	return nil
}

// RefusedError says that Drone refused the token: it does not know it, or its user may not ask.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// failed gives an error its cure, and its type where Drone refused the token.
func failed(err error) error {
	out := fmt.Errorf("%w\n  %s", err, cure(err))
	if refusedToken(err) {
		return &RefusedError{out}
	}
	return out
}
