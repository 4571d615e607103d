package exporters

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.uber.org/goleak"

	"drone-otel-agent/internal/certtest"
)

// theToken is what no output may ever hold.
const theToken = "fe8c402a51e6629aa1f43a4234afee81"

// TestMain fails where a test leaves a goroutine behind, or where something reached OpenTelemetry's global
// error handler, which nothing in this package should.
func TestMain(m *testing.M) {
	var mu sync.Mutex
	var handled []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if errors.Is(err, context.Canceled) {
			return // the SDK's reader, where a tick falls together with the shutdown; see doc.go
		}
		mu.Lock()
		defer mu.Unlock()
		handled = append(handled, err)
	}))
	code := m.Run()
	mu.Lock()
	for _, err := range handled {
		fmt.Fprintln(os.Stderr, "reached OpenTelemetry's error handler:", err)
		code = 1
	}
	mu.Unlock()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// logbook is a logger whose lines can be looked at.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func newLogbook(t *testing.T) (*logbook, *slog.Logger) {
	t.Helper()
	l := &logbook{}
	t.Cleanup(func() {
		if strings.Contains(l.String(), theToken) {
			t.Errorf("the token is in the log:\n%s", l.String())
		}
	})
	return l, slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// loud gives the lines above level debug as "LEVEL message".
func (l *logbook) loud(t *testing.T) []string {
	t.Helper()
	lines := []string{}
	for line := range strings.Lines(l.String()) {
		var entry struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if entry.Level != "DEBUG" {
			lines = append(lines, entry.Level+" "+entry.Msg)
		}
	}
	return lines
}

// soon is a context that ends a hanging test.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// authority makes certificates for a test, in files.
type authority struct {
	*certtest.Authority

	CAFile string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	ca := certtest.NewAuthority(t)
	return &authority{ca, ca.File}
}

// leaf makes a certificate for 127.0.0.1 that serves and asks, and gives its files.
func (a *authority) leaf(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	return a.Issue(t, certtest.Leaf{Name: name}).Write(t, t.TempDir())
}

// clientTLS trusts the authority, and shows a certificate where there is one.
func (a *authority) clientTLS(t *testing.T, certFile, keyFile string) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS12}
	if certFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get asks for a URL and gives status, headers and body.
func get(t *testing.T, client *http.Client, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	return do(t, client, http.MethodGet, url, nil, headers...)
}

func do(
	t *testing.T, client *http.Client, method, url string, body io.Reader, headers ...string,
) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	if strings.Contains(string(content)+fmt.Sprint(resp.Header), theToken) {
		t.Errorf("%s %s answers with the token: %v\n%s", method, url, resp.Header, content)
	}
	return resp, string(content)
}

// newClient leaves no connection behind.
func newClient(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
