//go:build systemd

package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"drone-otel-agent/e2e/await"
)

const (
	service    = "drone-otel-agent.service"
	folder     = "/etc/drone-otel-agent"
	configFile = folder + "/config.yaml"
	tokenFile  = folder + "/drone-token"
	stateFile  = "/var/lib/private/drone-otel-agent/builds.db"
)

// packages are the agent's Debian package and one of a later version.
func packages(t *testing.T) (first, next string) {
	t.Helper()
	const variable = "AGENT_PACKAGES"
	find := func(name string) string {
		found, err := filepath.Glob(filepath.Join(os.Getenv(variable), name, "*.deb"))
		if os.Getenv(variable) == "" || err != nil || len(found) != 1 {
			t.Fatalf("%s=%s: packages in its folder %s: %q (%v), want one; make test-systemd makes them",
				variable, os.Getenv(variable), name, found, err)
		}
		return found[0]
	}
	return find("first"), find("next")
}

// installation gives the commands of the README's section on installing.
func installation(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?ms)^## Install\n.*?^` + "```console\n(.*?)^ *```").FindSubmatch(readme)
	if section == nil {
		t.Fatal("README.md has no section Install with a block of commands")
	}
	var commands []string
	for line := range strings.Lines(string(section[1])) {
		if command, found := strings.CutPrefix(strings.TrimSpace(line), "$ "); found {
			commands = append(commands, command)
		}
	}
	if len(commands) != 3 {
		t.Fatalf("README.md installs with %d commands, want 3: %q", len(commands), commands)
	}
	return commands
}

// install types what the README says, with the person at the editor when it comes to the configuration.
func install(t *testing.T, a *agent, deb string) {
	t.Helper()
	a.copyIn(t, deb, "dist/"+filepath.Base(deb))
	a.sitAtEditor(t, "drone-token")
	for i, command := range installation(t) {
		a.typed(t, command)
		if i < 2 && a.state(t) != "inactive (dead)" {
			t.Errorf("the unit is %s before it was configured and started", a.state(t))
		}
	}
	a.base = a.run(t, "cat", a.config) + "\n"
}

// sitAtEditor makes the editor change files as the person would: the server's address and the token that was made for
// the agent, a quick poll, and another port than the usual one, which may be taken here. credential is the name of the
// token's file.
func (a *agent) sitAtEditor(t *testing.T, credential string) {
	t.Helper()
	script := fmt.Sprintf(`#!/bin/sh -eu
for file; do
	case ${file##*/} in
	*.yaml)
		grep -q '^  server: ' "$file"
		grep -q '^prometheus:' "$file" ||
			printf 'poll:\n  interval: 1s\nprometheus:\n  listen_address: none\n' >>"$file"
		sed -i 's|^  server: .*|  server: %s|; s|/drone-token$|/%s|; s|listen_address: .*|listen_address: %s|' "$file"
		;;
	*token*)
		echo %s >"$file"
		;;
	*)
		echo "what is $file?" >&2
		exit 1
		;;
	esac
done
`, a.drone.url(), credential, a.address, a.token)
	a.write(t, "/usr/local/bin/person-at-editor", "0755", script)
	a.write(t, "/home/"+person+"/.bash_profile", "0644", "export EDITOR=/usr/local/bin/person-at-editor\n")
}

func testInstall(t *testing.T, a *agent) {
	deb, _ := packages(t)
	if a.exists(t, folder) {
		t.Fatalf("%s is there before the installation", folder)
	}
	install(t, a, deb)
	a.await(t, "active (running)")
	if enabled := a.show(t, "UnitFileState"); enabled != "enabled" {
		t.Errorf("the unit is %s, want enabled", enabled)
	}
	if kind := a.show(t, "Type"); kind != "notify" {
		t.Errorf("the unit is of type %s, want notify", kind)
	}
	if mode := a.run(t, "stat", "--format=%a %U", tokenFile); mode != "600 root" {
		t.Errorf("the mode and the owner of %s are %s, want 600 root", tokenFile, mode)
	}
	a.right(t)
	await.Until(t, "the status to tell how old the data is", func() error {
		status := a.show(t, "StatusText")
		if !regexp.MustCompile(`^watching Drone 2\.25\.0 \(enterprise\); data is \ds old$`).MatchString(status) {
			return fmt.Errorf("it is %q", status)
		}
		return nil
	})
	for _, command := range []string{"--version", "check --offline --config.file=" + configFile} {
		a.run(t, append([]string{"/usr/bin/drone-otel-agent"}, strings.Fields(command)...)...)
	}
}
