package droneapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/internal/secret"
)

// lender stands between http.Client and the transport. It counts the answers whose memory has not come back, and
// spoils the memory that does: who reads an answer after it was released reads nonsense.
type lender struct {
	next http.RoundTripper
	all  atomic.Int64
	out  atomic.Int64
}

func (l *lender) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	b := resp.Body.(*body)
	release := b.release
	l.all.Add(1)
	l.out.Add(1)
	b.release = func() {
		for i := range b.raw {
			b.raw[i] = '#'
		}
		l.out.Add(-1)
		release()
	}
	return resp, nil
}

// lending makes a client of the server, and what watches its answers.
func lending(t testing.TB, base http.RoundTripper) (*Client, *lender) {
	t.Helper()
	client, err := New(Config{
		Server: &url.URL{Scheme: "http", Host: "drone.example.com"}, Timeout: time.Minute, MaxConcurrentRequests: 4,
		Token: secret.Static(secret.New(dronetest.DefaultToken)), MaxRequestsPerSecond: 1e9, MaxAnswerBytes: 1 << 20,
		Logger: slog.New(slog.DiscardHandler), Transport: base,
	})
	if err != nil {
		t.Fatal(err)
	}
	watch := &lender{next: client.http.Transport}
	client.http.Transport = watch
	return client, watch
}

// TestMemoryComesBack looks at every way that an answer can take: its memory is given back exactly once, and not
// before the last look at it. What is asked for is the list of users.
func TestMemoryComesBack(t *testing.T) {
	const said = `{"message":"the server's own words"}`
	const message = ": the server's own words"
	first := func(status int) dronetest.Interceptor { return dronetest.Status(status, said, dronetest.First(1)) }
	for _, tt := range []struct {
		name  string
		fault dronetest.Interceptor
		want  string
		whole int64 // answers
		after time.Duration
	}{
		{name: "good", whole: 1},
		{name: "second attempt", fault: first(503), whole: 2},
		{name: "third attempt", fault: dronetest.Chain(first(429), first(502)), whole: 3},
		{name: "third attempt after a broken one", fault: dronetest.Chain(dronetest.Cut("[", dronetest.First(1)), first(502)),
			whole: 2},
		{name: "broken after a refusal", fault: dronetest.Chain(first(502), dronetest.Cut("[")),
			want: "GET /api/users: reading the answer: unexpected EOF", whole: 1},
		{name: "refused three times", fault: dronetest.Status(503, said),
			want: "GET /api/users: 503 Service Unavailable" + message, whole: 3},
		{name: "refused in different words", want: "GET /api/users: 504 Gateway Timeout" + message, whole: 3,
			fault: dronetest.Chain(dronetest.Status(502, `{"message":"`+strings.Repeat("x", 500)+`"}`, dronetest.First(1)),
				dronetest.Status(503, `{"message":"another"}`, dronetest.First(1)), first(504))},
		{name: "refused once", fault: dronetest.Status(403, said), want: "GET /api/users: 403 Forbidden" + message, whole: 1},
		{name: "refused at last", fault: dronetest.Chain(first(502), first(500)),
			want: "GET /api/users: 500 Internal Server Error" + message, whole: 2},
		{name: "asked to wait long", fault: dronetest.Status(429, said, dronetest.Header("Retry-After", "6")),
			want: "GET /api/users: 429 Too Many Requests" + message, whole: 1},
		{name: "asked to wait short, then long", fault: dronetest.Chain(
			dronetest.Status(429, said, dronetest.Header("Retry-After", "5"), dronetest.First(1)),
			dronetest.Status(503, said, dronetest.Header("Retry-After", "6"))),
			want: "GET /api/users: 503 Service Unavailable" + message, whole: 2},
		{name: "asked to wait long at last", fault: dronetest.Chain(first(502), first(502),
			dronetest.Status(503, said, dronetest.Header("Retry-After", "6"))),
			want: "GET /api/users: 503 Service Unavailable" + message, whole: 3},
		{name: "asked to wait short at last", fault: dronetest.Chain(first(502), first(502),
			dronetest.Status(503, said, dronetest.Header("Retry-After", "5"))),
			want: "GET /api/users: 503 Service Unavailable" + message, whole: 3},
		{name: "given up while waiting", fault: dronetest.Status(503, said, dronetest.Header("Retry-After", "5")),
			want: "GET /api/users: context deadline exceeded", whole: 1, after: time.Second},
		{name: "given up while asking", fault: dronetest.Slow(),
			want: "GET /api/users: context deadline exceeded", after: time.Second},
		{name: "redirect", fault: dronetest.Redirect("https://h/api/users"),
			want: "GET /api/users: 307 redirect to https://h/api/users, not followed", whole: 1},
		{name: "login page", fault: dronetest.LoginPage(), whole: 1,
			want: "GET /api/users: the answer is a web page, not JSON"},
		{name: "wrong shape", fault: dronetest.Status(200, said), whole: 1,
			want: "GET /api/users: unusable answer: json: cannot unmarshal object into Go value of type []droneapi.User"},
		{name: "wrong number", fault: dronetest.Status(200, `[{"id":-5}]`),
			want: "GET /api/users: unusable answer: element 0: id is -5", whole: 1},
		{name: "too large", fault: dronetest.Huge(4 << 20),
			want: "GET /api/users: the answer has more than 1048576 bytes"},
		{name: "too short", fault: dronetest.Truncated("["),
			want: "GET /api/users: reading the answer: unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				drone := dronetest.New(dronetest.Enterprise)
				drone.Intercept(tt.fault)
				client, watch := lending(t, drone.RoundTripper())
				ctx := t.Context()
				if tt.after > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.after)
					defer cancel()
				}
				users, err := client.Users(ctx)
				if tt.want == "" {
					if err != nil || len(users) != 1 || users[0].Login != "prometheus" {
						t.Errorf("users %+v, %v", users, err)
					}
				} else if fmt.Sprint(err) != tt.want {
					t.Errorf("error %v, want %s", err, tt.want)
				}
				if watch.out.Load() != 0 || watch.all.Load() != tt.whole {
					t.Errorf("%d of %d answers are not given back, want 0 of %d", watch.out.Load(), watch.all.Load(), tt.whole)
				}
			})
		})
	}
}

