package exporters

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"drone-otel-agent/internal/certtest"
	"drone-otel-agent/internal/secret"
)

// mutualTLS is a web configuration with mutual TLS. Its files are beside it.
const mutualTLS = `tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: clients.pem
`

// eachWay runs a test for every way in which files are replaced.
func eachWay(t *testing.T, test func(t *testing.T, folder *certtest.Folder)) {
	t.Helper()
	for _, way := range certtest.Ways() {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			test(t, certtest.NewFolder(t, way))
		})
	}
}

// visitor is a client with a certificate that trusts an authority. It has no connections, but may resume sessions.
func visitor(t *testing.T, trusts *certtest.Authority, own certtest.Pair) *http.Client {
	t.Helper()
	client := newClient(t, &tls.Config{
		RootCAs: trusts.Pool(), Certificates: []tls.Certificate{own.TLS(t)}, MinVersion: tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	})
	client.Transport.(*http.Transport).DisableKeepAlives = true
	return client
}

// refused tells how a request over a new connection failed, and fails the test where it did not.
func refused(t *testing.T, client *http.Client, url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("%s answers with status %d", url, resp.StatusCode)
	}
	return err
}

// TestServerCertificatesRenewed moves the endpoint and its clients to other authorities while it serves.
func TestServerCertificatesRenewed(t *testing.T) {
	eachWay(t, func(t *testing.T, folder *certtest.Folder) {
		first, second, clients, others := certtest.NewAuthority(t), certtest.NewAuthority(t),
			certtest.NewAuthority(t), certtest.NewAuthority(t)
		client, other := clients.Issue(t, certtest.Leaf{Name: "client"}), others.Issue(t, certtest.Leaf{Name: "other"})
		folder.Put(t, map[string][]byte{"web.yml": []byte(mutualTLS), "clients.pem": clients.PEM})
		folder.PutPair(t, first.Issue(t, certtest.Leaf{Name: "agent"}))
		_, addr := startServer(t, ServerConfig{WebConfigFile: folder.Path("web.yml")}, defaultLimits())
		url := "https://" + addr + "/metrics"
		served := func(client *http.Client) *tls.ConnectionState {
			t.Helper()
			resp, body := get(t, client, url)
			if resp.StatusCode != 200 || body != "the metrics" {
				t.Errorf("status %d: %s", resp.StatusCode, body)
			}
			return resp.TLS
		}
		served(visitor(t, first, client))
		_ = refused(t, visitor(t, first, other), url)

		folder.PutPair(t, second.Issue(t, certtest.Leaf{Name: "agent"}))
		var unknown x509.UnknownAuthorityError
		if err := refused(t, visitor(t, first, client), url); !errors.As(err, &unknown) {
			t.Errorf("the old certificate is gone, and the error is %v", err)
		}
		stays := visitor(t, second, client)
		served(stays)
		if !served(stays).DidResume {
			t.Error("sessions are not resumed, so that what follows proves nothing")
		}
		folder.Put(t, map[string][]byte{"clients.pem": slices.Concat(clients.PEM, others.PEM)})
		served(visitor(t, second, client))
		served(visitor(t, second, other))
		folder.Put(t, map[string][]byte{"clients.pem": others.PEM})
		_ = refused(t, visitor(t, second, client), url)
		_ = refused(t, stays, url) // nor does a session of before help
		served(visitor(t, second, other))
	})
}

// await waits for a text in the log: the server writes it when the client knows already.
func (l *logbook) await(t *testing.T, text string) {
	t.Helper()
	ctx, tick := soon(t), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(l.String(), text) {
		select {
		case <-ctx.Done():
			t.Fatalf("no %q in the log:\n%s", text, l)
		case <-tick.C:
		}
	}
}

// TestServerBrokenRenewal has the files of the web configuration break one after the other.
func TestServerBrokenRenewal(t *testing.T) {
	ca := certtest.NewAuthority(t)
	server, client := ca.Issue(t, certtest.Leaf{Name: "agent"}), ca.Issue(t, certtest.Leaf{Name: "client"})
	for _, tc := range []struct{ name, broken, want string }{
		{"cert.pem", "half", "tls: failed to find any PEM data"},
		{"key.pem", string(ca.Issue(t, certtest.Leaf{}).Key), "private key does not match public key"},
		{"clients.pem", "", "clients.pem holds no PEM certificate"},
		{"web.yml", "tls_server_config: {cert_fil: cert.pem}", "field cert_fil not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			good := map[string][]byte{
				"web.yml": []byte(mutualTLS), "clients.pem": ca.PEM, "cert.pem": server.Cert, "key.pem": server.Key,
			}
			folder := certtest.NewFolder(t, certtest.InPlace)
			folder.Put(t, good)
			logs, logger := newLogbook(t)
			_, addr := startServer(t, ServerConfig{WebConfigFile: folder.Path("web.yml"), Logger: logger}, defaultLimits())
			url := "https://" + addr + "/metrics"
			if resp, _ := get(t, visitor(t, ca, client), url); resp.StatusCode != 200 {
				t.Errorf("status %d", resp.StatusCode)
			}
			folder.Put(t, map[string][]byte{tc.name: []byte(tc.broken)})
			for range 2 {
				_ = refused(t, visitor(t, ca, client), url)
			}
			logs.await(t, `"level":"ERROR","msg":"the web configuration cannot be used; new connections are refused`)
			logs.await(t, tc.want)
			folder.Put(t, good)
			if resp, _ := get(t, visitor(t, ca, client), url); resp.StatusCode != 200 {
				t.Errorf("with good files again: status %d", resp.StatusCode)
			}
		})
	}
}

