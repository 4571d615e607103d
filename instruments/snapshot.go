package instruments

import "time"

// Count is a number that may not be known. The zero Count is unknown and is never reported: no zero that
// means "don't know".
type Count struct {
	value int64
	known bool
}

// Known is a count that is known to be n.
func Known(n int64) Count { return Count{value: n, known: true} }

// Get returns the number, and whether it is known at all.
func (c Count) Get() (n int64, known bool) { return c.value, c.known }

// Server tells which Drone server is watched.
type Server struct {
	// Version is what GET /version says, "2.25.0".
	Version string
	// Edition is "enterprise" where the server has /api/queue, else "community".
	Edition string
}

// Repositories counts the repositories the agent watches by what it can do with them.
type Repositories struct {
	// Active and Inactive are those Drone lists as activated, and as known but not activated.
	Active, Inactive int64
	// Unreachable are those, of either kind, whose builds Drone does not let the agent read.
	Unreachable int64
}

// Snapshot is what one poll learned of Drone. It is not changed after it was published.
type Snapshot struct {
	// Polled is when the last poll ended, good or bad.
	Polled time.Time
	// PollDuration is how long that poll took.
	PollDuration time.Duration
	// Up tells whether that poll succeeded.
	Up bool
	// Fresh is when the last good poll ended, the zero time before the first: the age of all below.
	Fresh time.Time

	// Server is the server as last seen, nil while unknown.
	Server *Server
	// BuildCount is the number of builds Drone stores.
	BuildCount Count
	// UserCount is the number of users, machines, admins and inactive ones too.
	UserCount Count
	// RepoCount is the number of active repositories.
	RepoCount Count
	// PendingBuilds and RunningBuilds are builds with at least one stage in that status; one build may be
	// in both.
	PendingBuilds, RunningBuilds Count
	// PendingJobs and RunningJobs are stages in that status.
	PendingJobs, RunningJobs Count
	// Repositories is nil while unknown.
	Repositories *Repositories
}
