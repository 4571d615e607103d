package exporters

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestServerTLS(t *testing.T) {
	ca, strangers := newAuthority(t), newAuthority(t)
	serverCert, serverKey := ca.leaf(t, "agent")
	clientCert, clientKey := ca.leaf(t, "prometheus")
	strangerCert, strangerKey := strangers.leaf(t, "stranger")
	config := filepath.Join(t.TempDir(), "web.yml")
	writeFile(t, config, fmt.Sprintf(`tls_server_config:
  cert_file: %s
  key_file: %s
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: %s
http_server_config:
  headers:
    X-Frame-Options: sameorigin
`, serverCert, serverKey, ca.CAFile))
	logs, logger := newLogbook(t)
	s, _ := startServer(t, ServerConfig{
		Addresses: []string{"127.0.0.1:0", "127.0.0.1:0"}, WebConfigFile: config, Guard: tokenGuardOf(t), Logger: logger,
	}, defaultLimits())
	mutual := newClient(t, ca.clientTLS(t, clientCert, clientKey))
	for _, addr := range s.Addrs() {
		resp, body := get(t, mutual, "https://"+addr.String()+"/metrics", "Authorization", "Bearer "+theToken)
		if resp.StatusCode != 200 || body != "the metrics" || resp.ProtoMajor != 2 {
			t.Errorf("%s: status %d: %s", resp.Proto, resp.StatusCode, body)
		}
		if got := resp.Header.Values("X-Frame-Options"); len(got) != 1 || got[0] != "sameorigin" {
			t.Errorf("the header of the web configuration is %q", got)
		}
		// The certificate gets one to the door, the token through it.
		if resp, _ := get(t, mutual, "https://"+addr.String()+"/metrics"); resp.StatusCode != 401 {
			t.Errorf("without a token: status %d", resp.StatusCode)
		}
	}
	addr := s.Addrs()[0].String()
	for name, client := range map[string]*http.Client{
		"no certificate":            newClient(t, ca.clientTLS(t, "", "")),
		"a stranger's certificate":  newClient(t, ca.clientTLS(t, strangerCert, strangerKey)),
		"does not trust our server": newClient(t, strangers.clientTLS(t, clientCert, clientKey)),
	} {
		req, err := http.NewRequestWithContext(soon(t), http.MethodGet, "https://"+addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
	if resp, body := get(t, newClient(t, nil), "http://"+addr+"/metrics"); resp.StatusCode != 400 {
		t.Errorf("without TLS: status %d: %s", resp.StatusCode, body)
	}
	if !strings.Contains(logs.String(), "TLS handshake error") {
		t.Errorf("the log says nothing of the handshakes:\n%s", logs)
	}
}

func TestServerReadsCertificatesAgain(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "web.yml")
	use := func(ca *authority) {
		cert, key := ca.leaf(t, "agent")
		writeFile(t, config, fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}\n", cert, key))
	}
	use(first)
	_, addr := startServer(t, ServerConfig{WebConfigFile: config}, defaultLimits())
	for i, ca := range []*authority{first, second} {
		if i > 0 { // not before the server has read the first: it does so while it starts
			use(ca)
		}
		if resp, _ := get(t, newClient(t, ca.clientTLS(t, "", "")), "https://"+addr+"/metrics"); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	config := filepath.Join(t.TempDir(), "web.yml")
	// bcrypt of "password", cost 4
	writeFile(t, config, "basic_auth_users: {prometheus: $2a$04$37svavdjbanah2kjbEDOBu2F9cVbViQs2er1S9cecZmF3nFSJ1GeO}\n")
	_, addr := startServer(t, ServerConfig{WebConfigFile: config}, defaultLimits())
	for password, want := range map[string]int{"password": 200, "pass": 401} {
		req, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://"+addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("prometheus", password)
		resp, err := newClient(t, nil).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%q: status %d, want %d", password, resp.StatusCode, want)
		}
	}
	err := ValidateWebConfig(config, true)
	if err == nil || !strings.Contains(err.Error(), "basic_auth_users: a request has one Authorization header") {
		t.Errorf("basic auth beside a bearer token: %v", err)
	}
}

func TestValidateWebConfig(t *testing.T) {
	dir := t.TempDir()
	cert, key := newAuthority(t).leaf(t, "agent")
	for _, tc := range []struct{ name, content, want string }{
		{"empty", "", ""},
		{"good", fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s}", cert, key), ""},
		{"unknown key", "tls: {}", "field tls not found"},
		{"no YAML", "{", "did not find expected"},
		{"no such certificate", "tls_server_config: {cert_file: none.pem, key_file: none.key}", "none.pem"},
		{"half of it", fmt.Sprintf("tls_server_config: {cert_file: %s}", cert), "missing one of key or key_file"},
		{"a password in the clear", "basic_auth_users: {prometheus: " + theToken + "}", "bcrypt"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(dir, "web.yml")
			writeFile(t, file, tc.content)
			_, err := NewServer(ServerConfig{WebConfigFile: file, Metrics: open})
			text := fmt.Sprint(err)
			if (err == nil) != (tc.want == "") ||
				err != nil && (!strings.Contains(text, tc.want) || !strings.Contains(text, file)) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if strings.Contains(text, theToken) {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
	if err := ValidateWebConfig(filepath.Join(dir, "none.yml"), false); err == nil {
		t.Error("a file that is not there is fine")
	}
}
