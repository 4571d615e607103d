package instruments

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// Attributes of the instruments. Drone's own words, where OpenTelemetry's conventions have none.
const (
	attrVersion = attribute.Key("version")
	attrEdition = attribute.Key("edition")
	attrState   = attribute.Key("state")
)

// Instrument declares one observable gauge.
type Instrument struct {
	// Name is OpenTelemetry's name; Prometheus's follows from it and from the unit.
	Name string
	// Unit is in UCUM: "s", "{build}", empty for none.
	Unit        string
	Description string
	// Attributes are the keys that tell its series apart.
	Attributes []attribute.Key
	// Absent says when there is no such series.
	Absent string
	// Example is a PromQL query that uses it.
	Example string

	// fractional says that its values are not whole numbers: a float64 gauge rather than an int64 one.
	fractional bool
	// lasting says that it tells of the agent, and not of Drone: it does not go stale.
	lasting bool
	observe func(s *Snapshot, emit emitter)
}

// emitter takes one value of an instrument.
type emitter func(value float64, attributes ...attribute.KeyValue)

// Why a series may be absent.
const (
	absentUnknown = "until known; and once no poll has succeeded for `poll.stale_after`"
	absentCensus  = "until the first count is complete (community edition: a census of every repository); " +
		"and once no poll has succeeded for `poll.stale_after`"
	absentPoll = "until the first poll has ended"
)

// Catalog returns every instrument, in the order of METRICS.md.
func Catalog() []Instrument {
	return append(droneOwn(), aboutAgent()...)
}

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

// aboutAgent tell which server is watched and how the watching goes.
func aboutAgent() []Instrument {
	return []Instrument{
		{
			Name:        "drone.server.info",
			Description: "Always 1; the attributes tell the Drone server's version and edition.",
			Attributes:  []attribute.Key{attrVersion, attrEdition},
			Absent:      absentUnknown,
			Example:     "count by (version) (drone_server_info)",
			observe: func(s *Snapshot, emit emitter) {
				if s.Server != nil {
					emit(1, attrVersion.String(s.Server.Version), attrEdition.String(s.Server.Edition))
				}
			},
		},
		{
			Name:        "drone.up",
			Description: "1 where the last poll of Drone succeeded, else 0.",
			Absent:      absentPoll,
			Example:     "min_over_time(drone_up[5m]) == 0",
			lasting:     true,
			observe: func(s *Snapshot, emit emitter) {
				if s.Up {
					emit(1)
				} else {
					emit(0)
				}
			},
		},
		{
			Name: "drone.agent.poll.duration", Unit: "s", fractional: true,
			Description: "How long the last poll of Drone took.",
			Absent:      absentPoll,
			Example:     "max_over_time(drone_agent_poll_duration_seconds[1h])",
			lasting:     true,
			observe:     func(s *Snapshot, emit emitter) { emit(s.PollDuration.Seconds()) },
		},
		{
			Name: "drone.agent.poll.last_success_timestamp", Unit: "s", fractional: true,
			Description: "When the last poll that succeeded ended, in Unix time.",
			Absent:      "until a poll has succeeded",
			Example:     "time() - drone_agent_poll_last_success_timestamp_seconds > 300",
			lasting:     true,
			observe: func(s *Snapshot, emit emitter) {
				if !s.Fresh.IsZero() {
					emit(float64(s.Fresh.UnixMilli()) / float64(time.Second/time.Millisecond))
				}
			},
		},
		{
			Name: "drone.agent.repositories", Unit: "{repository}",
			Description: "Repositories that the agent watches: active, inactive, and of both those unreachable whose " +
				"builds Drone does not serve.",
			Attributes: []attribute.Key{attrState},
			Absent:     absentUnknown,
			Example:    `drone_agent_repositories{state="unreachable"} > 0`,
			observe: func(s *Snapshot, emit emitter) {
				if s.Repositories != nil {
					emit(float64(s.Repositories.Active), attrState.String("active"))
					emit(float64(s.Repositories.Inactive), attrState.String("inactive"))
					emit(float64(s.Repositories.Unreachable), attrState.String("unreachable"))
				}
			},
		},
	}
}

// count observes a number where it is known.
func count(field func(*Snapshot) Count) func(*Snapshot, emitter) {
	return func(s *Snapshot, emit emitter) {
		if n, known := field(s).Get(); known {
			emit(float64(n))
		}
	}
}
