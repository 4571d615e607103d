//go:build unix

package exporters

import "syscall"

// connectionsAllowed is mostConnections, or half of the descriptors that the process may have where they are fewer.
func connectionsAllowed() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConnections
	}
	return int(max(1, min(mostConnections, uint64(limit.Cur)/2))) //nolint:gosec,unconvert // small; signed on BSDs
}
