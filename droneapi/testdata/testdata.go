// Package testdata holds answers that a real Drone server 2.25.0 gave, in both editions over the
// same database. index.json names for each file the request, its status, its content type and whose
// token asked. Tests import the package by its path; wildcards such as ./... leave it out.
package testdata

import "embed"

// FS holds index.json, enterprise/ and community/.
//
//go:embed index.json enterprise community
var FS embed.FS
