package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/prometheus"
	"drone-otel-agent/internal/certtest"
)

// The credentials of the scene.
const (
	scrapeToken    = "the-scrape-token-31415926535"
	collectorToken = "the-collector-token-27182818"
)

// generation is the authorities of all certificates at a time: one for each side that looks at any.
type generation struct {
	name                                         string
	endpoint, scrapers, drone, collector, agents *certtest.Authority
}

func newGeneration(t *testing.T, name string) generation {
	t.Helper()
	return generation{
		name: name, endpoint: certtest.NewAuthority(t), scrapers: certtest.NewAuthority(t),
		drone: certtest.NewAuthority(t), collector: certtest.NewAuthority(t), agents: certtest.NewAuthority(t),
	}
}

// authorities are one of each generation's, in one file.
func authorities(of func(generation) *certtest.Authority, generations []generation) []byte {
	var pem []byte
	for _, g := range generations {
		pem = append(pem, of(g).PEM...)
	}
	return pem
}

// front is TLS before Drone. It wants a client's certificate, and remembers whose came last.
type front struct {
	shows   atomic.Pointer[tls.Certificate]
	trusts  atomic.Pointer[x509.CertPool]
	visitor atomic.Pointer[string]
}

// serve gives the address. Every request is a connection of its own.
func (f *front) serve(t *testing.T, drone http.Handler) string {
	t.Helper()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.visitor.Store(&r.TLS.PeerCertificates[0].Subject.CommonName)
		drone.ServeHTTP(w, r)
	}))
	web.Config.SetKeepAlivesEnabled(false)
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	web.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*f.shows.Load()},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: f.trusts.Load(),
		}, nil
	}}
	web.StartTLS()
	t.Cleanup(web.Close)
	return web.URL
}

// secured is a scene in which everybody shows a certificate to everybody. Configurations and names of files are those
// of deploy/tls.
type secured struct {
	scene
	front front
	to    *collector.Collector
	prom  *prometheus.Server

	agentFiles, prometheusFiles, collectorFiles, collectorTokens *certtest.Folder
}

// secure begins with the certificates of a generation. way is how the agent's files will be replaced.
func secure(t *testing.T, way certtest.Way, first generation) *secured {
	t.Helper()
	s := &secured{
		agentFiles: certtest.NewFolder(t, way),
		// All at once: with a certificate and the key of another one neither of the two could connect.
		prometheusFiles: certtest.NewFolder(t, certtest.LinkSwap),
		collectorFiles:  certtest.NewFolder(t, certtest.LinkSwap),
		collectorTokens: certtest.NewFolder(t, certtest.Rename),
	}
	s.trust(t, first)
	s.present(t, first)
	s.prometheusFiles.Put(t, map[string][]byte{"scrape-token": []byte(scrapeToken)})
	s.collectorTokens.Put(t, map[string][]byte{"agent-tokens": []byte(collectorToken)})
	s.to = collector.Configured(t, func(address string) string {
		return example(t, "collector.yaml", "collector.example.com:4317", address, "1h", "1s", "debug", "inbox",
			"/etc/otelcol/tls", s.collectorFiles.Path(""), "/etc/otelcol", s.collectorTokens.Path(""))
	})
	s.startAgent(t)
	s.agent.AwaitLine(t, "msg=listening") // or Prometheus's first scrape fails
	s.prom = prometheus.Start(t, example(t, "prometheus.yaml", "agent.example.com:9464", s.address,
		"scheme: https", "scheme: https\n    scrape_interval: 1s\n    scrape_timeout: 1s",
		"/etc/prometheus/drone", s.prometheusFiles.Path("")))
	return s
}

