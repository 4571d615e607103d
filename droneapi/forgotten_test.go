package droneapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

// forgetful is a listener whose connections can be forgotten, as by a firewall that is started anew: nothing comes
// through on them any more, and nobody says so.
type forgetful struct {
	net.Listener

	mu    sync.Mutex
	conns []*forgotten
}

type forgotten struct {
	net.Conn
	dead chan struct{}
}

func (l *forgetful) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, &forgotten{Conn: conn, dead: make(chan struct{})})
	return l.conns[len(l.conns)-1], nil
}

// forget forgets all connections that there are, and returns how many.
func (l *forgetful) forget() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		close(conn.dead)
	}
	n := len(l.conns)
	l.conns = nil
	return n
}

// Write drops what is written to a forgotten connection. What the server reads of one may as well arrive.
func (c *forgotten) Write(p []byte) (int, error) {
	select {
	case <-c.dead:
		return len(p), nil
	default:
		return c.Conn.Write(p)
	}
}

// TestForgottenConnections: a connection that is dead without a word costs a request its time limit, and not one for
// each connection that is kept, or all of them where HTTP/2 has one for everything.
func TestForgottenConnections(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
			drone := dronetest.New(dronetest.Enterprise)
			line := &forgetful{}
			web := serve(t, drone, func(web *httptest.Server) {
				line.Listener = web.Listener
				web.Listener = line
				if web.EnableHTTP2 = http2; http2 {
					web.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
				}
			})
			client := newClient(t, web.URL, func(c *droneapi.Config) {
				c.Timeout = 500 * time.Millisecond
				if http2 {
					c.TLS.CAFile = caFile(t, web.Certificate())
				}
			})
			drone.Intercept(dronetest.Delay(100 * time.Millisecond))
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if _, err := client.Version(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			drone.Intercept(nil)
			t.Logf("%d connections", line.forget())
			if _, err := client.Version(t.Context()); err == nil {
				t.Log("the first request got through")
			}
			if _, err := client.Version(t.Context()); err != nil {
				t.Errorf("the second request: %v", err)
			}
		})
	}
}

// caFile writes a certificate to a file.
func caFile(t *testing.T, certificate *x509.Certificate) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
