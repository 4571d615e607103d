// Package agent is the program: it reads the configuration, polls Drone, keeps what it learns, translates it
// into what the instruments hold, and starts and stops everything.
//
// # The way of the data
//
// A poller ([poller.run]) calls the watcher once every interval. The watcher ([watcher.poll]) asks Drone
// through a droneapi.Client, as little as the edition allows, and keeps what it knows of every repository:
// a [repository] with its [ledger] of build numbers and, on the community edition, its open builds. After
// each poll the poller publishes an immutable instruments.Snapshot. The instruments' callback reads the
// newest one when Prometheus scrapes or the OTLP push is due; it never asks Drone. Nothing flows back.
//
// # Exact, and cheap
//
// Enterprise edition: one request, the queue, gives the four queue figures. The repositories are listed when
// the queue moved, and each fourth poll; their counters tell which repositories have new builds, and only
// those are looked at. The number of builds starts from an exact total and is asked for anew now and then.
//
// Community edition: one request lists the repositories; those whose counter moved have their newest builds
// listed, and each open build is asked about until it has ended. The number of builds starts from a census
// that needs two requests for a repository and reads no history (see census.go).
//
// # What is not known
//
// A figure that was never learned is absent from the snapshot. A poll that fails leaves the last snapshot in
// place, marked as not up; once that is older than poll.stale_after the instruments no longer show it.
package agent
