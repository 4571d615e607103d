// Package agent is the program: it reads the configuration, polls Drone, keeps what it learns, translates it
// into what the instruments hold, and starts and stops everything.
//
// # The way of the data
//
// A poller ([poller.run]) calls the watcher once every interval. The watcher ([watcher.poll]) asks Drone
// through a droneapi.Client, as little as the edition allows, and keeps what it knows of every repository:
// a [repository] with its [ledger] of build numbers and its open builds. After
// each poll the poller publishes an immutable instruments.Snapshot. The instruments' callback reads the
// newest one when Prometheus scrapes or the OTLP push is due; it never asks Drone. A build that has ended goes out
// once, as an instruments.FinishedBuild, when the poll that saw it is over. Nothing flows back.
//
// People see what no metric has, too: which builds have not ended, and where default branches failed ([sight]). The
// [board] takes it after each poll, with the snapshot and why the poll failed, and the status page asks the board.
//
// # Each build once
//
// A ledger decides on each build number once, as stored or as one that never came. A build that is new is followed
// ([watcher.follow]), whatever its status says, until Drone's answer about it shows that it has ended, and that answer
// is told (tracker.go). Numbers and open builds are written to the [state] after the telling: an agent that is killed
// loses none. Drone's answers may be wrong once, cut short or 404, when its database fails for a moment: nothing is
// given up over a single one.
//
// # Exact, and cheap
//
// Enterprise edition: one request, the queue, gives the figures of what waits and runs. The repositories are
// listed when the queue moved, and each fourth poll; their counters tell which repositories have new builds, and
// only those are looked at. A build is asked about when the queue no longer speaks of it. The number of builds
// starts from an exact total, which is asked for anew now and then.
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

//go:generate go run ./gendoc config.yaml ../docs/configuration.md
