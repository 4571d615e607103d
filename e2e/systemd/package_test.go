//go:build systemd

package systemd

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// kept is what must be the same after an upgrade, and after a removal that is no purge.
func (a *agent) kept(t *testing.T) map[string]string {
	t.Helper()
	kept := map[string]string{}
	for _, path := range []string{configFile, tokenFile} {
		kept[path] = a.run(t, "stat", "--format=%a %u %g", path) + "\n" + a.run(t, "cat", path)
	}
	return kept
}

func (a *agent) keeps(t *testing.T, before map[string]string) {
	t.Helper()
	for path, after := range a.kept(t) {
		if after != before[path] {
			t.Errorf("%s changed:\n%s\nbefore:\n%s", path, after, before[path])
		}
	}
}

func testUpgrade(t *testing.T, a *agent) {
	_, next := packages(t)
	a.copyIn(t, next, filepath.Base(next))
	before := a.kept(t)
	version := a.version(t)
	var running []int64
	for _, one := range a.all() {
		running = append(running, one.running(t))
	}
	allAgain(t, a.all(), func() {
		for i, one := range a.all() {
			one.drone.hide()
			one.drone.builds(running[i])
		}
		a.typed(t, "sudo apt install ./"+filepath.Base(next))
		for _, one := range a.all() {
			one.drone.show()
		}
	})
	a.keeps(t, before)
	if after := a.version(t); after == version || !strings.HasSuffix(after, "next") {
		t.Errorf("after the upgrade an agent of version %s runs, before %s", after, version)
	}
	if enabled := a.show(t, "UnitFileState"); enabled != "enabled" {
		t.Errorf("after the upgrade the unit is %s, want enabled", enabled)
	}
}

// version is what the process in service says of itself.
func (a *agent) version(t *testing.T) string {
	t.Helper()
	now, err := a.figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info := regexp.MustCompile(`^drone_otel_agent_build_info\{.*version="([^"]*)"`)
	for name := range now {
		if found := info.FindStringSubmatch(name); found != nil {
			return found[1]
		}
	}
	t.Fatal("the agent does not tell its version")
	return ""
}

// testRemove removes the package, and installs it again: nobody types the configuration once more, and no build that
// ended meanwhile is lost.
func testRemove(t *testing.T, a *agent) {
	for _, one := range a.all() {
		one.stays(t)
	}
	_, next := packages(t)
	before := a.kept(t)
	allAgain(t, a.all(), func() {
		a.typed(t, "sudo apt remove --yes drone-otel-agent")
		for _, one := range a.all() {
			one.drone.builds(one.drone.open("e2e/one"))
			if _, _, err := one.scrape(t.Context(), one.token); err == nil {
				t.Errorf("after the removal somebody still answers scrapes, as %s did", one.name)
			}
		}
		for _, path := range a.find(t, "/usr", "/lib/systemd", "/run") {
			t.Errorf("after the removal there is %s", path)
		}
		a.keeps(t, before)
		if !a.exists(t, stateFile) {
			t.Errorf("after the removal %s is gone", stateFile)
		}
		a.typed(t, "sudo apt install ./"+filepath.Base(next))
		for _, one := range a.all() {
			a.typed(t, "sudo systemctl enable --now "+one.name)
		}
	})
	a.keeps(t, before)
}

// find gives the files below the folders that are named after the agent.
func (a *agent) find(t *testing.T, folders ...string) []string {
	t.Helper()
	found := a.run(t, append(append([]string{"find"}, folders...), "-xdev", "-name", "*drone-otel-agent*")...)
	return slices.DeleteFunc(strings.Split(found, "\n"), func(path string) bool { return path == "" })
}

func testPurge(t *testing.T, a *agent) {
	a.typed(t, "sudo apt purge --yes drone-otel-agent")
	for _, path := range a.find(t, "/etc", "/usr", "/var/lib", "/var/cache", "/run", "/tmp", "/var/tmp", "/opt", "/srv") {
		t.Errorf("after the purge there is %s", path)
	}
	if known, err := a.try(t.Context(), "dpkg-query", "--show", "drone-otel-agent"); err == nil {
		t.Errorf("after the purge dpkg knows the package: %s", known)
	}
	if left := a.run(t, "systemctl", "list-units", "--all", "--plain", "--no-legend", "drone-otel-agent*"); left != "" {
		t.Errorf("after the purge systemd knows\n%s", left)
	}
	for _, one := range a.all() {
		if status, _, err := one.scrape(t.Context(), one.token); err == nil {
			t.Errorf("after the purge somebody still answers scrapes, as %s did: %d", one.name, status)
		}
	}
}
