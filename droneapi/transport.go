package droneapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"drone-otel-agent/internal/secret"
)

// transport holds every request to the limits and reads the whole answer before it hands it on, so that an
// answer that is cut short is a failed request like any other, and is retried like one.
type transport struct {
	base     http.RoundTripper
	limiter  *rate.Limiter
	slots    chan struct{}
	timeout  time.Duration
	maxBytes int64
	buffers  sync.Pool
}

func newTransport(base http.RoundTripper, cfg Config) *transport {
	return &transport{
		base: base,
		// A burst of one spaces requests evenly: no second ever sees more than the configured number.
		limiter:  rate.NewLimiter(rate.Limit(cfg.MaxRequestsPerSecond), 1),
		slots:    make(chan struct{}, cfg.MaxConcurrentRequests),
		timeout:  cfg.Timeout,
		maxBytes: cfg.MaxAnswerBytes,
		buffers:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// RoundTrip implements http.RoundTripper. The time limit covers the exchange and not the wait for its turn.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if t.limiter.Wait(ctx) != nil {
		// It does not wait at all where its turn comes after the context's deadline.
		return nil, fmt.Errorf("waiting for its turn: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded))
	}
	timed, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	token := secret.New(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
	resp, err := t.base.RoundTrip(req.WithContext(timed))
	if err != nil {
		return nil, redactError(t.explain(ctx, err), token)
	}
	if err := t.readAll(resp); err != nil {
		return nil, redactError(t.explain(ctx, err), token)
	}
	redactLocation(resp.Header, req.URL)
	return resp, nil
}

// CloseIdleConnections lets http.Client reach the connections, which are behind this transport.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// explain puts the time limit in the place of the context's word for it.
func (t *transport) explain(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("no whole answer within %s: %w", t.timeout, err)
	}
	return err
}

func (t *transport) readAll(resp *http.Response) error {
	received := resp.Body
	defer func() { _ = received.Close() }()
	if resp.ContentLength > t.maxBytes {
		return &TooLargeError{Limit: t.maxBytes}
	}
	buf, _ := t.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	_, err := buf.ReadFrom(io.LimitReader(received, t.maxBytes+1))
	switch {
	case err != nil:
		t.buffers.Put(buf)
		return fmt.Errorf("reading the answer: %w", err)
	case int64(buf.Len()) > t.maxBytes:
		// The buffer is not kept: it has grown to a size that no honest answer needs.
		return &TooLargeError{Limit: t.maxBytes}
	}
	resp.Body = &body{Reader: bytes.NewReader(buf.Bytes()), raw: buf.Bytes(), release: func() { t.buffers.Put(buf) }}
	return nil
}

// body is an answer in memory. Close gives the memory back: raw is not to be used after it.
type body struct {
	*bytes.Reader
	raw     []byte
	release func()
	once    sync.Once
}

func (b *body) Close() error {
	b.once.Do(b.release)
	return nil
}