// TestPushCertificatesRenewed moves a Collector and its clients to another authority while a provider pushes to it.
func TestPushCertificatesRenewed(t *testing.T) {
	eachWay(t, func(t *testing.T, folder *certtest.Folder) {
		first, second := certtest.NewAuthority(t), certtest.NewAuthority(t)
		behind := func(ca *certtest.Authority) grpc.ServerOption {
			return grpc.Creds(credentials.NewTLS(&tls.Config{
				Certificates: []tls.Certificate{ca.Issue(t, certtest.Leaf{Name: "collector"}).TLS(t)},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(), MinVersion: tls.VersionTLS12,
			}))
		}
		c := newCollector(t, behind(first))
		folder.Put(t, map[string][]byte{"ca.pem": first.PEM})
		folder.PutPair(t, first.Issue(t, certtest.Leaf{Name: "agent"}))
		logs, logger := newLogbook(t)
		p := newTestProvider(t, ProviderConfig{Logger: logger, OTLP: &OTLPConfig{
			Endpoint: "https://" + c.addr, Interval: time.Hour, Timeout: 300 * time.Millisecond,
			Headers: map[string]secret.Text{"authorization": secret.New("Bearer " + theToken)},
			TLS: OTLPTLSConfig{
				CAFile: folder.Path("ca.pem"), CertFile: folder.Path("cert.pem"), KeyFile: folder.Path("key.pem"),
			},
		}})
		if err := p.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		// again has the Collector start anew, and returns how the push went as soon as it went as it should.
		again := func(ca *certtest.Authority, want string) {
			t.Helper()
			c.stop()
			c.start(t, behind(ca))
			ctx, err := soon(t), error(nil)
			for ctx.Err() == nil {
				err = p.Flush(ctx)
				if want == "" && err == nil || want != "" && err != nil && strings.Contains(err.Error(), want) {
					return
				}
			}
			t.Fatalf("pushing ended with %v, want %q", err, want)
		}
		again(second, "signed by unknown authority")
		folder.Put(t, map[string][]byte{"ca.pem": second.PEM})
		folder.PutPair(t, second.Issue(t, certtest.Leaf{Name: "agent"}))
		again(second, "")
		if got := c.lastHeader("authorization"); got != "Bearer "+theToken {
			t.Errorf("the Collector was sent a credential of %d characters", len(got))
		}
		again(first, "signed by unknown authority")
		folder.Put(t, map[string][]byte{"ca.pem": []byte("half"), "key.pem": []byte("half")})
		again(second, "") // with what was read before
		const warning = "WARN renewed certificate files cannot be used; what was read before stays in use"
		lines := slices.DeleteFunc(logs.loud(t), func(line string) bool { return line != warning })
		if len(lines) != 2 || !strings.Contains(logs.String(), folder.Path("ca.pem")+" holds no PEM certificate") {
			t.Errorf("two broken files, %d warnings:\n%s", len(lines), logs)
		}
	})
}

// TestGuardTokensRotated goes through a rotation in which a token, a file and a digest count at the same time.
func TestGuardTokensRotated(t *testing.T) {
	eachWay(t, func(t *testing.T, folder *certtest.Folder) {
		folder.Put(t, map[string][]byte{"token": []byte("from-file\n")})
		_, logger := newLogbook(t)
		guard, err := NewTokenGuard([]secret.Source{
			secret.Static(secret.New(theToken)), secret.NewFile(folder.Path("token")),
		}, []string{hexDigest("digested"), hexDigest("digested-too")}, logger)
		if err != nil {
			t.Fatal(err)
		}
		_, addr := startServer(t, ServerConfig{Guard: guard, Logger: logger}, defaultLimits())
		wants := func(statuses map[string]int) {
			t.Helper()
			for token, want := range statuses {
				resp, _ := get(t, newClient(t, nil), "http://"+addr+"/metrics", "Authorization", "Bearer "+token)
				if resp.StatusCode != want {
					t.Errorf("%s: status %d, want %d", token, resp.StatusCode, want)
				}
			}
		}
		wants(map[string]int{
			theToken: 200, "digested": 200, "digested-too": 200, "from-file": 200, "renewed": 401, hexDigest("digested"): 401,
		})
		folder.Put(t, map[string][]byte{"token": []byte("renewed\n")})
		wants(map[string]int{theToken: 200, "digested": 200, "from-file": 401, "renewed": 200})
		folder.Put(t, map[string][]byte{"token": []byte("again")})
		wants(map[string]int{theToken: 200, "digested": 200, "renewed": 401, "again": 200})
	})
}
