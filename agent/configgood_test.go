package agent

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/exporters"
	"drone-otel-agent/internal/secret"
)

const (
	fileToken = "file0f0a0token0for0these0tests0only" // in testdata/config/token
	noDigest  = "0000000000000000000000000000000000000000000000000000000000000000"
	hexDigest = "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD"
)

// flat is a Config that can be compared, its secrets laid open.
type flat struct {
	Server, Token string
	DroneTLS      droneapi.TLSConfig
	Timeout       time.Duration
	Concurrent    int
	PerSecond     float64
	Watch         watchConfig
	StaleAfter    time.Duration
	StatePath     string
	Metrics       metricsFile
	Listen, Path  string
	Mode          string
	Tokens        []string
	Digests       []string
	OTLP          exporters.OTLPConfig
	Headers       map[string]string
}

func flattened(t *testing.T, c *Config) flat {
	t.Helper()
	out := flat{
		Server: c.Server(), Token: reveal(t, c.drone.Token), DroneTLS: c.drone.TLS, Timeout: c.drone.Timeout,
		Concurrent: c.drone.MaxConcurrentRequests, PerSecond: c.drone.MaxRequestsPerSecond,
		Watch: c.watch, StaleAfter: c.staleAfter, StatePath: c.statePath, Metrics: c.metrics,
		Listen: c.listen, Path: c.metricsPath,
		Mode: c.auth.mode, Digests: c.auth.digests, OTLP: c.otlp,
	}
	for _, source := range c.auth.sources {
		out.Tokens = append(out.Tokens, reveal(t, source))
	}
	for name, value := range c.otlp.Headers {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[name] = value.Reveal()
	}
	out.OTLP.Headers = nil
	return out
}

func reveal(t *testing.T, source secret.Source) string {
	t.Helper()
	text, err := source.Get()
	if err != nil {
		t.Fatal(err)
	}
	return text.Reveal()
}

// defaults is what the built-in file and the two variables of prepare give.
func defaults() flat {
	return flat{
		Server: "https://drone.example.com", Token: testToken,
		Timeout: 30 * time.Second, Concurrent: 4, PerSecond: 50,
		Watch: watchConfig{
			Interval: 15 * time.Second, Lookback: 50 * time.Hour, UsersInterval: 5 * time.Minute,
			RecountInterval: time.Hour, Concurrency: 4,
			Selection: selectionConfig{Include: []string{"*"}, Limit: 1000},
		},
		Metrics: metricsFile{
			Repositories: repositoriesFile{Include: []string{"*"}, Limit: 1000}, Histogram: histogramExplicit,
			Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200}, Stages: true,
		},
		StaleAfter: time.Minute, Listen: ":9464", Path: "/metrics", Mode: authDrone,
		OTLP: exporters.OTLPConfig{Interval: 30 * time.Second},
	}
}

// certificates writes a certificate with its key, cert.pem and key.pem, and returns their folder.
func certificates(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: server.Certificate().Raw},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func goodConfigs(certs string) map[string]func(*flat) {
	files := func(p string) string { return filepath.Join(certs, p) }
	return map[string]func(*flat){
		"minimal": func(f *flat) { f.Server, f.Token = "https://ci.example.com/drone", fileToken },
		"everything": func(f *flat) {
			*f = flat{
				Server: "http://drone.internal:8080", Token: "fileT0ken",
				DroneTLS: droneapi.TLSConfig{
					CAFile: files("cert.pem"), CertFile: files("cert.pem"), KeyFile: files("key.pem"), InsecureSkipVerify: true,
				},
				Timeout: 10 * time.Second, Concurrent: 8, PerSecond: 12.5,
				Watch: watchConfig{
					Interval: 90 * time.Second, Lookback: 48 * time.Hour, UsersInterval: 10 * time.Minute,
					RecountInterval: 24 * time.Hour, Concurrency: 8,
					Selection: selectionConfig{
						Include: []string{"octocat/*", "hello-[a-m]*/wor?d"}, Exclude: []string{"octocat/fork-*"}, Limit: 25,
					},
					QueueLabels: []string{"pool", "example.com/size"},
				},
				StatePath: "/var/lib/drone-otel-agent",
				Metrics: metricsFile{
					Repositories: repositoriesFile{
						Include: []string{"octocat/*", "hello-[a-m]*/wor?d"}, Exclude: []string{"octocat/fork-*"}, Limit: 25,
					},
					Histogram: histogramExponential, Buckets: []float64{0.5, 30, 600}, Events: true, Steps: true,
					QueueLabels: []string{"pool", "example.com/size"},
				},
				StaleAfter: time.Hour, Listen: "127.0.0.1:9999", Path: "/drone/metrics", Mode: authToken,
				Tokens: []string{"0wn", fileToken}, Digests: []string{noDigest, hexDigest},
				OTLP: exporters.OTLPConfig{
					Endpoint: "https://collector.example.com", Interval: 10 * time.Second, Timeout: 500 * time.Millisecond,
					Compression: "gzip", Temporality: "delta",
					TLS: exporters.OTLPTLSConfig{
						CAFile: files("cert.pem"), CertFile: files("cert.pem"), KeyFile: files("key.pem"), InsecureSkipVerify: true,
					},
				},
				Headers: map[string]string{"authorization": "Bearer c0llect0r", "x-tenant": "one"},
			}
		},
		"anchors": func(f *flat) {
			f.Watch.UsersInterval = 30 * time.Second
			f.Metrics.Repositories.Include, f.Watch.Selection.Include = nil, nil
			f.Metrics.Repositories.Exclude, f.Watch.Selection.Exclude = []string{"o/r"}, []string{"o/r"}
			f.Metrics.QueueLabels, f.Watch.QueueLabels = []string{"o/r"}, []string{"o/r"}
			f.Metrics.Buckets = []float64{30}
			f.OTLP = exporters.OTLPConfig{Endpoint: "https://collector:4317", Interval: 30 * time.Second}
		},
		"environment": func(f *flat) {
			f.Server, f.Token = "https://ci.example.com/drone", "${literal}p${NOT_A_REFERENCE}q"
			f.Concurrent, f.Watch.Concurrency, f.Timeout = 7, 7, 20*time.Second
			f.Mode, f.Digests = authToken, []string{noDigest}
			f.StatePath, f.Metrics.Steps = "/var/lib/drone-otel-agent", true
			f.Metrics.Buckets = []float64{7, 60}
			f.Headers = map[string]string{"authorization": "Bearer " + testToken}
		},
	}
}

