package exporters

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHealthcheck(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.leaf(t, "agent")
	pair := fmt.Sprintf("cert_file: %s, key_file: %s", cert, key)
	mutual := pair + ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: " + ca.CAFile
	for _, tc := range []struct{ name, listen, web string }{
		{"plain", "127.0.0.1:0", ""},
		{"on all addresses", ":0", ""},
		{"on all addresses, with TLS", "0.0.0.0:0", "tls_server_config: {" + pair + "}"},
		{"on all addresses, in IPv6's words", "[::]:0", ""},
		{"newest TLS only", "127.0.0.1:0", "tls_server_config: {" + pair + ", min_version: TLS13}"},
		{"mutual TLS 1.2", "127.0.0.1:0", "tls_server_config: {" + mutual + ", max_version: TLS12}"},
		{"mutual TLS 1.3", "127.0.0.1:0", "tls_server_config: {" + mutual + ", min_version: TLS13}"},
		{"a client certificate if there is one", "127.0.0.1:0", "tls_server_config: {" + pair +
			", client_auth_type: VerifyClientCertIfGiven, client_ca_file: " + ca.CAFile + "}"},
		{"basic auth", "127.0.0.1:0",
			"basic_auth_users: {prometheus: $2a$04$37svavdjbanah2kjbEDOBu2F9cVbViQs2er1S9cecZmF3nFSJ1GeO}"},
		{"a rate limit", "127.0.0.1:0", "rate_limit: {interval: 1h, burst: 1}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := ServerConfig{Addresses: []string{tc.listen}, Ready: func() bool { return false }}
			if tc.web != "" {
				cfg.WebConfigFile = filepath.Join(t.TempDir(), "web.yml")
				writeFile(t, cfg.WebConfigFile, tc.web+"\n")
			}
			logs, logger := newLogbook(t)
			cfg.Logger = logger
			s, _ := startServer(t, cfg, defaultLimits())
			_, port, err := net.SplitHostPort(s.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := Healthcheck(soon(t), strings.TrimSuffix(tc.listen, ":0")+":"+port); err != nil {
					t.Error(err)
				}
			}
			// It is done twice a minute, for years.
			if said := logs.String(); !strings.Contains(tc.name, "mutual") && strings.Contains(said, "HTTP server") {
				t.Errorf("it leaves lines in the agent's log:\n%s", said)
			}
		})
	}
}

func TestHealthcheckFails(t *testing.T) {
	answers := func(status int) string {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", status)
		}))
		t.Cleanup(web.Close)
		return web.Listener.Addr().String()
	}
	for _, tc := range []struct{ name, address, want string }{
		{"nobody", tcpServer(t, nil), "connect: connection refused"},
		{"another program", answers(http.StatusNotFound), "/-/healthy answers 404 Not Found"},
		{"a redirect", answers(http.StatusFound), "/-/healthy answers 302 Found"},
		{"closes", tcpServer(t, func(conn net.Conn) { _ = conn.Close() }), ""},
		{"no HTTP", tcpServer(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "220 ready\r\n") }),
			"first record does not look like a TLS handshake"},
		{"hangs", tcpServer(t, func(net.Conn) {}), "no answer: context deadline exceeded"},
		{"no port", "localhost", "an address has the form host:port"},
		{"any port", "127.0.0.1:0", `which port it is cannot be told from "0"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(soon(t), 500*time.Millisecond)
			defer cancel()
			err := Healthcheck(ctx, tc.address)
			if err == nil || !strings.Contains(err.Error(), tc.want) ||
				!strings.HasPrefix(err.Error(), "asking the agent at "+tc.address+": ") {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %v", err)
			}
		})
	}
}

// tcpServer lets serve have each connection that comes in; it is closed at the end of the test. Without serve there
// is none.
func tcpServer(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	if serve == nil {
		_ = listener.Close()
		return address
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			serve(conn)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return address
}
