package droneapi_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/internal/certtest"
)

// secure is a server behind a certificate of an authority, which also signs its clients' where auth asks for them. It
// counts its connections.
func secure(
	t *testing.T, ca *certtest.Authority, handler http.Handler, leaf certtest.Leaf, auth tls.ClientAuthType,
) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	leaf.Name = "drone.example.com"
	connections := new(atomic.Int32)
	web := serve(t, handler, func(s *httptest.Server) {
		s.TLS = &tls.Config{
			Certificates: []tls.Certificate{ca.Issue(t, leaf).TLS(t)}, ClientAuth: auth, ClientCAs: ca.Pool(),
		}
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
	})
	return web, connections
}

func withTLS(cfg droneapi.TLSConfig) func(*droneapi.Config) {
	return func(c *droneapi.Config) { c.TLS = cfg }
}

func TestTrust(t *testing.T) {
	ca, other := certtest.NewAuthority(t), certtest.NewAuthority(t)
	drone := dronetest.New(dronetest.Enterprise)
	good, _ := secure(t, ca, drone, certtest.Leaf{}, tls.NoClientCert)
	for _, cfg := range []droneapi.TLSConfig{
		{CAFile: ca.File}, {InsecureSkipVerify: true}, {CAFile: other.File, InsecureSkipVerify: true},
	} {
		if version, err := newClient(t, good.URL, withTLS(cfg)).Version(t.Context()); version != "2.25.0" {
			t.Errorf("%+v: %q, %v", cfg, version, err)
		}
	}
	asked := drone.RequestCount()
	for _, tt := range []struct {
		name string
		cfg  droneapi.TLSConfig
		leaf certtest.Leaf
		want string
	}{
		{"system's authorities", droneapi.TLSConfig{}, certtest.Leaf{}, "unknown authority"},
		{"another authority", droneapi.TLSConfig{CAFile: other.File}, certtest.Leaf{}, "unknown authority"},
		{"expired", droneapi.TLSConfig{CAFile: ca.File}, certtest.Leaf{Until: time.Now().Add(-time.Hour)}, "expired"},
		{"another name", droneapi.TLSConfig{CAFile: ca.File}, certtest.Leaf{At: net.IPv4(10, 0, 0, 1)}, "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			web, connections := secure(t, ca, drone, tt.leaf, tls.NoClientCert)
			_, err := newClient(t, web.URL, withTLS(tt.cfg)).Version(t.Context())
			got := failure[*droneapi.TransportError](t, err)
			var refused *tls.CertificateVerificationError
			if !errors.As(err, &refused) || !strings.Contains(got.Error(), tt.want) {
				t.Errorf("error %q, want %q", got, tt.want)
			}
			if connections.Load() != 1 || drone.RequestCount() != asked {
				t.Errorf("%d connections, %d requests", connections.Load(), drone.RequestCount()-asked)
			}
		})
	}
}

// TestSchemes mixes up the two protocols.
func TestSchemes(t *testing.T) {
	t.Parallel()
	drone := dronetest.New(dronetest.Enterprise)
	plain := serve(t, drone)
	_, err := newClient(t, strings.Replace(plain.URL, "http:", "https:", 1)).Version(t.Context())
	_ = failure[*droneapi.TransportError](t, err)
	if !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("HTTPS to an HTTP server: %v", err)
	}
	encrypted, _ := secure(t, certtest.NewAuthority(t), drone, certtest.Leaf{}, tls.NoClientCert)
	_, err = newClient(t, strings.Replace(encrypted.URL, "https:", "http:", 1)).Version(t.Context())
	if got := failure[*droneapi.HTTPError](t, err); got.Status != http.StatusBadRequest {
		t.Errorf("HTTP to an HTTPS server: %v", err)
	}
	if drone.RequestCount() != 0 {
		t.Errorf("%d requests", drone.RequestCount())
	}
}

// visitors is a Drone server behind TLS that writes down whose certificates it was shown.
type visitors struct {
	*dronetest.Server

	mu   sync.Mutex
	seen []string
}

func (v *visitors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.seen = append(v.seen, r.TLS.PeerCertificates[0].Subject.CommonName)
	v.mu.Unlock()
	v.Server.ServeHTTP(w, r)
}

// taken are those since the last call.
func (v *visitors) taken() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() { v.seen = nil }()
	return v.seen
}

