package exporters

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends text to the server and reads until it closes the connection.
func raw(t *testing.T, addr, text string) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(soon(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, text) // the server may have closed it in the middle
	answer, err := io.ReadAll(conn)
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		t.Fatal("the server does not close the connection")
	}
	return string(answer)
}

func TestRudeClients(t *testing.T) {
	lim := defaultLimits()
	lim.readHeader, lim.read, lim.idle = 100*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
	_, addr := startServer(t, ServerConfig{}, lim)
	const host = "Host: x\r\n"
	for _, tc := range []struct{ name, request, wantPrefix string }{
		{"says nothing", "", ""},
		{"never ends its header", "GET /metrics HTTP/1.1\r\n" + host + "X-Slow: ", ""},
		{"never sends its body", "GET /metrics HTTP/1.1\r\n" + host + "Content-Length: 100\r\n\r\n", "HTTP/1.1 413 "},
		{"goes idle", "GET /-/healthy HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 200 OK"},
		{"huge header", "GET /metrics HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
			"HTTP/1.1 431 "},
		{"huge body, announced", "GET /metrics HTTP/1.1\r\n" + host + "Content-Length: 1000000000\r\n\r\nx",
			"HTTP/1.1 413 "},
		{"huge body, in chunks", "GET /metrics HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("400\r\n"+strings.Repeat("x", 0x400)+"\r\n", 100), "HTTP/1.1 413 "},
		{"small body", "GET /metrics HTTP/1.1\r\n" + host + "Content-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := raw(t, addr, tc.request); !strings.HasPrefix(got, tc.wantPrefix) || tc.wantPrefix == "" && got != "" {
				t.Errorf("answer %q, want %q", got, tc.wantPrefix)
			}
		})
	}
}

// TestSlowReader takes the first byte of a large answer and no more.
func TestSlowReader(t *testing.T) {
	cut := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range 1 << 10 { // more than any socket buffer takes
			if _, err := w.Write(chunk); err != nil {
				cut <- err
				return
			}
		}
		cut <- nil
	})
	lim := defaultLimits()
	lim.write = 200 * time.Millisecond
	_, addr := startServer(t, ServerConfig{Metrics: handler}, lim)
	conn, err := (&net.Dialer{}).DialContext(soon(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-cut:
		if err == nil {
			t.Error("a gigabyte was written to a client that does not read")
		}
	case <-soon(t).Done():
		t.Error("the server waits for a client that does not read")
	}
}

func TestScrapesAreBounded(t *testing.T) {
	p := newTestProvider(t, ProviderConfig{})
	block := &blockingCollector{entered: make(chan struct{}, 2*maxScrapes), gate: make(chan struct{})}
	p.own.MustRegister(block)
	lim := defaultLimits()
	lim.patience = 100 * time.Millisecond
	_, addr := startServer(t, ServerConfig{Metrics: p.Handler()}, lim)
	client := newClient(t, nil)
	statuses := make(chan int, maxScrapes)
	for range maxScrapes {
		go func() {
			resp, err := client.Get("http://" + addr + "/metrics")
			if err != nil {
				statuses <- 0
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	for range maxScrapes {
		<-block.entered
	}
	resp, body := get(t, client, "http://"+addr+"/metrics")
	if resp.StatusCode != 503 || !strings.Contains(body, "Too many requests at the same time: 10 are being answered.") {
		t.Errorf("one too many: status %d: %s", resp.StatusCode, body)
	}
	close(block.gate)
	for range maxScrapes {
		if status := <-statuses; status != 200 {
			t.Errorf("status %d", status)
		}
	}
}
