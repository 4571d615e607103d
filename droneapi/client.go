package droneapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-resty/resty/v2"
	"golang.org/x/time/rate"

	"drone-otel-agent/internal/secret"
)

// Config says which server to ask, as whom and how much. Every field but Transport is needed.
type Config struct {
	// Server is the server's address, a path prefix allowed, without query and user information.
	Server *url.URL
	// Token gives the token of the user that asks.
	Token secret.Source
	TLS   TLSConfig
	// Timeout bounds one request, from sending to the last byte of the answer.
	Timeout time.Duration
	// MaxConcurrentRequests bounds the requests under way at once; those about tokens of others come on top, three
	// at most.
	MaxConcurrentRequests int
	// MaxRequestsPerSecond bounds the requests sent in any second, retries counted.
	MaxRequestsPerSecond float64
	// MaxAnswerBytes bounds one answer.
	MaxAnswerBytes int64
	// UserAgent is how the client calls itself.
	UserAgent string
	Logger    *slog.Logger
	// Transport replaces the network, for tests; nil is the network.
	Transport http.RoundTripper
	// Around wraps the network and sees every attempt, retries too, with its [URLTemplate]; nil wraps nothing.
	Around func(network http.RoundTripper) http.RoundTripper
	// Failed is told of every request that failed for good; nil tells nobody.
	Failed func(error)
}

// Retries: what may be retried is sent again twice, after once and twice retryWait and up to as much again by
// chance, or after the time that the server asks for.
const (
	retryCount   = 2
	retryWait    = 200 * time.Millisecond
	retryMaxWait = 5 * time.Second
)

// errAskedToWait ends the retries of a request whose Retry-After is longer than retryMaxWait: the caller
// gets the answer with the time, instead of a retry that comes too early.
var errAskedToWait = errors.New("asked to wait longer than a retry does")

// Client asks one Drone server. It is safe for concurrent use.
type Client struct {
	server *url.URL
	token  secret.Source
	proxy  []secret.Text // what the proxy in front of the server is told
	rest   *resty.Client
	http   *http.Client
	failed func(error)
	limits *transport

	reposMu sync.Mutex
	repos   reposAnswer
}

