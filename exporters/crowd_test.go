package exporters

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"drone-otel-agent/internal/certtest"
)

// dial opens a connection to the server and says nothing. It is closed at the end of the test.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(soon(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// count is how many connections the server has.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx := soon(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited too long for %s", what)
		case <-tick.C:
		}
	}
}

// TestConnectionsAreBounded opens far more connections than the server keeps. The time limits would let every one of
// them live longer than the test.
func TestConnectionsAreBounded(t *testing.T) {
	authority := certtest.NewAuthority(t)
	for _, tc := range []struct {
		name, says string
		tls        bool
	}{
		{name: "silent"},
		{name: "slow with its header", says: "GET /metrics HTTP/1.1\r\nX-Slow: "},
		{name: "idle after a request", says: "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "slow with its body", says: "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"},
		{name: "silent instead of TLS", tls: true},
		{name: "slow with its greeting", tls: true, says: "\x16\x03\x01\x02"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lim, cfg := defaultLimits(), ServerConfig{}
			lim.connections, lim.readHeader, lim.read = 8, time.Minute, time.Minute
			scheme, config := "http", (*tls.Config)(nil)
			if tc.tls {
				cfg.WebConfigFile = webConfig(t, authority)
				scheme, config = "https", &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}
			}
			s, addr := startServer(t, cfg, lim)
			var rude []net.Conn
			for i := range 100 {
				conn := dial(t, addr)
				rude = append(rude, conn)
				_, _ = io.WriteString(conn, tc.says)
				if i%10 == 9 {
					client := newClient(t, config)
					if resp, body := get(t, client, scheme+"://"+addr+"/metrics"); resp.StatusCode != http.StatusOK {
						t.Errorf("beside %d others: %d %s", i+1, resp.StatusCode, body)
					}
					client.CloseIdleConnections()
				}
			}
			if n := s.connections.count(); n > lim.connections {
				t.Errorf("the server has %d connections, want %d at most", n, lim.connections)
			}
			// The first have been closed, by the server.
			if err := rude[0].SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err := io.Copy(io.Discard, rude[0])
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the connection that has been idle for longest is open")
			}
			for _, conn := range rude {
				_ = conn.Close()
			}
			eventually(t, "the server to have no connection left", func() bool { return s.connections.count() == 0 })
		})
	}
}

func webConfig(t *testing.T, authority *certtest.Authority) string {
	t.Helper()
	folder := t.TempDir()
	certFile, keyFile := authority.Issue(t, certtest.Leaf{Name: "server"}).Write(t, folder)
	file := folder + "/web.yaml"
	writeFile(t, file, fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\n", certFile, keyFile))
	return file
}

// TestBusyConnectionsAreKept closes idle connections for a new one before one with a request under way, and of those
// the oldest.
func TestBusyConnectionsAreKept(t *testing.T) {
	gate := make(chan struct{})
	inside := make(chan struct{}, 8)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		inside <- struct{}{}
		<-gate
		_, _ = io.WriteString(w, "whole")
	})
	lim := defaultLimits()
	lim.connections = 4
	_, addr := startServer(t, ServerConfig{Metrics: handler}, lim)
	var busy []net.Conn
	for range 3 {
		conn := dial(t, addr)
		busy = append(busy, conn)
		_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		<-inside
	}
	for range 50 {
		dial(t, addr)
	}
	last := dial(t, addr) // what was said before it was taken has been handled when it is answered
	_, _ = io.WriteString(last, "GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(last); err != nil || len(answer) == 0 {
		t.Fatalf("the newest gets %q, %v", answer, err)
	}
	close(gate)
	for i, conn := range busy {
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.ContentLength != 5 {
			t.Errorf("request %d that was under way: %v", i, err)
		}
	}
}

// large is an answer that no socket's buffers take whole.
var large = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	chunk := make([]byte, 4<<10)
	for range 4 << 10 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
})

// TestSlowReadersMakeRoom has far more slow readers than scrapes are answered at once. The time limit of an answer
// would let them stay longer than the test.
func TestSlowReadersMakeRoom(t *testing.T) {
	authority := certtest.NewAuthority(t)
	trusting := &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}
	for _, tc := range []struct {
		name, scheme string
		config       *tls.Config
	}{{"HTTP/1.1", "http", nil}, {"HTTP/2", "https", trusting}} {
		t.Run(tc.name, func(t *testing.T) {
			lim, cfg := defaultLimits(), ServerConfig{Metrics: large}
			lim.scrapes, lim.patience, lim.pace, lim.write = 4, 20*time.Second, time.Second, time.Minute
			if tc.config != nil {
				cfg.WebConfigFile = webConfig(t, authority)
			}
			_, addr := startServer(t, cfg, lim)
			address := tc.scheme + "://" + addr + "/metrics"
			ctx, cancel := context.WithCancel(t.Context())
			var slow sync.WaitGroup
			for range 8 {
				slow.Go(func() { trickle(ctx, address, tc.config.Clone()) })
			}
			defer slow.Wait()
			defer cancel()
			client := newClient(t, tc.config.Clone())
			for i := range 3 {
				resp, body := get(t, client, address)
				if resp.StatusCode != http.StatusOK || len(body) != 16<<20 || (resp.ProtoMajor == 2) != (tc.config != nil) {
					t.Errorf("scrape %d: %s %d, %d bytes", i, resp.Proto, resp.StatusCode, len(body))
				}
			}
		})
	}
}

// trickle reads an answer slowly, until it is cut off or the context ends.
func trickle(ctx context.Context, address string, config *tls.Config) {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, ReadBufferSize: 1 << 10}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil { // what has been received can be read after the end, too
		<-tick.C
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
			return
		}
	}
}

// TestSlowReaderAloneHasItsTime lets a reader pause for longer than it might while others wait.
func TestSlowReaderAloneHasItsTime(t *testing.T) {
	lim := defaultLimits()
	lim.scrapes, lim.pace = 1, time.Millisecond
	_, addr := startServer(t, ServerConfig{Metrics: large}, lim)
	resp, err := newClient(t, nil).Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	timer := time.NewTimer(200 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
	if n, err := io.Copy(io.Discard, resp.Body); n != 16<<20 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