func (s *secured) startAgent(t *testing.T) {
	t.Helper()
	var env []string
	s.drone, env = recordedDrone(t, dronetest.Enterprise)
	etc := t.TempDir()
	if err := os.Symlink(s.agentFiles.Path(""), filepath.Join(etc, "tls")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"drone-token": dronetest.DefaultToken, "scrape-token": scrapeToken, "web.yaml": example(t, "web.yaml"),
		"config.yaml": example(t, "config.yaml", "/etc/drone-otel-agent", etc,
			"https://drone.example.com", s.front.serve(t, today(s.drone)),
			"collector.example.com:4317", s.to.Address(), "otlp:\n", "otlp:\n  interval: 1s\n") +
			"poll: {interval: 1s}\nstate: {path: " + t.TempDir() + "}\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.env = slices.Concat(env, []string{"COLLECTOR_TOKEN=" + collectorToken})
	s.address = port.Free(t)
	s.args = []string{
		"--config.file=" + filepath.Join(etc, "config.yaml"), "--web.config.file=" + filepath.Join(etc, "web.yaml"),
		"--web.listen-address=" + s.address,
	}
	s.begin(t)
}

// example is a file of deploy/tls with some of its words replaced.
func example(t *testing.T, name string, oldnew ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "deploy", "tls", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("deploy/tls/%s has no %q", name, oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

// trust has everybody trust the authorities of these generations and no others.
func (s *secured) trust(t *testing.T, in ...generation) {
	t.Helper()
	endpoint := authorities(func(g generation) *certtest.Authority { return g.endpoint }, in)
	scrapers := authorities(func(g generation) *certtest.Authority { return g.scrapers }, in)
	drone := authorities(func(g generation) *certtest.Authority { return g.drone }, in)
	collectors := authorities(func(g generation) *certtest.Authority { return g.collector }, in)
	agents := authorities(func(g generation) *certtest.Authority { return g.agents }, in)
	s.agentFiles.Put(t, map[string][]byte{
		"drone-ca.pem": drone, "collector-ca.pem": collectors, "scrapers-ca.pem": scrapers,
	})
	s.prometheusFiles.Put(t, map[string][]byte{"agent-ca.pem": endpoint})
	s.collectorFiles.Put(t, map[string][]byte{"agents-ca.pem": agents})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(agents)
	s.front.trusts.Store(pool)
}

// present has everybody show a certificate of a generation.
func (s *secured) present(t *testing.T, g generation) {
	t.Helper()
	server, agent := g.endpoint.Issue(t, certtest.Leaf{Name: g.name}), g.agents.Issue(t, certtest.Leaf{Name: g.name})
	s.agentFiles.Put(t, map[string][]byte{
		"server.pem": server.Cert, "server.key": server.Key, "agent.pem": agent.Cert, "agent.key": agent.Key,
	})
	scraper := g.scrapers.Issue(t, certtest.Leaf{Name: g.name})
	s.prometheusFiles.Put(t, map[string][]byte{"prometheus.pem": scraper.Cert, "prometheus.key": scraper.Key})
	receiver := g.collector.Issue(t, certtest.Leaf{Name: g.name})
	s.collectorFiles.Put(t, map[string][]byte{"server.pem": receiver.Cert, "server.key": receiver.Key})
	s.front.present(t, g)
}

func (f *front) present(t *testing.T, g generation) {
	t.Helper()
	shown := g.drone.Issue(t, certtest.Leaf{Name: g.name}).TLS(t)
	f.shows.Store(&shown)
}

// goesOn waits until Drone was polled, the endpoint scraped and the Collector pushed to some more times: often enough
// for every connection of before to have ended.
func (s *secured) goesOn(t *testing.T) {
	t.Helper()
	const times = 3
	pushes := len(s.to.Pushes()) + times
	scrapes := s.scrapes(t) + times
	s.pollsGoOn(t, times)
	s.agent.Await(t, "pushes and scrapes to go on", func() error {
		var wrong []error
		if n := len(s.to.Pushes()); n < pushes {
			wrong = append(wrong, fmt.Errorf("%d pushes, want %d", n, pushes))
		}
		if n := s.scrapes(t); n < scrapes {
			wrong = append(wrong, fmt.Errorf("%v good scrapes, want %v", n, scrapes))
		}
		return errors.Join(wrong...)
	})
}

// scrapes is how many have gone well.
func (s *secured) scrapes(t *testing.T) float64 {
	t.Helper()
	n, err := s.prom.Value(t.Context(), `sum(sum_over_time(up[1h])) or vector(0)`)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// withoutFault holds that nothing has failed so far.
func (s *secured) withoutFault(t *testing.T) {
	t.Helper()
	for _, query := range []string{"min_over_time(up[1h])", "min_over_time(drone_up[1h])"} {
		if least, err := s.prom.Value(t.Context(), query); least != 1 {
			t.Errorf("%s is %v (%v), want 1", query, least, err)
		}
	}
	s.withoutComplaint(t)
}

// unusable is what the agent says of files that it may read while they are being replaced, too.
const unusable = "renewed certificate files cannot be used; what was read before stays in use"

// withoutComplaint holds that the agent has logged nothing else that is a warning or worse.
func (s *secured) withoutComplaint(t *testing.T) {
	t.Helper()
	for _, line := range slices.Concat(s.agent.Lines("level=WARN"), s.agent.Lines("level=ERROR")) {
		if !strings.Contains(line, unusable) {
			t.Errorf("the agent complains: %s", line)
		}
	}
}

// TestCertificatesRenewed moves everybody to new authorities and certificates while the agent runs, in the three steps
// of the README, and holds that not one poll, scrape or push fails on the way.
func TestCertificatesRenewed(t *testing.T) {
	t.Parallel()
	for _, way := range certtest.Ways() {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			first, second := newGeneration(t, "first"), newGeneration(t, "second")
			s := secure(t, way, first)
			hear := func(what string, want seven) {
				t.Helper()
				s.agent.Await(t, what+" in Prometheus", func() error { return want.inPrometheus(t.Context(), s.prom) })
				s.agent.Await(t, what+" at the Collector", func() error { return want.inPush(s.to) })
			}
			hear("the recorded seven", recorded())
			if got := *s.front.visitor.Load(); got != "first" {
				t.Errorf("the agent's certificate is of the %s generation, want the first", got)
			}
			s.trust(t, first, second)
			s.goesOn(t)
			s.present(t, second)
			s.goesOn(t)
			s.trust(t, second)
			s.goesOn(t)
			if got := *s.front.visitor.Load(); got != "second" {
				t.Errorf("the agent's certificate is of the %s generation, want the second", got)
			}
			move(s.drone)
			hear("the seven after a change", totals(s.drone))
			s.withoutFault(t)
			s.refusesOld(t, first, second)
			s.stop(t)
			for _, secret := range []string{scrapeToken, collectorToken, "PRIVATE"} {
				if strings.Contains(s.agent.Log(), secret) {
					t.Errorf("%q is in the agent's log", secret)
				}
			}
		})
	}
}

// refusesOld holds that the certificates of before are good for nothing, on any side.
func (s *secured) refusesOld(t *testing.T, first, second generation) {
	t.Helper()
	for _, tt := range []struct {
		name     string
		trusts   *certtest.Authority
		shows    certtest.Pair
		token    string
		expected string
	}{
		{"everything new", second.endpoint, second.scrapers.Issue(t, certtest.Leaf{}), scrapeToken, "200 OK"},
		{"no token", second.endpoint, second.scrapers.Issue(t, certtest.Leaf{}), "", "401 Unauthorized"},
		{"an old client", second.endpoint, first.scrapers.Issue(t, certtest.Leaf{}), scrapeToken, "remote error: tls"},
		{"old trust", first.endpoint, second.scrapers.Issue(t, certtest.Leaf{}), scrapeToken, "unknown authority"},
	} {
		got := s.visit(t, tt.trusts, tt.shows, tt.token)
		if !strings.Contains(got, tt.expected) {
			t.Errorf("scraping with %s: %s, want %s", tt.name, got, tt.expected)
		}
	}
	s.front.present(t, first)
	if line := s.agent.AwaitLine(t, "polling drone failed"); !strings.Contains(line, "unknown authority") {
		t.Errorf("a Drone server with an old certificate: %s", line)
	}
	s.front.present(t, second)
	s.agent.Await(t, "drone_up", func() error {
		up, err := s.prom.Value(t.Context(), "drone_up")
		return differs("drone_up", up, 1, err)
	})
}

// visit scrapes once over a connection of its own, and tells the status or the error.
func (s *secured) visit(t *testing.T, trusts *certtest.Authority, shows certtest.Pair, token string) string {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: trusts.Pool(), Certificates: []tls.Certificate{shows.TLS(t)},
			// Without it a certificate that the server does not ask for would not be sent at all.
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				pair := shows.TLS(t)
				return &pair, nil
			},
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Status
}

// TestBrokenRenewal has a renewal go wrong: everything goes on with the certificates of before, and the log says why.
func TestBrokenRenewal(t *testing.T) {
	t.Parallel()
	only := newGeneration(t, "only")
	s := secure(t, certtest.LinkSwap, only)
	s.agent.Await(t, "the first push", func() error { return recorded().inPush(s.to) })
	for _, broken := range []struct {
		files []string
		want  []string
	}{
		{[]string{"drone-ca.pem", "collector-ca.pem"}, []string{"drone-ca.pem holds no PEM certificate",
			"collector-ca.pem holds no PEM certificate"}},
		{[]string{"agent.key"}, []string{"failed to find any PEM data in key input"}},
	} {
		for _, file := range broken.files {
			s.agentFiles.Put(t, map[string][]byte{file: []byte("half a file")})
		}
		for _, line := range broken.want {
			s.agent.AwaitLine(t, line)
		}
		s.goesOn(t)
		s.trust(t, only)
		s.present(t, only)
		s.goesOn(t)
	}
	if least, err := s.prom.Value(t.Context(), "min_over_time(drone_up[1h])"); least != 1 {
		t.Errorf("the least drone_up is %v (%v), want 1", least, err)
	}
	// One line for Drone and one for the Collector, each time.
	if lines := s.agent.Lines(unusable); len(lines) != 4 {
		t.Errorf("%d complaints about files, want 4: %q", len(lines), lines)
	}
	s.withoutComplaint(t)
	s.stop(t)
}

// TestCollectorWantsAnotherToken changes the Collector's tokens. A rotation passes unnoticed, a token that is gone is
// told with what to look at.
func TestCollectorWantsAnotherToken(t *testing.T) {
	t.Parallel()
	s := secure(t, certtest.Rename, newGeneration(t, "only"))
	wants := func(tokens string) {
		t.Helper()
		s.collectorTokens.Put(t, map[string][]byte{"agent-tokens": []byte(tokens)})
	}
	s.agent.Await(t, "the first push", func() error { return recorded().inPush(s.to) })
	wants("another-token\n" + collectorToken + "\n")
	s.goesOn(t)
	s.withoutFault(t)
	wants("another-token\n")
	line := s.agent.AwaitLine(t, "does not take the metrics")
	for _, want := range []string{"Unauthenticated", "is the credential in otlp.headers the one the Collector wants?"} {
		if !strings.Contains(line, want) {
			t.Errorf("the line does not say %q: %s", want, line)
		}
	}
	wants(collectorToken)
	s.agent.AwaitLine(t, "takes the metrics again")
	s.goesOn(t)
	s.stop(t)
}
