// Package instruments declares every instrument the agent has, once, and gives them their values.
//
// The catalogue ([Catalog]) is the single source of a metric's name, unit, kind, description, attributes and of
// when it is absent; METRICS.md is written from it. What OpenTelemetry's conventions for CI/CD have comes from
// their typed instruments (cicdconv). An entry also says where its values come from, so that a new metric is one
// entry and nothing else:
//
//   - observe reads them from the newest [Snapshot], at every collection. [Register] makes one callback for all
//     of these. It never asks Drone anything: it runs once per reader and per collection, and must cost no more
//     than it shows. The attributes of a repository's series are made once and kept.
//   - finished takes them from a build that ended, told to [Instruments.Finished].
//   - failed takes them from a request to Drone that failed, told to [Instruments.RequestFailed].
//
// What is not known is not observed. A value that was known is observed until it is older than the
// configured limit, and then no longer: an absent series is an honest one. What was recorded of builds that ended
// stays, as it stays true.
//
// No attribute tells of single builds, commits, branches or people. The names of stages and steps are bounded
// here, the repositories that have series of their own by whoever fills the Snapshot; the rest is [Other].
package instruments

//go:generate go run ./gendoc ../METRICS.md
