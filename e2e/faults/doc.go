// Package faults runs the agent's binary on lines that fail: a toxiproxy stands between it and a simulated Drone
// server, or between it and the real OpenTelemetry Collector, and makes the line slow, cuts it, resets it or lets
// everything vanish, for a minute each, while builds go on. It has a package of its own because all its tests run at
// once: each needs a minute of the clock, and next to nothing of the machine.
package faults
