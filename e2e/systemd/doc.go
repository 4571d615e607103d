// Package systemd installs the agent's Debian package on a real, booted systemd and holds what the README, the unit
// and the package promise: a Debian that debootstrap made, in a container that systemd-nspawn boots (container.sh).
// The Drone servers are those of droneapi/dronetest, in the process of the tests; the container shares the network
// with it.
//
// It needs root and a Debian machine, so its tests have the build tag systemd: make test-systemd.
package systemd
