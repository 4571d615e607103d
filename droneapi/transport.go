package droneapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"drone-otel-agent/internal/secret"
)

// Requests about the tokens of others have a lane of their own beside the one of the client's own requests. What
// scrapes cause cannot hold up a poll then, nor a long poll the scrapes, however slowly the server answers.
const (
	// othersSlots is how many are under way at once, beside Config.MaxConcurrentRequests.
	othersSlots = 3
	// othersShare is the part of Config.MaxRequestsPerSecond that they may use; it is the rest that a poll can rely on.
	othersShare = 0.25
)

// othersKey is the context's key that marks a request about a token of others.
type othersKey struct{}

// transport holds every request to the limits and reads the whole answer before it hands it on, so that an
// answer that is cut short is a failed request like any other, and is retried like one.
type transport struct {
	base       http.RoundTripper
	limiter    *rate.Limiter // of all requests
	slots      chan struct{}
	others     *rate.Limiter
	otherSlots chan struct{}
	timeout    time.Duration
	maxBytes   int64
	buffers    sync.Pool
	proxy      []secret.Text // what the proxy in front of the server is told
}

func newTransport(base http.RoundTripper, cfg Config) *transport {
	return &transport{
		base: base,
		// A burst of one spaces requests evenly: no second ever sees more than the configured number.
		limiter:    rate.NewLimiter(rate.Limit(cfg.MaxRequestsPerSecond), 1),
		slots:      make(chan struct{}, cfg.MaxConcurrentRequests),
		others:     rate.NewLimiter(rate.Limit(cfg.MaxRequestsPerSecond*othersShare), 1),
		otherSlots: make(chan struct{}, othersSlots),
		timeout:    cfg.Timeout,
		maxBytes:   cfg.MaxAnswerBytes,
		proxy:      secret.OfProxy(cfg.Server),
		buffers:    sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// RoundTrip implements http.RoundTripper. The time limit covers the exchange and not the wait for its turn.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	leave, err := t.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	timed, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	token := secret.New(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
	secrets := append([]secret.Text{token}, t.proxy...)
	resp, err := t.base.RoundTrip(req.WithContext(t.limitResent(timed)))
	if err == nil {
		err = t.readAll(resp)
	}
	if err != nil {
		if t.timedOut(ctx, err) {
			// The other connections may be as dead: one is kept for each request that was ever under way at once.
			t.CloseIdleConnections()
		}
		return nil, redactError(t.explain(ctx, err), secrets)
	}
	redactLocation(resp.Header, req.URL)
	return resp, nil
}

// enter waits for the request's turn in its lane.
func (t *transport) enter(ctx context.Context) (leave func(), err error) {
	slots := t.slots
	if aboutOthers(ctx) {
		slots = t.otherSlots
	}
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := t.wait(ctx); err != nil {
		<-slots
		return nil, err
	}
	return func() { <-slots }, nil
}

// wait lets as much time pass as the rate wants.
func (t *transport) wait(ctx context.Context) error {
	limiters := []*rate.Limiter{t.limiter}
	if aboutOthers(ctx) {
		limiters = []*rate.Limiter{t.others, t.limiter}
	}
	for _, limiter := range limiters {
		if limiter.Wait(ctx) != nil {
			// It does not wait at all where its turn comes after the context's deadline.
			return fmt.Errorf("waiting for its turn: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded))
		}
	}
	return nil
}

// limitResent lets what net/http sends again by itself wait for its turn like any other request: it does so where a
// connection that was kept ends before the answer begins, also when the server had got the request. It asks for a
// connection before it sends.
func (t *transport) limitResent(ctx context.Context) context.Context {
	sent := false
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) {
		if sent {
			_ = t.wait(ctx) // where the context has ended, so has the request
		}
		sent = true
	}})
}

func aboutOthers(ctx context.Context) bool { return ctx.Value(othersKey{}) != nil }

// CloseIdleConnections lets http.Client reach the connections, which are behind this transport.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// explain puts the time limit in the place of the context's word for it.
func (t *transport) explain(ctx context.Context, err error) error {
	if t.timedOut(ctx, err) {
		return fmt.Errorf("no whole answer within %s: %w", t.timeout, err)
	}
	return err
}

// timedOut tells whether err is the time limit of the exchange.
func (t *transport) timedOut(ctx context.Context, err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
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