func TestGoodConfig(t *testing.T) {
	certs := certificates(t)
	want := goodConfigs(certs)
	for _, path := range glob(t, "testdata/config/good/*.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			prepare(t, readText(t, path))
			t.Setenv("CERTS", certs)
			cfg, err := LoadConfig(path, os.LookupEnv)
			if err != nil {
				t.Fatal(err)
			}
			change, known := want[name]
			if !known {
				t.Fatal("no test says what is in this file")
			}
			expected := defaults()
			change(&expected)
			if diff := cmp.Diff(expected, flattened(t, cfg)); diff != "" {
				t.Errorf("want (-) and got (+) differ:\n%s", diff)
			}
		})
	}
}

// TestBuiltInConfig: the two variables are enough to run, and an empty file or one of comments changes nothing.
func TestBuiltInConfig(t *testing.T) {
	prepare(t, "")
	dir := t.TempDir()
	paths := []string{""}
	for name, text := range map[string]string{"empty.yaml": "", "comments.yaml": "# nothing\n", "null.yaml": "---\n~\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	for _, path := range paths {
		cfg, err := LoadConfig(path, os.LookupEnv)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		if diff := cmp.Diff(defaults(), flattened(t, cfg)); diff != "" {
			t.Errorf("%q: want (-) and got (+) differ:\n%s", path, diff)
		}
	}
}

// TestConfigTokenFileWins: what a file says of the token stands against what the environment says.
func TestConfigTokenFileWins(t *testing.T) {
	const envFile = "DRONE_TOKEN_FILE=testdata/config/token"
	for _, tt := range []struct{ name, env, text, want string }{
		{"token_file over DRONE_TOKEN", "", "drone: {token_file: testdata/config/token}", fileToken},
		{"token over DRONE_TOKEN", "", "drone: {token: of-the-file}", "of-the-file"},
		{"token over both variables", envFile, "drone: {token: of-the-file}", "of-the-file"},
		{"DRONE_TOKEN_FILE alone", envFile + "\n# unset: DRONE_TOKEN", "poll: {interval: 10s}", fileToken},
		{"nothing in the file", "", "drone: {timeout: 10s}", testToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := ""
			if tt.env != "" {
				head = "# env: " + tt.env + "\n"
			}
			prepare(t, head)
			cfg, err := ParseConfig("test.yaml", tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := reveal(t, cfg.drone.Token); got != tt.want {
				t.Errorf("token %q, want %q", got, tt.want)
			}
		})
	}
}

// TestConfigFileUnreadable: what is no file of a sensible size is refused with its name.
func TestConfigFileUnreadable(t *testing.T) {
	prepare(t, "")
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/no/such/config.yaml", t.TempDir(), huge} {
		_, err := LoadConfig(path, os.LookupEnv)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want an error with the file's name", path, err)
		}
	}
}
