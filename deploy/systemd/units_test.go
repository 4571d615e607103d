// Package systemd has no code: the units beside this file are its matter, and what starts them for real is in
// e2e/systemd.
package systemd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/agent"
	"drone-otel-agent/exporters"
	"drone-otel-agent/internal/certtest"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTemplate holds that the unit for one of several agents is that for the only one, but for the names.
func TestTemplate(t *testing.T) {
	t.Parallel()
	want := read(t, "drone-otel-agent.service")
	for _, name := range []struct{ one, of string }{
		{"and OpenTelemetry\n", "and OpenTelemetry: %i\n"},
		{"/etc/default/drone-otel-agent", "/etc/default/drone-otel-agent@%i"},
		{"/etc/drone-otel-agent/config.yaml", "/etc/drone-otel-agent/%i.yaml"},
		{"SyslogIdentifier=drone-otel-agent", "SyslogIdentifier=drone-otel-agent@%i"},
		{"StateDirectory=drone-otel-agent", "StateDirectory=drone-otel-agent@%i"},
		{"=drone-token:", "=%i.token:"},
		{"/drone-token", "/%i.token"},
	} {
		if !strings.Contains(want, name.one) {
			t.Errorf("drone-otel-agent.service has no %q", name.one)
		}
		want = strings.ReplaceAll(want, name.one, name.of)
	}
	_, got, _ := strings.Cut(read(t, "drone-otel-agent@.service"), "\n") // after a comment
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drone-otel-agent@.service differs from drone-otel-agent.service (-want +got):\n%s", diff)
	}
}

// TestPackagedConfiguration loads the configuration of the packages, as the service and as its reload does.
func TestPackagedConfiguration(t *testing.T) {
	t.Parallel()
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "drone-token"), []byte("token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := agent.LoadConfig("../package/config.yaml", func(name string) (string, bool) {
		value, found := map[string]string{
			"CREDENTIALS_DIRECTORY": credentials, "STATE_DIRECTORY": credentials,
		}[name]
		return value, found
	})
	if err != nil || config == nil {
		t.Error(err)
	}
}

// TestExampleOfTLS holds that the example's drop-in leads to its web configuration, and that this one is good.
func TestExampleOfTLS(t *testing.T) {
	t.Parallel()
	if !strings.Contains(read(t, "examples/tls.conf"), `"ARGS=--web.config.file=/etc/drone-otel-agent/web.yaml"`) {
		t.Error("tls.conf does not lead to web.yaml")
	}
	cert, key := certtest.NewAuthority(t).Issue(t, certtest.Leaf{Name: "drone-otel-agent"}).Write(t, t.TempDir())
	text := read(t, "examples/web.yaml")
	text = regexp.MustCompile(`cert_file: \S+`).ReplaceAllString(text, "cert_file: "+cert)
	text = regexp.MustCompile(`key_file: \S+`).ReplaceAllString(text, "key_file: "+key)
	file := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exporters.ValidateWebConfig(file, true); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}
