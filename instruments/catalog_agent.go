package instruments

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/semconv/v1.43.0/cicdconv"
)

// aboutAgent tell which server is watched and how the watching goes.
func aboutAgent() []Instrument {
	return []Instrument{
		{
			Name:        "drone.server.info",
			Description: "Always 1; the attributes tell the Drone server's version and edition.",
			Attributes:  []attribute.Key{attrVersion, attrEdition},
			Absent:      absentUnknown,
			Example:     "count by (version) (drone_server_info)",
			observe: func(v *view, put observer) {
				if v.Server != nil {
					put(1, with(attrVersion.String(v.Server.Version), attrEdition.String(v.Server.Edition)))
				}
			},
		},
		{
			Name:        "drone.up",
			Description: "1 where the last poll of Drone succeeded and what it learned is not too old, else 0.",
			Absent:      absentPoll,
			Example:     "min_over_time(drone_up[5m]) == 0",
			lasting:     true,
			observe:     func(v *view, put observer) { put(truth(v.Up && !v.stale)) },
		},
		{
			Name: "drone.agent.poll.duration", Unit: "s", fractional: true,
			Description: "How long the last poll of Drone took.",
			Absent:      absentPoll,
			Example:     "max_over_time(drone_agent_poll_duration_seconds[1h])",
			lasting:     true,
			observe:     func(v *view, put observer) { put(v.PollDuration.Seconds()) },
		},
		{
			Name: "drone.agent.poll.last_success_timestamp", Unit: "s", fractional: true,
			Description: "When the last poll that succeeded began, in Unix time: what is known of Drone is as old.",
			Absent:      "until a poll has succeeded",
			Example:     "time() - drone_agent_poll_last_success_timestamp_seconds > 300",
			lasting:     true,
			observe: func(v *view, put observer) {
				if !v.Fresh.IsZero() {
					put(unixSeconds(v.Fresh))
				}
			},
		},
	}
}

// configured tells how the last reload of the configuration went.
func configured() []Instrument {
	return []Instrument{
		{
			Name: "drone.agent.config.last_reload_successful",
			Description: "1 where the newest configuration is in force, 0 where a reload refused it and the one before " +
				"stays.",
			Absent:  absentPoll,
			Example: "drone_agent_config_last_reload_successful == 0",
			lasting: true,
			observe: func(v *view, put observer) {
				if !v.settings.Loaded.IsZero() {
					put(truth(!v.settings.Refused))
				}
			},
		},
		{
			Name: "drone.agent.config.last_reload_success_timestamp", Unit: "s", fractional: true,
			Description: "When the configuration in force was read, in Unix time.",
			Absent:      absentPoll,
			Example:     "changes(drone_agent_config_last_reload_success_timestamp_seconds[1d])",
			lasting:     true,
			observe: func(v *view, put observer) {
				if !v.settings.Loaded.IsZero() {
					put(unixSeconds(v.settings.Loaded))
				}
			},
		},
	}
}

// requests tell what the agent has of Drone, and what it did not get.
func requests() []Instrument {
	return []Instrument{
		{
			Name: "drone.agent.repositories", Unit: "{repository}",
			Description: "Repositories that the agent watches: active, inactive; of both those unreachable whose builds " +
				"Drone does not serve, and those folded that have no series of their own (`" + Other + "`).",
			Attributes: []attribute.Key{attrState},
			Absent:     absentUnknown,
			Example:    `drone_agent_repositories{state="unreachable"} > 0`,
			observe: func(v *view, put observer) {
				if v.Repositories != nil {
					put(float64(v.Repositories.Active), with(attrState.String("active")))
					put(float64(v.Repositories.Inactive), with(attrState.String("inactive")))
					put(float64(v.Repositories.Unreachable), with(attrState.String("unreachable")))
					put(float64(v.Repositories.Folded), with(attrState.String("folded")))
				}
			},
		},
		{
			Name: "drone.agent.repositories.limit", Unit: "{repository}",
			Description: "How many repositories may have series of their own: `metrics.repositories.limit`.",
			Absent:      absentPoll,
			Example:     `sum without (state) (drone_agent_repositories{state="active"}) > drone_agent_repositories_limit`,
			lasting:     true,
			observe:     func(v *view, put observer) { put(float64(v.settings.RepositoriesLimit)) },
		},
		conventional(cicdconv.SystemErrors{}, Instrument{
			Kind:        Counter,
			Description: "Here the agent's requests to Drone that failed.",
			Attributes:  []attribute.Key{attrComponent, attrErrorType},
			Absent:      absentEvent,
			Example:     "sum by (error_type) (rate(cicd_system_errors_total[5m])) > 0",
			lasting:     true,
			failed: func(errorType string, put recorder) {
				put(1, attrComponent.String(droneAPI), attrErrorType.String(errorType))
			},
		}),
	}
}
