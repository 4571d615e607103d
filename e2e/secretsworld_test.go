package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
)

// The secrets of a leak test, one of every kind. They look like what people have; the last two are no tokens.
const (
	ofScraper  = "a1d5c77e0b3f4c2e9d8a6b5f4e3d2c1b" // of a machine user of Drone
	ofPerson   = "b2e6d88f1c4a5d3f0e9b7c6a5f4e3d2c" // of a user without rights
	ofGuard    = "c3f7e9902d5b6e4a1f0c8d7b6a5f4e3d" // prometheus.auth.token
	ofFile     = "d4a8fa013e6c7f5b2a1d9e8c7b6a5f4e" // prometheus.auth.token_file
	ofHeader   = "e5b90b124f7d806c3b2eaf9d8c7b6a5f" // otlp.headers
	ofVariable = "f6ca1c235a8e917d4c3fb0ae9d8c7b6a" // OTEL_EXPORTER_OTLP_HEADERS
	ofStranger = "07db2d346b9fa28e5d4ac1bfae9d8c7b" // and a number
	ofProxy    = "pr0xy/passw0rd+of=the%team"       // in HTTP_PROXY and HTTPS_PROXY
)

// secrets are all of them, in every form in which they may come out.
func secrets() []string {
	var out []string
	for _, one := range []string{
		dronetest.DefaultToken, ofScraper, ofPerson, ofGuard, ofFile, ofHeader, ofVariable, ofStranger, ofProxy,
	} {
		out = append(out, one, one[:16], one[len(one)-16:], url.QueryEscape(one), url.PathEscape(one),
			hex.EncodeToString([]byte(one)), base64.StdEncoding.EncodeToString([]byte(one))[:20])
	}
	return append(out, base64.StdEncoding.EncodeToString([]byte("agent:"+ofProxy)))
}

// findings are the texts that somebody may get to see, by where they are.
type findings struct {
	mu    sync.Mutex
	texts map[string]string
}

func (f *findings) add(where, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.texts == nil {
		f.texts = map[string]string{}
	}
	f.texts[where] += text
}

// search fails the test where a secret is in one of the texts, or one of the texts is empty: nothing was looked at
// then.
func (f *findings) search(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for where, text := range f.texts {
		if text == "" {
			t.Errorf("there is nothing in %s", where)
		}
		for _, word := range secrets() {
			if at := strings.Index(text, word); at >= 0 {
				t.Errorf("%q is in %s: …%q", word, where, text[max(0, at-200):min(len(text), at+200)])
				break
			}
		}
	}
}

// folder adds every file below a folder.
func (f *findings) folder(t *testing.T, what, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		f.add(what+" "+entry.Name(), string(raw))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ask sends a request and keeps all of the answer. The status is 0 where there is none.
func (f *findings) ask(t *testing.T, method, address, token string) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // without a proxy
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	f.add("the answer to "+method+" "+req.URL.Path, fmt.Sprintf("%s %v\n%s\n", resp.Status, resp.Header, body))
	return resp.StatusCode
}

// trouble answers in Drone's place with what it was sent: token is the caller's, and proxy what the proxy is told.
type trouble func(w http.ResponseWriter, r *http.Request, token, proxy string)

// treacherous is the proxy on the way to everything: Drone is behind http://drone.test, other hosts are behind CONNECT.
type treacherous struct {
	*httptest.Server

	drone *dronetest.Server
	// tunnels lead to addresses, by host and port. Who wants to go anywhere else is refused, with the credential.
	tunnels sync.Map
	now     atomic.Pointer[trouble]
	// troubled counts the requests of polls that got into trouble.
	troubled atomic.Int32
}

