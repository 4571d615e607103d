// Package instruments declares every instrument the agent has, once, and observes them from the newest
// [Snapshot].
//
// The catalogue ([Catalog]) is the single source of a metric's name, unit, description, attributes and of
// when it is absent; METRICS.md is written from it. [Register] makes the instruments on a meter and one
// callback that reads the newest snapshot. The callback never asks Drone anything: it runs once per reader
// and per collection, and must cost no more than it shows.
//
// What is not known is not observed. A value that was known is observed until it is older than the
// configured limit, and then no longer: an absent series is an honest one.
package instruments

//go:generate go run ./gendoc ../METRICS.md
