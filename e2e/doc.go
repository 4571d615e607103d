// Package e2e runs the agent's binary between the real things: the OpenTelemetry Collector receives its
// push and Prometheus scrapes it, both in the process of the tests and both as released. Drone is the
// simulated server of droneapi/dronetest: with the recorded database, or with builds that a test makes, in a time
// that the test moves.
//
// It is a module of its own so that the agent's go.mod does not know Prometheus and the Collector. Their
// versions are the newest pair that builds beside the agent's own OpenTelemetry; they are raised by hand.
package e2e