func newTreacherous(t *testing.T, drone *dronetest.Server) *treacherous {
	t.Helper()
	p := &treacherous{drone: drone}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// env leads a process through it.
func (p *treacherous) env() []string {
	at := (&url.URL{Scheme: "http", User: url.UserPassword("agent", ofProxy), Host: p.Listener.Addr().String()}).String()
	return []string{"HTTP_PROXY=" + at, "HTTPS_PROXY=" + at, "http_proxy=" + at, "https_proxy=" + at}
}

func (p *treacherous) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	encoded := strings.TrimPrefix(r.Header.Get("Proxy-Authorization"), "Basic ")
	decoded, _ := base64.StdEncoding.DecodeString(encoded)
	_, password, _ := strings.Cut(string(decoded), ":")
	if password != ofProxy {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		p.connect(w, r, encoded+" "+password)
		return
	}
	if now := p.now.Load(); now != nil {
		if r.URL.Path != "/api/user" {
			p.troubled.Add(1)
		}
		(*now)(w, r, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), password)
		return
	}
	p.drone.ServeHTTP(w, r)
}

func (p *treacherous) connect(w http.ResponseWriter, r *http.Request, credential string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	target, open := p.tunnels.Load(r.Host)
	if !open {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 403 not you, %s\r\nX-You: %[1]s\r\nContent-Length: %[2]d\r\n\r\n%[1]s",
			credential, len(credential))
		return
	}
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", target.(string)) //nolint:forcetypeassert // it is one
	if err != nil {
		return
	}
	defer func() { _ = there.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, conn)
		_ = there.Close()
	}()
	_, _ = io.Copy(conn, there)
}

// says answers with a status and a body in which both secrets are.
func says(status int, kind, body string, headers ...string) trouble {
	return func(w http.ResponseWriter, _ *http.Request, token, proxy string) {
		said := strings.NewReplacer("TOKEN", token, "PROXY", proxy)
		w.Header().Set("Content-Type", said.Replace(kind))
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], said.Replace(headers[i+1]))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, said.Replace(body))
	}
}

// raw answers with what is no HTTP.
func raw(text string) trouble {
	return func(w http.ResponseWriter, _ *http.Request, token, proxy string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, strings.NewReplacer("TOKEN", token, "PROXY", proxy).Replace(text))
		_ = conn.Close()
	}
}

// troubles are all that a server, or a proxy before it, can do with a token that it was sent.
func troubles() map[string]trouble {
	const isJSON, message = "application/json", `{"message":"no user TOKEN, not even by PROXY"}`
	return map[string]trouble{
		"401":                   says(http.StatusUnauthorized, isJSON, message, "WWW-Authenticate", "Bearer TOKEN PROXY"),
		"403":                   says(http.StatusForbidden, isJSON, message),
		"404":                   says(http.StatusNotFound, isJSON, message),
		"407":                   says(http.StatusProxyAuthRequired, "text/html", "PROXY", "Proxy-Authenticate", "PROXY"),
		"429":                   says(http.StatusTooManyRequests, isJSON, message, "Retry-After", "TOKEN"),
		"500":                   says(http.StatusInternalServerError, isJSON, message),
		"503":                   says(http.StatusServiceUnavailable, isJSON, message),
		"redirect with a query": says(http.StatusFound, isJSON, "", "Location", "https://evil.test/?access_token=TOKEN"),
		"redirect with a path":  says(http.StatusFound, isJSON, "", "Location", "https://evil.test/TOKEN/api/queue"),
		"redirect with a user":  says(http.StatusFound, isJSON, "", "Location", "https://TOKEN:PROXY@evil.test/"),
		"redirect to a host":    says(http.StatusFound, isJSON, "", "Location", "https://TOKEN.test/"),
		"redirect to nowhere":   says(http.StatusFound, isJSON, "", "Location", "https://evil.test:TOKEN/"),
		"web page":              says(http.StatusOK, "text/html", "<title>TOKEN</title>PROXY"),
		"content type":          says(http.StatusOK, "text/TOKEN", "{}"),
		"broken JSON":           says(http.StatusOK, isJSON, `[{"id": TOKEN`),
		"texts for numbers":     says(http.StatusOK, isJSON, `[{"id":"TOKEN","counter":"PROXY"}]`),
		"cut":                   raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\nTOKEN"),
		"no status":             raw("HTTP/1.1 TOKEN PROXY\r\n\r\n"),
		"no header":             raw("HTTP/1.1 200 OK\r\nTOKEN\r\n\r\n"),
		"no length":             raw("HTTP/1.1 200 OK\r\nContent-Length: TOKEN\r\n\r\n"),
		"no HTTP":               raw("TOKEN PROXY\r\n"),
	}
}
