package droneapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
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
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{cert, key, filepath.Join(t.TempDir(), "ca.pem")}
	writePEM(t, a.file, "CERTIFICATE", raw)
	return a
}

// issue writes a certificate of a name, valid for it or for 127.0.0.1 too, and its key.
func (a authority) issue(t *testing.T, dir, name string, until time.Time, addresses ...net.IP) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: addresses, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", raw)
	writePEM(t, key, "PRIVATE KEY", encoded)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		t.Fatal(err)
	}
}

var loopback = net.IPv4(127, 0, 0, 1)

// secure is a server behind a certificate of the authority, for an address, that counts its connections.
func (a authority) secure(
	t *testing.T, handler http.Handler, until time.Time, at net.IP, auth tls.ClientAuthType,
) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	cert, key := a.issue(t, t.TempDir(), "drone.example.com", until, at)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	connections := new(atomic.Int32)
	web := serve(t, handler, func(s *httptest.Server) {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: clients}
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

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func TestTrust(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	drone := dronetest.New(dronetest.Enterprise)
	good, _ := ca.secure(t, drone, inAnHour(), loopback, tls.NoClientCert)
	for _, cfg := range []droneapi.TLSConfig{
		{CAFile: ca.file}, {InsecureSkipVerify: true}, {CAFile: other.file, InsecureSkipVerify: true},
	} {
		if version, err := newClient(t, good.URL, withTLS(cfg)).Version(t.Context()); version != "2.25.0" {
			t.Errorf("%+v: %q, %v", cfg, version, err)
		}
	}
	asked := drone.RequestCount()
	for _, tt := range []struct {
		name  string
		cfg   droneapi.TLSConfig
		until time.Time
		at    net.IP
		want  string
	}{
		{"system's authorities", droneapi.TLSConfig{}, inAnHour(), loopback, "unknown authority"},
		{"another authority", droneapi.TLSConfig{CAFile: other.file}, inAnHour(), loopback, "unknown authority"},
		{"expired", droneapi.TLSConfig{CAFile: ca.file}, time.Now().Add(-time.Hour), loopback, "expired"},
		{"another name", droneapi.TLSConfig{CAFile: ca.file}, inAnHour(), net.IPv4(10, 0, 0, 1), "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			web, connections := ca.secure(t, drone, tt.until, tt.at, tls.NoClientCert)
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
	encrypted, _ := newAuthority(t).secure(t, drone, inAnHour(), loopback, tls.NoClientCert)
	_, err = newClient(t, strings.Replace(encrypted.URL, "https:", "http:", 1)).Version(t.Context())
	if got := failure[*droneapi.HTTPError](t, err); got.Status != http.StatusBadRequest {
		t.Errorf("HTTP to an HTTPS server: %v", err)
	}
	if drone.RequestCount() != 0 {
		t.Errorf("%d requests", drone.RequestCount())
	}
}

// TestClientCertificate renews the certificate while the client runs.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, dir, "first", inAnHour())
	var (
		mu   sync.Mutex
		seen []string
	)
	drone := dronetest.New(dronetest.Enterprise)
	web, connections := ca.secure(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.TLS.PeerCertificates[0].Subject.CommonName)
		mu.Unlock()
		drone.ServeHTTP(w, r)
	}), inAnHour(), loopback, tls.RequireAndVerifyClientCert)

	client := newClient(t, web.URL, withTLS(droneapi.TLSConfig{CAFile: ca.file, CertFile: cert, KeyFile: key}))
	ask := func() {
		t.Helper()
		if version, err := client.Version(t.Context()); version != "2.25.0" {
			t.Errorf("%q, %v", version, err)
		}
	}
	ask()
	ca.issue(t, dir, "second", inAnHour())
	ask() // over the connection that there is
	client.Close()
	ask()
	if want := []string{"first", "first", "second"}; !slices.Equal(seen, want) || connections.Load() != 2 {
		t.Errorf("the server saw %q over %d connections, want %q over 2", seen, connections.Load(), want)
	}

	if err := os.WriteFile(key, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	client.Close()
	_, err := client.Version(t.Context())
	if got := failure[*droneapi.TransportError](t, err).Error(); !strings.Contains(got, key) {
		t.Errorf("error %q does not name %s", got, key)
	}
	ca.issue(t, dir, "third", inAnHour())
	ask()

	_, err = newClient(t, web.URL, withTLS(droneapi.TLSConfig{CAFile: ca.file})).Version(t.Context())
	var alert *net.OpError
	_ = failure[*droneapi.TransportError](t, err)
	if !errors.As(err, &alert) || alert.Op != "remote error" {
		t.Errorf("without a certificate: %v", err)
	}
	if want := []string{"first", "first", "second", "third"}; !slices.Equal(seen, want) {
		t.Errorf("the server saw %q, want %q", seen, want)
	}
}

func TestTLSFiles(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, dir, "client", inAnHour())
	foreign, _ := ca.issue(t, t.TempDir(), "other", inAnHour())
	empty, missing := filepath.Join(dir, "empty.pem"), filepath.Join(dir, "missing.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		cfg  droneapi.TLSConfig
		want string
	}{
		{droneapi.TLSConfig{CAFile: missing}, "reading the CA file: open " + missing + ": no such file or directory"},
		{droneapi.TLSConfig{CAFile: empty}, "reading the CA file " + empty + ": it holds no PEM certificate"},
		{droneapi.TLSConfig{CAFile: key}, "reading the CA file " + key + ": it holds no PEM certificate"},
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
	if err := (droneapi.TLSConfig{CAFile: ca.file, CertFile: cert, KeyFile: key}).Validate(); err != nil {
		t.Errorf("good files: %v", err)
	}
}
