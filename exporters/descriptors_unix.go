//go:build unix

package exporters

import "syscall"

// connectionsAllowed is mostConnections, or half of the descriptors that the process may have where they are fewer.
func connectionsAllowed() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConnections
	}
	if half := limit.Cur / 2; half < mostConnections {
		return max(1, int(half))
	}
	return mostConnections
}
