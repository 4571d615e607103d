// Package port finds loopback addresses to listen on.
package port

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports below the range from which Linux serves outgoing connections (32768 and up): one that is free now
// is not taken by a passing connection while its server is away.
const (
	first = 20000
	last  = 32000
	tries = 100
)

// Free returns a loopback address, host and port, that nobody listens on.
func Free(t testing.TB) string {
	t.Helper()
	var failure error
	for range tries {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(last-first)))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			failure = err
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatalf("closing the listener on %s: %v", address, err)
		}
		return address
	}
	t.Fatalf("no free loopback port between %d and %d: %v", first, last, failure)
	return ""
}
