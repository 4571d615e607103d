package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"drone-otel-agent/instruments"
)

// Once takes one full census of Drone and writes it in the Prometheus text format. A [*RefusedError] says
// that Drone refused the token.
func Once(ctx context.Context, opts Options, out io.Writer) error {
	client, err := newClient(opts.Config, opts, observation{})
	if err != nil {
		return &UsageError{err}
	}
	defer client.Close()
	provider, err := newProvider(ctx, opts.Config, nil, opts)
	if err != nil {
		return &UsageError{err}
	}
	defer func() { _ = provider.Shutdown(context.WithoutCancel(ctx)) }()
	a := &agent{opts: opts, provider: provider, poller: newPoller(opts.Config, client, opts)}
	a.settings.Store(opts.Config.inForce(time.Time{}))
	if err := a.register(); err != nil { //nolint:contextcheck // what is recorded later has no context
		return err
	}
	// A second poll asks again for what a passing fault of Drone's kept from the first.
	const tries = 3
	for try := 1; ; try++ {
		if err := a.poller.poll(ctx, time.Time{}); err != nil {
			return failed(err)
		}
		if a.poller.newest.Load().Complete() || try == tries {
			break
		}
	}
	if err := provider.WriteText(out); err != nil {
		return fmt.Errorf("printing the metrics: %w", err)
	}
	if !a.poller.newest.Load().Complete() {
		return errors.New("the census is not complete, and what is missing was not printed: drone failed at some of the " +
			"answers (see the log); try again")
	}
	return nil
}

// Builds writes a line for every build that the agent would tell if it were started now with this configuration:
// those that ended since the state was written. It changes nothing.
func Builds(ctx context.Context, opts Options, out io.Writer) error {
	client, err := newClient(opts.Config, opts, observation{})
	if err != nil {
		return &UsageError{err}
	}
	defer client.Close()
	p := newPoller(opts.Config, client, opts)
	known, err := peekState(opts.Config.statePath, opts.Config.Server(), p.watcher)
	switch {
	case err != nil:
		return &UsageError{err}
	case !known:
		_, err = fmt.Fprintln(out, "# no build would be told: there is no state from before, and nothing of the past is "+
			"told at a first start")
		return err
	}
	p.finished = func(b instruments.FinishedBuild) {
		branch := "other branch"
		if b.DefaultBranch {
			branch = "default branch"
		}
		_, _ = fmt.Fprintf(out, "%s\t%s#%d\t%s\t%s\twaited %s\tran %s\n", b.Finished.UTC().Format(time.RFC3339), b.Slug,
			b.Number, b.Status, branch, between(b.Created, b.Started), between(b.Started, b.Finished))
	}
	if err := p.poll(ctx, time.Time{}); err != nil {
		return failed(err)
	}
	return nil
}

// between is a duration for people.
func between(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return max(0, to.Sub(from)).String()
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
