package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
	"drone-otel-agent/internal/certtest"
)

// crowd is connections that are of no use to the agent, kept until the end of the test.
type crowd struct {
	address string
	conns   []net.Conn
	readers sync.WaitGroup
}

// join opens some more, and says on each what it is given.
func (c *crowd) join(t *testing.T, n int, says string) {
	t.Helper()
	for range n {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		c.conns = append(c.conns, conn)
		_, _ = io.WriteString(conn, says) // it may have been closed already
	}
}

// read takes a byte a second from each of the newest n, and no more than that out of the kernel's hands. It returns
// when all have got the first.
func (c *crowd) read(t *testing.T, n int) {
	t.Helper()
	readers := c.conns[len(c.conns)-n:]
	for _, conn := range readers {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) //nolint:forcetypeassert // it is one
		_ = conn.SetReadDeadline(time.Now().Add(2 * await.Deadline))
	}
	for _, conn := range readers {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatalf("a slow reader gets nothing: %v", err)
		}
		c.readers.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for range tick.C {
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					return
				}
			}
		})
	}
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.readers.Wait()
}

// goroutines is what the agent says of itself.
func goroutines(metrics string) (n int) {
	_, rest, _ := strings.Cut(metrics, "\ngo_goroutines ")
	text, _, _ := strings.Cut(rest, "\n")
	n, _ = strconv.Atoi(text)
	return n
}

// TestCrowdsDoNotStopScrapes fills the agent with clients that want nothing, or want it slowly, far beyond what it
// keeps at the same time. Nobody has to have a token. Scrapes of 10,000 repositories go on, whole, each over a new
// connection; when the crowd has gone nothing of it is left.
func TestCrowdsDoNotStopScrapes(t *testing.T) {
	t.Parallel()
	s := populous(t, "prometheus: {auth: {mode: none}}\n")
	v := newVisitor(t, "")
	metrics := "http://" + s.address + "/metrics"
	body := s.complete(t, v, metrics)
	descriptors, routines := s.agent.Descriptors(t), goroutines(body)

	all := &crowd{address: s.address}
	defer all.leave()
	const host = " HTTP/1.1\r\nHost: x\r\n"
	for _, kind := range []struct {
		name, says string
		n          int
		reads      bool
	}{
		{"silent", "", 600, false},
		{"idle after a request", "GET /-/healthy" + host + "\r\n", 200, false},
		{"slow with their header", "GET /metrics" + host + "X-Slow: ", 300, false},
		{"slow with their body", "GET /metrics" + host + "Content-Length: 100\r\n\r\n", 100, false},
		{"huge with their header", "GET /metrics" + host + "X-Huge: " + strings.Repeat("x", 64<<10), 50, false},
		{"slow with the answer", "GET /metrics" + host + "\r\n", 12, true},
	} {
		all.join(t, kind.n, kind.says)
		if kind.reads {
			all.read(t, kind.n)
		}
		for range 2 {
			began := time.Now()
			s.complete(t, v, metrics)
			took := time.Since(began).Round(time.Millisecond)
			if t.Logf("with those who are %s, a scrape took %s", kind.name, took); took > patience {
				t.Errorf("with those who are %s, scrapes stop", kind.name)
			}
			v.CloseIdleConnections()
		}
		if n := s.agent.Descriptors(t); n > descriptors+520 {
			t.Errorf("with those who are %s, the agent has %d files and sockets open, %d before", kind.name, n, descriptors)
		}
	}
	s.turnsAway(t)
	all.leave()
	s.agent.Await(t, "descriptors and goroutines as before", func() error {
		_, body, err := v.ask(t.Context(), http.MethodGet, metrics)
		now, files := goroutines(body), s.agent.Descriptors(t)
		if err == nil && (now > routines+10 || files > descriptors+5) {
			err = fmt.Errorf("%d goroutines, %d before; %d descriptors, %d before", now, routines, files, descriptors)
		}
		return err
	})
	s.stop(t)
}

// populous is an agent on a Drone with 10,000 repositories, each with series of its own.
func populous(t *testing.T, configuration string) scene {
	t.Helper()
	drone := dronetest.New(dronetest.Enterprise)
	drone.Populate(dronetest.Population{Repos: 10_000, Builds: 20_000, OpenBuilds: 10, Seed: 1})
	web := httptest.NewServer(drone)
	t.Cleanup(web.Close)
	env := []string{"DRONE_SERVER=" + web.URL, "DRONE_TOKEN=" + dronetest.DefaultToken}
	return enact(t, drone, nil, env, "poll: {interval: 5s}\nmetrics: {repositories: {limit: 10000}}\n"+configuration)
}

// complete waits for a scrape that has all repositories, and returns it.
func (s *scene) complete(t *testing.T, v *visitor, address string) string {
	t.Helper()
	var whole string
	s.agent.Await(t, "a scrape of all repositories", func() error {
		status, body, err := v.ask(t.Context(), http.MethodGet, address)
		if n := strings.Count(body, "\ndrone_build_finished_total{"); err == nil && n < 20_000 {
			err = fmt.Errorf("status %d, %d series: %.200s", status, n, body)
		}
		whole = body
		return err
	})
	return whole
}

// turnsAway sends what is too much, and reads what the agent says to that.
func (s *scene) turnsAway(t *testing.T) {
	t.Helper()
	for want, request := range map[int]string{
		http.StatusRequestHeaderFieldsTooLarge: "X-Huge: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		http.StatusRequestEntityTooLarge:       "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 1<<10),
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n"+request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("what is too much is not answered: %v", err)
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("what is too much gets status %d, want %d", resp.StatusCode, want)
		}
	}
}

// TestHandshakesDoNotStopScrapes is the same for TLS: with clients that never say who they are, and some that say half
// of it.
func TestHandshakesDoNotStopScrapes(t *testing.T) {
	t.Parallel()
	authority, folder := certtest.NewAuthority(t), t.TempDir()
	cert, key := authority.Issue(t, certtest.Leaf{Name: "agent"}).Write(t, folder)
	file := filepath.Join(folder, "web.yaml")
	text := fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\n", cert, key)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	drone, env := recordedDrone(t, dronetest.Enterprise)
	s := enact(t, drone, nil, env, "poll: {interval: 1s}\n", "--web.config.file="+file)
	v := newVisitor(t, dronetest.DefaultToken)
	v.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}
	metrics := "https://" + s.address + "/metrics"
	s.agent.Await(t, "a scrape", func() error {
		status, _, err := v.ask(t.Context(), http.MethodGet, metrics)
		if err == nil && status != http.StatusOK {
			err = errors.New(http.StatusText(status))
		}
		return err
	})
	descriptors := s.agent.Descriptors(t)
	all := &crowd{address: s.address}
	defer all.leave()
	for _, says := range []string{"", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\n"} {
		all.join(t, 600, says)
		for range 5 {
			v.want(t, http.StatusOK, http.MethodGet, metrics)
			v.CloseIdleConnections()
		}
	}
	all.leave()
	s.agent.Await(t, "as many descriptors as before", func() error {
		if n := s.agent.Descriptors(t); n > descriptors+5 {
			return fmt.Errorf("%d descriptors, %d before", n, descriptors)
		}
		return nil
	})
	if n := len(s.agent.Lines("TLS handshake error")); n > 30 {
		t.Errorf("the log has %d lines about handshakes", n)
	}
	s.stop(t)
}
