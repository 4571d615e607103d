// Package examples runs the set-ups of examples/ as their READMEs say: the agent's program, Prometheus's own, and a
// Collector of upstream's components, with the files that are there.
package examples