// TestMemoryIsTakenAgain reads a large answer many times, and many that fail, with memory for one.
func TestMemoryIsTakenAgain(t *testing.T) {
	large := `[{"id":1,"login":"` + strings.Repeat("x", 1<<14) + `"}]`
	for name, answer := range map[string]dronetest.Interceptor{
		"good": dronetest.Status(200, large), "unusable": dronetest.Status(200, large+"]"),
		"refused": dronetest.Status(500, large), "login page": dronetest.Status(200, "<"+large),
	} {
		drone := dronetest.New(dronetest.Enterprise)
		drone.Intercept(answer)
		client, watch := lending(t, drone.RoundTripper())
		client.http.Transport = watch.next
		pool := &watch.next.(*transport).buffers
		made, fresh := 0, pool.New
		pool.New = func() any { made++; return fresh() }
		const requests = 100
		for range requests {
			_, _ = client.Users(t.Context())
		}
		// The race detector has the pool lose a quarter of what it is given.
		if made > requests/2 {
			t.Errorf("%s: %d buffers were made for %d requests", name, made, requests)
		}
	}
}

// TestMemoryOfHugeAnswersIsNotKept would otherwise keep as much as the largest answer that was ever refused.
func TestMemoryOfHugeAnswersIsNotKept(t *testing.T) {
	drone := dronetest.New(dronetest.Enterprise)
	drone.Intercept(dronetest.Huge(4 << 20))
	client, watch := lending(t, drone.RoundTripper())
	_, _ = client.Users(t.Context())
	for buffer := range 8 {
		if got := watch.next.(*transport).buffers.Get().(interface{ Cap() int }).Cap(); got != 0 {
			t.Errorf("buffer %d has room for %d bytes", buffer, got)
		}
	}
}

// stub answers everything with the same bytes.
type stub struct{ raw []byte }

func (s stub) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(s.raw))), ContentLength: -1,
	}, nil
}