// TestClientCertificate renews the certificate while the client runs.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca, folder := certtest.NewAuthority(t), certtest.NewFolder(t, certtest.InPlace)
	folder.PutPair(t, ca.Issue(t, certtest.Leaf{Name: "first"}))
	drone := &visitors{Server: dronetest.New(dronetest.Enterprise)}
	web, connections := secure(t, ca, drone, certtest.Leaf{}, tls.RequireAndVerifyClientCert)

	log := new(lines)
	client := newClient(t, web.URL, func(c *droneapi.Config) {
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
		c.TLS = droneapi.TLSConfig{
			CAFile: ca.File, CertFile: folder.Path("cert.pem"), KeyFile: folder.Path("key.pem"),
		}
	})
	asks := func(want string, connectionsUpToNow int32) {
		t.Helper()
		if version, err := client.Version(t.Context()); version != "2.25.0" {
			t.Errorf("%q, %v", version, err)
		}
		if got := drone.taken(); !slices.Equal(got, []string{want}) || connections.Load() != connectionsUpToNow {
			t.Errorf("the server saw %q over %d connections, want %q over %d",
				got, connections.Load(), want, connectionsUpToNow)
		}
	}
	asks("first", 1)
	asks("first", 1) // over the connection that there is
	folder.PutPair(t, ca.Issue(t, certtest.Leaf{Name: "second"}))
	asks("second", 2)
	folder.Put(t, map[string][]byte{"key.pem": []byte("half a key")})
	asks("second", 2)
	client.Close()
	asks("second", 3)
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, folder.Path("key.pem")) {
		t.Errorf("the log does not say once that %s cannot be used:\n%s", folder.Path("key.pem"), got)
	}
	folder.PutPair(t, ca.Issue(t, certtest.Leaf{Name: "third"}))
	asks("third", 4)

	_, err := newClient(t, web.URL, withTLS(droneapi.TLSConfig{CAFile: ca.File})).Version(t.Context())
	var alert *net.OpError
	_ = failure[*droneapi.TransportError](t, err)
	if !errors.As(err, &alert) || alert.Op != "remote error" {
		t.Errorf("without a certificate: %v", err)
	}
	if got := drone.taken(); len(got) != 0 {
		t.Errorf("the server saw %q after that", got)
	}
}

// TestAuthorityRenewed moves Drone to another authority, as it is best done: for a while both are trusted. Nothing
// fails, and what the old authority signed is good for nothing in the end.
func TestAuthorityRenewed(t *testing.T) {
	for _, way := range certtest.Ways() {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			first, second := certtest.NewAuthority(t), certtest.NewAuthority(t)
			drone := &visitors{Server: dronetest.New(dronetest.Enterprise)}
			var present atomic.Pointer[tls.Config]
			web := serve(t, drone, func(s *httptest.Server) {
				s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
					return present.Load(), nil
				}}
			})
			show := func(ca *certtest.Authority) {
				present.Store(&tls.Config{
					Certificates: []tls.Certificate{ca.Issue(t, certtest.Leaf{Name: "drone.example.com"}).TLS(t)},
					ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
				})
			}
			folder := certtest.NewFolder(t, way)
			trust := func(pem []byte) { folder.Put(t, map[string][]byte{"ca.pem": pem}) }
			trust(first.PEM)
			folder.PutPair(t, first.Issue(t, certtest.Leaf{Name: "first"}))
			client := newClient(t, web.URL, withTLS(droneapi.TLSConfig{
				CAFile: folder.Path("ca.pem"), CertFile: folder.Path("cert.pem"), KeyFile: folder.Path("key.pem"),
			}))
			asks := func(want string) {
				t.Helper()
				version, err := client.Version(t.Context())
				if seen := drone.taken(); err != nil || !slices.Equal(seen, []string{want}) {
					t.Errorf("asked as %q, want %s: %q, %v", seen, want, version, err)
				}
			}
			show(first)
			asks("first")
			trust(slices.Concat(first.PEM, second.PEM))
			asks("first")
			folder.PutPair(t, second.Issue(t, certtest.Leaf{Name: "second"}))
			show(second)
			asks("second")
			trust(second.PEM)
			asks("second")

			show(first)
			client.Close()
			_, err := client.Version(t.Context())
			if got := failure[*droneapi.TransportError](t, err); !strings.Contains(got.Error(), "unknown authority") {
				t.Errorf("a server that the old authority signed: %v", err)
			}
			show(second)
			folder.PutPair(t, first.Issue(t, certtest.Leaf{Name: "first"}))
			if _, err := client.Version(t.Context()); err == nil || len(drone.taken()) != 0 {
				t.Errorf("a certificate that the old authority signed: %v", err)
			}
		})
	}
}

