package clienttls_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"drone-otel-agent/internal/certtest"
	"drone-otel-agent/internal/clienttls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server asks for client certificates of an authority and says whose came.
func server(t *testing.T, own certtest.Pair, clients *certtest.Authority) string {
	t.Helper()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	web.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own.TLS(t)},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(),
	}
	web.StartTLS()
	t.Cleanup(web.Close)
	return web.URL
}

// ask says as whom the server knows the source's certificate, over a new connection.
func ask(t *testing.T, source *clienttls.Source, url string) (string, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: source.Config().Clone(), DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(resp.Body)
	return string(said), err
}

// journal keeps the messages that were logged, with their files and errors.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// taken gives the lines since the last call.
func (j *journal) taken() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.buf.Reset()
	return j.buf.String()
}

func newLog() (*journal, *slog.Logger) {
	j := &journal{}
	return j, slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

const (
	inUse    = `level=INFO msg="renewed certificate files are in use" files=`
	unusable = `level=WARN msg="renewed certificate files cannot be used; what was read before stays in use" err=`
	asBefore = `level=INFO msg="the certificate files are again what they were" files=`
)

// TestRenewal goes from one authority to another, for both sides, in every way in which files are replaced.
func TestRenewal(t *testing.T) {
	for _, way := range certtest.Ways() {
		t.Run(string(way), func(t *testing.T) {
			log, logger := newLog()
			first, second := certtest.NewAuthority(t), certtest.NewAuthority(t)
			before := server(t, first.Issue(t, certtest.Leaf{Name: "server"}), first)
			after := server(t, second.Issue(t, certtest.Leaf{Name: "server"}), second)
			folder := certtest.NewFolder(t, way)
			folder.Put(t, map[string][]byte{"ca.pem": first.PEM})
			folder.PutPair(t, first.Issue(t, certtest.Leaf{Name: "first"}))
			source, err := clienttls.New(clienttls.Files{
				CA: folder.Path("ca.pem"), Cert: folder.Path("cert.pem"), Key: folder.Path("key.pem"),
			}, logger)
			if err != nil {
				t.Fatal(err)
			}
			same := source.Config()
			if said, err := ask(t, source, before); said != "first" || source.Config() != same {
				t.Errorf("%q, %v; the same configuration: %t", said, err, source.Config() == same)
			}
			if _, err := ask(t, source, after); !refusedBy[*tls.CertificateVerificationError](err) {
				t.Errorf("a server of an authority that is not trusted: %v", err)
			}
			folder.Put(t, map[string][]byte{"ca.pem": second.PEM})
			if _, err := ask(t, source, before); !refusedBy[*tls.CertificateVerificationError](err) {
				t.Errorf("a server of an authority that is no longer trusted: %v", err)
			}
			if _, err := ask(t, source, after); !refusedBy[*net.OpError](err) {
				t.Errorf("the new server, with the old certificate: %v", err)
			}
			folder.PutPair(t, second.Issue(t, certtest.Leaf{Name: "second"}))
			if said, err := ask(t, source, after); said != "second" {
				t.Errorf("%q, %v", said, err)
			}
			again := first.Issue(t, certtest.Leaf{Name: "again"})
			folder.Put(t, map[string][]byte{"ca.pem": first.PEM, "cert.pem": again.Cert, "key.pem": again.Key})
			if said, err := ask(t, source, before); said != "again" {
				t.Errorf("everything at once: %q, %v", said, err)
			}
			want := inUse + "[" + folder.Path("ca.pem") + "]\n" +
				inUse + `"[` + folder.Path("cert.pem") + " " + folder.Path("key.pem") + "]\"\n"
			want += want
			if diff := cmp.Diff(want, log.taken()); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func refusedBy[E error](err error) bool {
	var by E
	return errors.As(err, &by)
}

// TestHostnameIsVerified holds that a renewal does not cost the check of the server's name, which is an address here.
func TestHostnameIsVerified(t *testing.T) {
	log, logger := newLog()
	ca := certtest.NewAuthority(t)
	elsewhere := server(t, ca.Issue(t, certtest.Leaf{Name: "server", At: net.IPv4(10, 0, 0, 1)}), ca)
	folder := certtest.NewFolder(t, certtest.Rename)
	folder.Put(t, map[string][]byte{"ca.pem": certtest.NewAuthority(t).PEM})
	source, err := clienttls.New(clienttls.Files{CA: folder.Path("ca.pem")}, logger)
	if err != nil {
		t.Fatal(err)
	}
	folder.Put(t, map[string][]byte{"ca.pem": ca.PEM})
	if _, err := ask(t, source, elsewhere); err == nil || !strings.Contains(err.Error(), "valid for 10.0.0.1") {
		t.Errorf("a server with another's certificate: %v", err)
	}
	if got := log.taken(); !strings.HasPrefix(got, inUse) {
		t.Errorf("the authority was not renewed:\n%s", got)
	}
}

// TestBrokenRenewal breaks one file after the other. What was good stays in use, and the other part is still renewed.
func TestBrokenRenewal(t *testing.T) {
	ca := certtest.NewAuthority(t)
	url := server(t, ca.Issue(t, certtest.Leaf{Name: "server"}), ca)
	log, logger := newLog()
	folder := certtest.NewFolder(t, certtest.InPlace)
	good := ca.Issue(t, certtest.Leaf{Name: "first"})
	folder.Put(t, map[string][]byte{"ca.pem": ca.PEM})
	folder.PutPair(t, good)
	pem, cert, key := folder.Path("ca.pem"), folder.Path("cert.pem"), folder.Path("key.pem")
	source, err := clienttls.New(clienttls.Files{CA: pem, Cert: cert, Key: key}, logger)
	if err != nil {
		t.Fatal(err)
	}
	goesOn := func(want string) {
		t.Helper()
		for range 2 {
			if said, err := ask(t, source, url); said != want {
				t.Errorf("%q, %v, want %q", said, err, want)
			}
		}
	}
	wantLog := func(want string) {
		t.Helper()
		if diff := cmp.Diff(want, log.taken()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	}
	pair := "reading the client certificate " + cert + " and key " + key
	for _, tt := range []struct {
		name, path string
		content    []byte
		want, of   string
	}{
		{"no PEM", pem, []byte("half"), "reading the CA file: " + pem + " holds no PEM certificate", pem},
		{"empty", pem, nil, "reading the CA file: " + pem + " holds no PEM certificate", pem},
		{"cut", pem, append(bytes.Clone(ca.PEM), ca.PEM[:100]...),
			"reading the CA file: " + pem + " ends within a PEM block", pem},
		{"cut", key, good.Key[:len(good.Key)/2], pair + ": " + key + " ends within a PEM block", cert + " " + key},
		{"another's key", key, ca.Issue(t, certtest.Leaf{Name: "x"}).Key,
			pair + ": tls: private key does not match public key", cert + " " + key},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Base(tt.path)
			whole, err := os.ReadFile(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			folder.Put(t, map[string][]byte{name: tt.content})
			goesOn("first")
			wantLog(unusable + quoted(tt.want) + "\n")
			folder.Put(t, map[string][]byte{name: whole})
			goesOn("first")
			wantLog(asBefore + quoted("["+tt.of+"]") + "\n")
		})
	}
	if err := os.Remove(pem); err != nil {
		t.Fatal(err)
	}
	folder.PutPair(t, ca.Issue(t, certtest.Leaf{Name: "second"}))
	goesOn("second")
	wantLog(unusable + quoted("reading the CA file: open "+pem+": no such file or directory") + "\n" +
		inUse + quoted("["+cert+" "+key+"]") + "\n")
}

// quoted is as slog writes a text with spaces.
func quoted(text string) string {
	if strings.Contains(text, " ") {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// TestPipe holds that nobody waits for what somebody may once write into a pipe.
func TestPipe(t *testing.T) {
	ca := certtest.NewAuthority(t)
	source, err := clienttls.New(clienttls.Files{CA: ca.File}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	before := source.Config()
	if err := os.Remove(ca.File); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(ca.File, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	if source.Config() != before {
		t.Error("a pipe was taken for a renewed file")
	}
	err = clienttls.Files{CA: ca.File}.Validate()
	if want := "reading the CA file: " + ca.File + " is not a regular file"; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestForMany connects from many goroutines while the files change.
func TestForMany(t *testing.T) {
	ca := certtest.NewAuthority(t)
	folder := certtest.NewFolder(t, certtest.LinkSwap)
	folder.PutPair(t, ca.Issue(t, certtest.Leaf{Name: "0"}))
	source, err := clienttls.New(clienttls.Files{
		Cert: folder.Path("cert.pem"), Key: folder.Path("key.pem"),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				cert, err := source.Config().GetClientCertificate(nil)
				if err != nil || len(cert.Certificate) != 1 {
					t.Errorf("%v, %v", cert, err)
				}
			}
		})
	}
	for i := range 20 {
		folder.PutPair(t, ca.Issue(t, certtest.Leaf{Name: fmt.Sprint(i)}))
	}
	wg.Wait()
}
