package instruments

import "go.opentelemetry.io/otel/metric"

// droneOwn are the seven that Drone Enterprise's own /metrics has, under the same names and counted by the
// same rules: a build counts by its stages, not by its own status.
func droneOwn() []Instrument {
	return []Instrument{
		{
			Name: "drone.build.count", Unit: "{build}",
			Description: "Builds that Drone stores, of every repository and status.",
			Absent:      absentCensus,
			Example:     "delta(drone_build_count[1h])",
			observe:     count(func(s *Snapshot) Count { return s.BuildCount }),
		},
		{
			Name: "drone.user.count", Unit: "{user}",
			Description: "Users that Drone knows: machines, administrators and inactive ones too.",
			Absent:      absentUnknown,
			Example:     "drone_user_count",
			observe:     count(func(s *Snapshot) Count { return s.UserCount }),
		},
		{
			Name: "drone.repo.count", Unit: "{repository}",
			Description: "Active repositories.",
			Absent:      absentUnknown,
			Example:     "drone_repo_count",
			observe:     count(func(s *Snapshot) Count { return s.RepoCount }),
		},
		{
			Name: "drone.pending.builds", Unit: "{build}",
			Description: "Builds with at least one stage that waits for a runner.",
			Absent:      absentCensus,
			Example:     "avg_over_time(drone_pending_builds[15m])",
			observe:     count(func(s *Snapshot) Count { return s.PendingBuilds }),
		},
		{
			Name: "drone.pending.jobs", Unit: "{job}",
			Description: "Stages that wait for a runner.",
			Absent:      absentCensus,
			Example:     "min_over_time(drone_pending_jobs[10m]) > 0",
			observe:     count(func(s *Snapshot) Count { return s.PendingJobs }),
		},
		{
			Name: "drone.running.builds", Unit: "{build}",
			Description: "Builds with at least one stage that runs.",
			Absent:      absentCensus,
			Example:     "max_over_time(drone_running_builds[1d])",
			observe:     count(func(s *Snapshot) Count { return s.RunningBuilds }),
		},
		{
			Name: "drone.running.jobs", Unit: "{job}",
			Description: "Stages that run.",
			Absent:      absentCensus,
			Example:     "drone_running_jobs / (drone_running_jobs + drone_pending_jobs)",
			observe:     count(func(s *Snapshot) Count { return s.RunningJobs }),
		},
	}
}

// count observes a number where it is known.
func count(field func(*Snapshot) Count) func(*view, observer) {
	return func(v *view, put observer) { put.known(field(v.Snapshot)) }
}

// known observes a number where it is known.
func (put observer) known(c Count, attributes ...metric.ObserveOption) {
	if n, known := c.Get(); known {
		put(float64(n), attributes...)
	}
}