// TestRenewedUnderWay renews everything while an answer is awaited: it arrives. Connections of before are closed, the
// idle one at once and the other one after its answer.
func TestRenewedUnderWay(t *testing.T) {
	t.Parallel()
	first, second := certtest.NewAuthority(t), certtest.NewAuthority(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	opened, closed := make(chan net.Addr, 10), make(chan net.Addr, 10)
	drone := dronetest.New(dronetest.Enterprise)
	web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/version" {
			close(arrived)
			<-answer
		}
		drone.ServeHTTP(w, r)
	}), func(s *httptest.Server) {
		cert := first.Issue(t, certtest.Leaf{Name: "drone.example.com"}).TLS(t)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.Config.ConnState = func(conn net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				opened <- conn.RemoteAddr()
			case http.StateClosed:
				closed <- conn.RemoteAddr()
			default:
			}
		}
	})
	t.Cleanup(release) // before the server's own, which waits for every answer
	folder := certtest.NewFolder(t, certtest.Rename)
	folder.Put(t, map[string][]byte{"ca.pem": first.PEM})
	client := newClient(t, web.URL, withTLS(droneapi.TLSConfig{CAFile: folder.Path("ca.pem")}))
	asked := make(chan error, 1)
	go func() {
		_, err := client.Version(t.Context())
		asked <- err
	}()
	<-arrived
	user := func() {
		t.Helper()
		if _, err := client.User(t.Context()); err != nil {
			t.Error(err)
		}
	}
	user()
	busy, idle := <-opened, <-opened
	folder.Put(t, map[string][]byte{"ca.pem": slices.Concat(first.PEM, second.PEM)})
	user()
	<-opened
	if got := within(t, closed); got != idle {
		t.Errorf("the connection from %s was closed first, want the idle one, %s", got, idle)
	}
	release()
	if err := <-asked; err != nil {
		t.Error(err)
	}
	if got := within(t, closed); got != busy {
		t.Errorf("the connection from %s was closed, want the one from %s", got, busy)
	}
	user()
	if len(opened) != 0 {
		t.Error("the new connection is not used again")
	}
}

// within receives, in a time that is long enough for anything on one machine.
func within[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("waited 20 s for nothing")
	}
	return got
}

func TestTLSFiles(t *testing.T) {
	ca, dir := certtest.NewAuthority(t), t.TempDir()
	cert, key := ca.Issue(t, certtest.Leaf{Name: "client"}).Write(t, dir)
	foreign, _ := ca.Issue(t, certtest.Leaf{Name: "other"}).Write(t, t.TempDir())
	empty, missing := filepath.Join(dir, "empty.pem"), filepath.Join(dir, "missing.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cfg  droneapi.TLSConfig
		want string
	}{
		{droneapi.TLSConfig{CAFile: missing}, "reading the CA file: open " + missing + ": no such file or directory"},
		{droneapi.TLSConfig{CAFile: empty}, "reading the CA file: " + empty + " holds no PEM certificate"},
		{droneapi.TLSConfig{CAFile: key}, "reading the CA file: " + key + " holds no PEM certificate"},
		{droneapi.TLSConfig{CertFile: cert}, "a client certificate needs both its file and its key's file"},
		{droneapi.TLSConfig{KeyFile: key}, "a client certificate needs both its file and its key's file"},
		{droneapi.TLSConfig{CertFile: missing, KeyFile: key},
			"reading the client certificate " + missing + " and key " + key + ": open " + missing +
				": no such file or directory"},
		{droneapi.TLSConfig{CertFile: foreign, KeyFile: key},
			"reading the client certificate " + foreign + " and key " + key +
				": tls: private key does not match public key"},
	} {
		_, err := droneapi.New(droneapi.Config{TLS: tt.cfg, MaxConcurrentRequests: 1})
		for _, err := range []error{tt.cfg.Validate(), err} {
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		}
	}
	if err := (droneapi.TLSConfig{CAFile: ca.File, CertFile: cert, KeyFile: key}).Validate(); err != nil {
		t.Errorf("good files: %v", err)
	}
}