// New makes a client. An error says which certificate file cannot be used; nothing is sent.
func New(cfg Config) (*Client, error) {
	base := cfg.Transport
	if base == nil {
		var err error
		if base, err = newRenewed(cfg.TLS, cfg.network, cfg.Logger); err != nil {
			return nil, err
		}
	}
	if cfg.Around != nil {
		base = cfg.Around(base)
	}
	limited := newTransport(base, cfg)
	hc := &http.Client{
		Transport:     limited,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	rest := resty.NewWithClient(hc).
		SetBaseURL(strings.TrimRight(cfg.Server.String(), "/")).
		SetHeader("Accept", "application/json").
		SetHeader("User-Agent", cfg.UserAgent).
		SetLogger(restyLog{cfg.Logger}).
		SetDoNotParseResponse(true).
		SetRetryCount(retryCount).
		SetRetryWaitTime(retryWait).
		SetRetryMaxWaitTime(retryMaxWait).
		SetRetryAfter(beforeRetry).
		AddRetryCondition(func(resp *resty.Response, err error) bool {
			return resp != nil && retryable(resp.StatusCode(), err) && !aboutOthers(resp.Request.Context())
		})
	return &Client{
		server: cfg.Server, token: cfg.Token, proxy: limited.proxy, rest: rest, http: hc, failed: cfg.Failed,
		limits: limited,
	}, nil
}

// Follow lets the client take the place of another one: both together keep to the rate, which is this one's from now
// on. It is to be called before the first request.
func (c *Client) Follow(before *Client) {
	for _, one := range []struct{ mine, others **rate.Limiter }{
		{&c.limits.limiter, &before.limits.limiter}, {&c.limits.others, &before.limits.others},
	} {
		(*one.others).SetLimit((*one.mine).Limit())
		*one.mine = *one.others
	}
}

// beforeRetry says how long to wait for the next attempt. Resty asks between two attempts and after no last one, so
// this is also where the answer of the attempt before becomes nobody's and its memory goes back.
func beforeRetry(_ *resty.Client, resp *resty.Response) (time.Duration, error) {
	wait := parseRetryAfter(resp.Header())
	if wait > retryMaxWait {
		return 0, errAskedToWait
	}
	if resp.RawResponse != nil {
		_ = resp.RawBody().Close()
	}
	if wait == 0 {
		step := retryWait << (resp.Request.Attempt - 1)
		wait = step + rand.N(step)
	}
	return wait, nil
}

// Server is the address of the server that is asked.
func (c *Client) Server() string { return c.server.String() }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// get asks for a path below the server's address and hands the JSON of the answer to read, which must not
// keep it. The token is the client's own unless one is given.
func (c *Client) get(ctx context.Context, token secret.Source, path string, query url.Values,
	read func(raw []byte) error,
) error {
	err := c.exchange(context.WithValue(ctx, templateKey{}, template(path)), token, path, query, read)
	if err != nil && c.failed != nil {
		c.failed(err)
	}
	return err
}

func (c *Client) exchange(ctx context.Context, token secret.Source, path string, query url.Values,
	read func(raw []byte) error,
) error {
	text, err := token.Get()
	if err != nil {
		return &TokenError{Err: err}
	}
	req := c.rest.R().SetContext(ctx).SetQueryParamsFromValues(query)
	if !text.Empty() {
		req.SetHeader("Authorization", "Bearer "+text.Reveal())
	}
	resp, err := req.Get(path)
	if err != nil && !errors.Is(err, errAskedToWait) {
		return transportError(path, err)
	}
	defer func() { _ = resp.RawBody().Close() }()
	secrets := append([]secret.Text{text}, c.proxy...)
	raw := resp.RawBody().(*body).raw //nolint:forcetypeassert // every answer comes through transport
	switch {
	case resp.StatusCode() >= 300 && resp.StatusCode() < 400:
		return c.redirectError(path, resp.RawResponse, secrets)
	case resp.StatusCode() != http.StatusOK:
		return statusError(path, resp.RawResponse, raw, secrets)
	}
	if err := checkContent(path, resp.Header(), secrets); err != nil {
		return err
	}
	if err := read(raw); err != nil {
		return &DataError{Path: path, Err: redactError(err, secrets)}
	}
	return nil
}

// network is the transport to a real server: HTTP's defaults, with connections kept for the requests of the
// next poll.
func (cfg Config) network(tlsConfig *tls.Config) *http.Transport {
	out := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented to be one
	out.TLSClientConfig = tlsConfig
	out.MaxIdleConnsPerHost = cfg.MaxConcurrentRequests + othersSlots
	out.ResponseHeaderTimeout = cfg.Timeout
	out.MaxResponseHeaderBytes = 64 << 10
	// HTTP/2 keeps one connection for everything, and a request that times out does not end it: one that is dead
	// without a word would fail every poll until the kernel gives it up, after a quarter of an hour.
	out.HTTP2 = &http.HTTP2Config{SendPingTimeout: cfg.Timeout / 2, PingTimeout: cfg.Timeout / 2}
	return out
}

func transportError(path string, err error) error {
	var tooLarge *TooLargeError
	if errors.As(err, &tooLarge) {
		return &TooLargeError{Path: path, Limit: tooLarge.Limit}
	}
	// url.Error repeats the method and the address, which the wrapping error names already.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &TransportError{Path: path, Err: err}
}

func statusError(path string, resp *http.Response, raw []byte, secrets []secret.Text) error {
	out := &HTTPError{Path: path, Status: resp.StatusCode, RetryAfter: parseRetryAfter(resp.Header)}
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &said) == nil {
		out.Message = clip(secret.Redact(said.Message, secrets...))
	}
	return out
}

// redirectError names the address to configure, where the redirect leads to the same path elsewhere.
func (c *Client) redirectError(reqPath string, resp *http.Response, secrets []secret.Text) error {
	out := &RedirectError{Path: reqPath, Status: resp.StatusCode}
	to, err := resp.Location() // the transport has taken query and user information out of it
	if err != nil {
		return out
	}
	out.Location = clip(secret.Redact(to.String(), secrets...))
	prefix, same := strings.CutSuffix(strings.TrimRight(to.EscapedPath(), "/"), reqPath)
	server := to.Scheme + "://" + to.Host + prefix
	if same && (to.Scheme == "https" || to.Scheme == "http") && server != c.rest.BaseURL {
		out.Server = clip(secret.Redact(server, secrets...))
	}
	return out
}

func checkContent(path string, header http.Header, secrets []secret.Text) error {
	said := header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(said)
	if err == nil && kind == "application/json" {
		return nil
	}
	return &ContentError{Path: path, ContentType: clip(secret.Redact(said, secrets...)), HTML: kind == "text/html"}
}

// parseRetryAfter reads both forms of the header: seconds and a date.
func parseRetryAfter(header http.Header) time.Duration {
	said := header.Get("Retry-After")
	// A number out of range comes back as the nearest one that is in range.
	if seconds, err := strconv.ParseInt(said, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(said); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// repoPath is a path below a repository, each part escaped.
func repoPath(repo Repo, rest ...string) string {
	out := fmt.Sprintf("/api/repos/%s/%s", url.PathEscape(repo.Namespace), url.PathEscape(repo.Name))
	return strings.Join(append([]string{out}, rest...), "/")
}
