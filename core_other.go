//go:build !unix

package main

// noCore does nothing: there are no core files.
func noCore() {}
