//go:build systemd

package systemd

import (
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/port"
)

// TestService is the life of the service on one machine, from its installation to its purge. Each part goes on where
// the one before left the machine, so the first failure ends it.
func TestService(t *testing.T) {
	installation(t)
	a := &agent{
		unit:    unit{host: boot(t), name: service},
		drone:   startDrone(t, dronetest.Enterprise, "e2e/one", "e2e/two"),
		address: port.Free(t),
		config:  configFile,
		token:   dronetest.DefaultToken,
		told:    tally{},
		life:    t,
	}
	a.logOnFailure(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *agent)
	}{
		{"install", testInstall},
		{"scraped through the guard", testGuard},
		{"confined", testConfined},
		{"exposure", testExposure},
		{"limits", testLimits},
		{"state", testState},
		{"reload", testReload},
		{"token of the agent rotated", testOwnToken},
		{"bad configuration refused", testBadConfiguration},
		{"token of Drone rotated", testDroneToken},
		{"killed", testKilled},
		{"Drone away", testDroneAway},
		{"Drone hangs", testDroneHangs},
		{"secrets hidden", testSecretsHidden},
		{"socket", testSocket},
		{"instances", testInstances},
		{"hung", testHung},
		{"levels in the journal", testLevels},
		{"upgrade", testUpgrade},
		{"remove", testRemove},
		{"no secret told", testSecrets},
		{"purge", testPurge},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.test(t, a) }) {
			t.FailNow()
		}
	}
}
