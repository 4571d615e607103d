package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"drone-otel-agent/agent"
)

var testRelease = release{
	version: "1.2.3", maintainer: "Somebody <somebody@example.com>", date: time.Date(2006, 1, 2, 3, 4, 5, 0, time.UTC),
}

// unroff is what a reader sees of a page, without its layout.
func unroff(page []byte) string {
	return strings.NewReplacer(`\-`, "-", `\e`, `\`, `\&`, "", `\fB`, "", `\fI`, "", `\fR`, "").Replace(string(page))
}

// TestCommandPage holds that what the binary says of its flags and commands is in its manual page.
func TestCommandPage(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "agent")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../..")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the agent: %v\n%s", err, output)
	}
	text, err := commandPage(t.Context(), binary, testRelease)
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.CommandContext(t.Context(), binary, "--help-long").Output()
	if err != nil {
		t.Fatal(err)
	}
	page := unroff(text)
	flags := regexp.MustCompile(`--(?:\[no-\])?([a-z][a-z.-]*[a-z])`).FindAllSubmatch(help, -1)
	if len(flags) < 8 {
		t.Errorf("--help-long has %d flags", len(flags))
	}
	for _, flag := range flags {
		if !strings.Contains(page, "--"+string(flag[1])) {
			t.Errorf("the page has no --%s", flag[1])
		}
	}
	for _, want := range []string{"2006-01-02", "drone-otel-agent 1.2.3", "\n.SS\ncheck [<flags>]", "\n.SH OPTIONS\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	readable(t, text)
}

// TestConfigPage holds that every key is in the manual page with its default and some words.
func TestConfigPage(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../../agent/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := configPage(source, testRelease)
	if err != nil {
		t.Fatal(err)
	}
	var file yaml.Node
	if err := yaml.Unmarshal(source, &file); err != nil {
		t.Fatal(err)
	}
	page := unroff(text)
	for _, key := range leaves("", file.Content[0]) {
		// The tag of an item, perhaps tags of more keys, and the first line of a text.
		if !regexp.MustCompile(`\n\.T[PQ]\n` + regexp.QuoteMeta(key) + `: .+(\n\.TQ\n.+)*\n[^.]`).MatchString(page) {
			t.Errorf("the page has no %s, or no words on it", key)
		}
	}
	if !strings.Contains(page, "drone.timeout: 30s\nHow long one request may take.\n") {
		t.Error("the page does not have the default and the comment of drone.timeout")
	}
	if !strings.Contains(page, "${NAME} is replaced from the environment") {
		t.Error("the page has nothing of the comment at the file's head")
	}
	readable(t, text)
}

func leaves(path string, node *yaml.Node) []string {
	var all []string
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := path+node.Content[i].Value, node.Content[i+1]
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			all = append(all, leaves(name+".", value)...)
			continue
		}
		all = append(all, name)
	}
	return all
}

// readable lets groff read a page, where it is there.
func readable(t *testing.T, page []byte) {
	t.Helper()
	groff, err := exec.LookPath("groff")
	if err != nil {
		return
	}
	cmd := exec.CommandContext(t.Context(), groff, "-man", "-ww", "-z", "-Tutf8")
	cmd.Stdin = bytes.NewReader(page)
	if output, err := cmd.CombinedOutput(); err != nil || len(output) > 0 {
		t.Errorf("groff says: %v\n%s", err, output)
	}
}

// TestExamples loads every piece of configuration that the manual pages show.
func TestExamples(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, secret := range []string{"drone-token", "prometheus-token", "NAME.token"} {
		if err := os.WriteFile(filepath.Join(folder, secret), []byte("token\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for _, page := range []string{commandTemplate, configTemplate} {
		for _, block := range regexp.MustCompile(`(?s)\n\.EX\n(.*?)\n\.EE\n`).FindAllStringSubmatch(page, -1) {
			text := strings.ReplaceAll(unroff([]byte(block[1])), "/run/secrets", folder)
			if !regexp.MustCompile(`^[a-z]+:\n`).MatchString(text) {
				continue // commands, a unit
			}
			seen++
			environment := map[string]string{"CREDENTIALS_DIRECTORY": folder}
			if !strings.HasPrefix(text, "drone:") { // it is shown as a part of one that has this
				environment["DRONE_SERVER"], environment["DRONE_TOKEN"] = "https://drone.example.com", "token"
			}
			file := filepath.Join(folder, fmt.Sprintf("%d.yaml", seen))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := agent.LoadConfig(file, func(name string) (string, bool) {
				value, found := environment[name]
				return value, found
			})
			if err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
		}
	}
	if seen != 4 {
		t.Errorf("the pages show %d configurations", seen)
	}
}

func TestDebianChangelog(t *testing.T) {
	t.Parallel()
	const signature = " -- Somebody <somebody@example.com>  "
	for _, test := range []struct{ name, text, want string }{
		{
			"unreleased", "# Changelog\n\nAll.\n\n## Unreleased\n\n### Added\n\n- One.\n",
			"drone-otel-agent (1.2.3) unstable; urgency=medium\n\n  [ Added ]\n  * One.\n\n" +
				signature + "Mon, 02 Jan 2006 03:04:05 +0000\n",
		},
		{
			"two versions", "## [1.2.3] - 2006-01-01\n\n- A change that goes on for longer than a line of a changelog " +
				"of\n  Debian's may be.\n- Two.\n\n## [1.2.2] - 2005-12-31\n\n### Fixed\n\n- Three.\n",
			"drone-otel-agent (1.2.3) unstable; urgency=medium\n\n" +
				"  * A change that goes on for longer than a line of a changelog of Debian's may\n    be.\n  * Two.\n\n" +
				signature + "Mon, 02 Jan 2006 03:04:05 +0000\n\n" +
				"drone-otel-agent (1.2.2) unstable; urgency=medium\n\n  [ Fixed ]\n  * Three.\n\n" +
				signature + "Sat, 31 Dec 2005 00:00:00 +0000\n",
		},
	} {
		got, err := debianChangelog([]byte(test.text), testRelease)
		if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", test.name, err, diff)
		}
	}
	for text, want := range map[string]string{
		"# Changelog\n":                   "no version",
		"## Unreleased\n\n## 1.0.0\n":     "reading the date of 1.0.0",
		"## Unreleased\n\n## Yesterday\n": "reading the date of Yesterday",
	} {
		if _, err := debianChangelog([]byte(text), testRelease); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", text, err, want)
		}
	}
}

// moved is a go command as distributions have it: under a name of its own, with a GOROOT that has no licence.
func moved(t *testing.T) string {
	t.Helper()
	command, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	root, err := exec.CommandContext(t.Context(), command, "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range []string{"bin", "pkg", "src", "lib", "go.env", "VERSION"} {
		if err := os.Symlink(filepath.Join(strings.TrimSpace(string(root)), name), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(folder, "go-of-a-distribution")
	text := fmt.Sprintf("#!/bin/sh\nGOROOT='%s' exec '%s' \"$@\"\n", folder, command)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}

// TestLicenses holds that every module in the binary has its licence there, and that no tool's has, also where there is
// no command that is called go.
func TestLicenses(t *testing.T) {
	t.Chdir("../../..")
	with := toolchain{command: moved(t), arches: []string{"amd64", "arm64"}}
	t.Setenv("PATH", "")
	modules, err := with.linked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(modules))
	for i, m := range modules {
		names[i] = m.Path
	}
	for module, want := range map[string]bool{
		"go.dev": true, "github.com/alecthomas/kingpin/v2": true, "go.opentelemetry.io/otel": true,
		"github.com/google/go-cmp": false, "drone-otel-agent": false,
	} {
		if slices.Contains(names, module) != want {
			t.Errorf("%s is among the modules: %t", module, !want)
		}
	}
	text, err := with.licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(string(text), "=\n"+name+": ") {
			t.Errorf("the licence of %s is not there", name)
		}
	}
	if !strings.Contains(string(text), "go.dev: LICENSE\n\nCopyright 2009 The Go Authors.\n") {
		t.Error("Go's own licence is not there")
	}
}

// TestArchitectures holds that a module is named that only one of the architectures needs.
func TestArchitectures(t *testing.T) {
	const needy = "module needy\n\nrequire only.example/arm64 v0.0.0\nreplace only.example/arm64 => ./only\n"
	t.Chdir(t.TempDir())
	if err := os.Mkdir("only", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": needy, "main.go": "package main\n\nfunc main() {}\n",
		"main_arm64.go": "package main\n\nimport _ \"only.example/arm64\"\n",
		"only/go.mod":   "module only.example/arm64\n", "only/only.go": "package only\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOARCH", "amd64")
	for _, test := range []struct {
		arches []string
		want   int
	}{{[]string{"amd64"}, 1}, {[]string{"amd64", "arm64"}, 2}} {
		modules, err := toolchain{command: "go", arches: test.arches}.linked(t.Context())
		if err != nil || len(modules) != test.want {
			t.Errorf("for %q there are %v (%v), want %d", test.arches, modules, err, test.want)
		}
	}
}
