// Package packaging has no code: the scripts of the packages beside this file are its matter, and what installs them
// for real is in e2e/systemd.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/agent"
	"drone-otel-agent/internal/certtest"
)

// machine is a folder that a package's scripts take for /, with systemd's commands, which only write down what they
// are told.
type machine struct{ root, told string }

func newMachine(t *testing.T, files ...string) machine {
	t.Helper()
	root := t.TempDir()
	m := machine{root: root, told: filepath.Join(root, "told")}
	for _, name := range []string{"systemctl", "deb-systemd-invoke", "deb-systemd-helper"} {
		text := fmt.Sprintf("#!/bin/sh\necho \"${0##*/} $*\" >>%s\n", m.told)
		m.write(t, "bin/"+name, text)
	}
	for _, name := range files {
		m.write(t, name, "")
	}
	if err := os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m machine) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// enable links a unit as `systemctl enable` does.
func (m machine) enable(t *testing.T, unit string) {
	t.Helper()
	link := filepath.Join(m.root, "etc/systemd/system/multi-user.target.wants", unit)
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/"+unit, link); err != nil {
		t.Fatal(err)
	}
}

// run runs a script, and gives what systemd was told.
func (m machine) run(t *testing.T, script string, args ...string) string {
	t.Helper()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	moved := regexp.MustCompile(`(^|[\s=])/(etc|var|run)/`).ReplaceAllString(string(text), "${1}"+m.root+"/$2/")
	left := regexp.MustCompile(regexp.QuoteMeta(m.root)+`/\S*`).ReplaceAllString(moved, "")
	if stray := regexp.MustCompile(`\S*/(etc|var|run|usr|home)/\S*`).FindString(left); stray != "" {
		t.Fatalf("%s: %s is not in the test's own folder", script, stray)
	}
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", moved, script}, args...)...)
	cmd.Env = []string{"PATH=" + filepath.Join(m.root, "bin") + ":/usr/bin:/bin"}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", script, args, err, output)
	}
	told, err := os.ReadFile(m.told)
	if err != nil {
		t.Fatal(err)
	}
	return string(told)
}

// TestPurge holds that nothing stays of what the documents tell an administrator to make, and that others' files do.
func TestPurge(t *testing.T) {
	t.Parallel()
	const wants = "etc/systemd/system/multi-user.target.wants/"
	m := newMachine(t, "etc/drone-otel-agent/a.token", "etc/default/drone-otel-agent", "etc/default/drone-otel-agent@a",
		"etc/default/drone", "var/lib/private/drone-otel-agent@a/builds.db", "var/lib/private/other/file")
	m.enable(t, "drone-otel-agent@a.service")
	m.enable(t, "other@a.service")
	m.run(t, "deb/postrm", "purge")
	var left []string
	for _, pattern := range []string{"etc/*", "etc/default/*", "var/lib/private/*", wants + "*"} {
		found, err := filepath.Glob(filepath.Join(m.root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			left = append(left, strings.TrimPrefix(path, m.root+"/"))
		}
	}
	want := []string{"etc/default", "etc/systemd", "etc/default/drone", "var/lib/private/other", wants + "other@a.service"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("what is left differs (-want +got):\n%s", diff)
	}
}

// TestUnits holds what the scripts tell systemd of the units, of which one for several agents is enabled.
func TestUnits(t *testing.T) {
	t.Parallel()
	const units = "drone-otel-agent.socket drone-otel-agent.service"
	for _, test := range []struct{ script, args, want string }{
		{"deb/postinst", "abort-remove", "deb-systemd-invoke start " + units + " drone-otel-agent@a.service\n"},
		{
			"rpm/preun", "0", "systemctl stop " + units + " drone-otel-agent@*.service\n" +
				"systemctl --no-reload disable " + units + " drone-otel-agent@a.service\n",
		},
	} {
		m := newMachine(t, "etc/drone-otel-agent/drone-token")
		m.enable(t, "drone-otel-agent@a.service")
		if told := m.run(t, test.script, test.args); !strings.HasSuffix(told, test.want) {
			t.Errorf("%s %s tells\n%s\nwant at the end\n%s", test.script, test.args, told, test.want)
		}
	}
	for _, args := range [][]string{{"configure"}, {"configure", "1.0.0"}} {
		if told := newMachine(t, "etc/drone-otel-agent/drone-token").run(t, "deb/postinst", args...); strings.Contains(
			told, "-invoke start") {
			t.Errorf("postinst %q starts units\n%s", args, told)
		}
	}
}

// TestConfigurationForTLS loads that of deploy/tls as the service does, for which Drone's token is a credential.
func TestConfigurationForTLS(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../tls/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	credentials, etc := newMachine(t), newMachine(t)
	credentials.write(t, "drone-token", "token\n")
	etc.write(t, "scrape-token", "token\n")
	authority := certtest.NewAuthority(t)
	issued := authority.Issue(t, certtest.Leaf{Name: "agent"})
	for name, pem := range map[string][]byte{
		"drone-ca.pem": authority.PEM, "collector-ca.pem": authority.PEM, "agent.pem": issued.Cert, "agent.key": issued.Key,
	} {
		etc.write(t, "tls/"+name, string(pem))
	}
	etc.write(t, "config.yaml", strings.ReplaceAll(string(text), "/etc/drone-otel-agent", etc.root))
	environment := map[string]string{
		"CREDENTIALS_DIRECTORY": credentials.root, "STATE_DIRECTORY": credentials.root, "COLLECTOR_TOKEN": "token",
	}
	_, err = agent.LoadConfig(filepath.Join(etc.root, "config.yaml"), func(name string) (string, bool) {
		value, found := environment[name]
		return value, found
	})
	if err != nil {
		t.Error(err)
	}
}
