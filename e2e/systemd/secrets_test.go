//go:build systemd

package systemd

import (
	"strings"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
)

// Tokens that the test's parts use, besides Drone's first one.
const (
	secondDroneToken = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
	firstOwnToken    = "first-token-of-the-agents-own"
	secondOwnToken   = "second-token-of-the-agents-own"
)

// secrets are what nobody may see.
var secrets = []string{dronetest.DefaultToken, secondDroneToken, firstOwnToken, secondOwnToken}

// testSecrets looks for the tokens in the whole journal, after all that the agent has been through.
func testSecrets(t *testing.T, a *agent) {
	journal := a.run(t, "journalctl", "--output=export")
	for _, secret := range secrets {
		if strings.Contains(journal, secret) {
			lines, _ := a.try(t.Context(), "journalctl", "--output=short-precise", "--grep="+secret)
			t.Errorf("the token %.6s… is in the journal:\n%s", secret, lines)
		}
	}
}

// testSecretsHidden looks for the tokens in what others than root may see of the running agent, and in its state.
func testSecretsHidden(t *testing.T, a *agent) {
	if !strings.Contains(a.run(t, "cat", tokenFile), a.token) {
		t.Fatalf("the token is not in %s: this test would find it nowhere", tokenFile)
	}
	for what, text := range map[string]string{
		"systemctl show":              a.run(t, "systemctl", "show", "--all", a.name),
		"systemctl status":            a.run(t, "systemctl", "status", "--full", "--lines=1000", a.name),
		"the arguments":               a.proc(t, "cmdline"),
		"the environment":             a.proc(t, "environ"),
		"the arguments of everything": a.run(t, "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ || true"),
		"the state":                   a.run(t, "cat", stateFile),
		"the configuration":           a.run(t, "cat", a.config),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("the token %.6s… is in %s", secret, what)
			}
		}
	}
}
