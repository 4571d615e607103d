//go:build !unix

package exporters

// connectionsAllowed is mostConnections: descriptors are no scarce good here.
func connectionsAllowed() int { return mostConnections }
