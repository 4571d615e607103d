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
	// Folded are those that have no series of their own but are part of Other.
	Folded int64
}

// Snapshot is what one poll learned of Drone. It is not changed after it was published.
type Snapshot struct {
	// Polled is when the last poll ended, good or bad.
	Polled time.Time
	// PollDuration is how long that poll took.
	PollDuration time.Duration
	// Up tells whether that poll succeeded.
	Up bool
	// Fresh is when the last good poll began, the zero time before the first. What is asked for seldom, as users are, may
	// be older: it was still believed then.
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

	// Repos are the repositories that have series of their own, and one named Other for all the rest; nil
	// while unknown. The slice and what it holds is not changed.
	Repos []Repo
	// Queue is the queue by platform; nil while unknown. It has zeros for the platforms that were seen before.
	Queue []Platform
	// BusyWorkers are the machines that run a stage now.
	BusyWorkers Count
	// Oldest are the times at which the oldest build came that waits for a runner, runs, and waits for
	// approval, the zero time where there is none; nil while unknown.
	Oldest *Oldest
}

// Stale tells whether what is known of Drone is too old to be shown.
func (s *Snapshot) Stale(now time.Time, settings Settings) bool {
	return now.Sub(s.Fresh) > settings.StaleAfter
}

// Complete tells whether all of Drone's own seven figures are known.
func (s *Snapshot) Complete() bool {
	return s.BuildCount.known && s.UserCount.known && s.RepoCount.known && s.PendingBuilds.known &&
		s.PendingJobs.known && s.RunningBuilds.known && s.RunningJobs.known
}

// Other is the name that the repositories go under that have no series of their own.
const Other = "_other"

// Repo is what is known of one repository, or of all that are folded into Other.
type Repo struct {
	// Name is the slug, or Other.
	Name string
	// Pending and Running are its builds with at least one stage in that status; unknown where its open
	// builds are not seen.
	Pending, Running Count
	// Finished counts the builds that were told since the agent started, by status.
	Finished map[string]int64
	// Last is the newest finished build of the default branch, nil where none was seen; of Other always nil.
	Last *LastBuild
}

// LastBuild is the newest finished build of a default branch.
type LastBuild struct {
	Success  bool
	Duration time.Duration
	Finished time.Time
}

// Platform is one kind of stages in the queue.
type Platform struct {
	OS, Arch, Type string
	// Labels are the values of the configured stage labels (metrics.queue_labels), in their order.
	Labels []string
	// Pending and Running are the stages in that status.
	Pending, Running int64
	// Oldest is when the oldest pending stage came, the zero time where none is pending.
	Oldest time.Time
}

// Oldest tells when the oldest build in each open state was created.
type Oldest struct{ Pending, Running, Blocked time.Time }
