package exporters

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/internal/secret"
)

func TestOTLPTarget(t *testing.T) {
	for _, tc := range []struct{ endpoint, want, wantErr string }{
		{"", "", ""},
		{"http://collector:4317", "http://collector:4317", ""},
		{"http://collector", "http://collector:4317", ""},
		{"https://collector/", "https://collector:443", ""},
		{"https://[::1]:4317", "https://[::1]:4317", ""},
		{"unix:///run/collector.sock", "unix:///run/collector.sock", ""},
		{"collector:4317", "", "otlp.endpoint: a URL with http:// or https:// is needed"},
		{"127.0.0.1:4317", "", "otlp.endpoint: it is not a URL"},
		{"http://:4317", "", "otlp.endpoint: the URL has no host"},
		{"http://collector:4317/v1/metrics", "", `otlp.endpoint: path "/v1/metrics": OTLP over gRPC has no paths`},
		{"http://me:" + theToken + "@collector:4317", "", "put credentials into otlp.headers"},
		{"http://collector:4317?token=" + theToken, "", "takes no query"},
		{"grpc://collector:4317", "", "otlp.endpoint: a URL with http:// or https:// is needed"},
		{"unix://host/x", "", "unix:///path"},
	} {
		got, err := OTLPConfig{Endpoint: tc.endpoint}.Target()
		if got != tc.want || (err == nil) != (tc.wantErr == "") || !strings.Contains(fmt.Sprint(err), tc.wantErr) {
			t.Errorf("%s: %q, %v; want %q, %q", tc.endpoint, got, err, tc.want, tc.wantErr)
		}
		if strings.Contains(fmt.Sprint(err), theToken) {
			t.Errorf("%s: the error has the token: %v", tc.endpoint, err)
		}
	}
}

func TestOTLPMistakesAllAtOnce(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	writeFile(t, empty, "")
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_HEADERS":                        theToken,
		"OTEL_EXPORTER_OTLP_METRICS_HEADERS":                "x=%zz" + theToken,
		"OTEL_EXPORTER_OTLP_TIMEOUT":                        "10s",
		"OTEL_EXPORTER_OTLP_COMPRESSION":                    "GZIP",
		"OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE":            dir + "/none.pem",
		"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "always",
		"OTEL_EXPORTER_OTLP_ENDPOINT":                       "http://me:" + theToken + "@%zz",
		"OTEL_METRIC_EXPORT_INTERVAL":                       "-1",
	} {
		t.Setenv(name, value)
	}
	err := OTLPConfig{
		Endpoint: "https://collector:4317", Interval: -1, Timeout: -1, Compression: "zip", Temporality: "often",
		Headers: map[string]secret.Text{"bad name": secret.New(theToken)},
		TLS:     OTLPTLSConfig{CAFile: empty},
	}.Validate()
	want := `environment variable OTEL_EXPORTER_OTLP_COMPRESSION: "GZIP": write gzip or none
environment variable OTEL_EXPORTER_OTLP_ENDPOINT: it is not a URL: ` +
		`write http://host:4317 (without TLS) or https://host:4317
environment variable OTEL_EXPORTER_OTLP_HEADERS: entry 1 is not of the form name=value
environment variable OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE: open ` + dir + `/none.pem: no such file or directory
environment variable OTEL_EXPORTER_OTLP_METRICS_HEADERS: entry 1: its value is not percent-encoded properly
environment variable OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "always": write cumulative or delta or lowmemory
environment variable OTEL_EXPORTER_OTLP_TIMEOUT: "10s": a positive number of milliseconds is needed
environment variable OTEL_METRIC_EXPORT_INTERVAL: "-1": a positive number of milliseconds is needed
otlp.headers: a header: its name is none for a gRPC header: letters, digits, - _ . only
otlp.temporality: "often": write cumulative, delta or lowmemory
otlp.interval: -1ns is less than nothing
otlp.timeout: -1ns is less than nothing
otlp.compression: "zip": write gzip or none
otlp.tls.ca_file: reading the CA file: ` + empty + ` holds no PEM certificate`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := NewProvider(context.Background(), ProviderConfig{OTLP: &OTLPConfig{}}); err == nil {
		t.Error("a provider was made of it")
	}
}

func TestOTLPTLSMistakes(t *testing.T) {
	cert, _ := newAuthority(t).leaf(t, "agent")
	for _, tc := range []struct {
		endpoint string
		tls      OTLPTLSConfig
		want     string
	}{
		{"http://c", OTLPTLSConfig{InsecureSkipVerify: true}, "the endpoint is without TLS"},
		{"https://c", OTLPTLSConfig{CertFile: cert}, "needs both"},
		{"https://c", OTLPTLSConfig{KeyFile: cert}, "needs both"},
		{"https://c", OTLPTLSConfig{CertFile: cert, KeyFile: cert}, "otlp.tls.cert_file: "},
		{"https://c", OTLPTLSConfig{CAFile: "/no/such/file"}, "otlp.tls.ca_file: reading the CA file: open /no/such/file"},
	} {
		err := OTLPConfig{Endpoint: tc.endpoint, TLS: tc.tls}.Validate()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: error %v, want %q", tc.tls, err, tc.want)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	for _, tc := range []struct{ name, value, want string }{
		{"Authorization", "Bearer x", ""},
		{"x-bin", "\x00", ""},
		{"", "x", "its name is none"},
		{"Authorization: Bearer " + theToken, "", "its name is none"},
		{"grpc-timeout", "x", "belong to gRPC"},
		{"x", "a\nb", "not printable"},
	} {
		err := checkHeader(tc.name, tc.value)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.name, err, tc.want)
		}
		if strings.Contains(fmt.Sprint(err), theToken) {
			t.Errorf("the error has the token: %v", err)
		}
	}
}
