package main

// The addresses of the dashboards. They never change: people have links to them.
const (
	uidOverview   = "drone-ci-overview"
	uidRepository = "drone-ci-repository"
	uidAgent      = "drone-ci-agent"
)

// unknown stands where there is no figure: the agent does not report what it does not know.
const unknown = "not known"

func droneReached() panel {
	return panel{
		title: "Drone", kind: light(), width: 4, unit: noUnit, missing: "agent silent",
		description: "Whether the agent's last poll of Drone succeeded; of several agents, the worst. Not reached: Drone " +
			"is down, refuses the token or is out of the agent's reach; the agent's log says which, and drone-otel-agent " +
			"check what to do. Agent silent: Prometheus has nothing from the agent, so nothing is known of Drone.",
		words:   []word{{"1", "reached", green}, {"0", "not reached", red}},
		steps:   colored(red, from(1, green)),
		queries: []query{{legend: "Drone", expr: "min(drone_up{@agent})"}},
	}
}

func dataAge() panel {
	return panel{
		title: "Age of the data", kind: light(), width: 4, unit: seconds, missing: "agent silent",
		description: "How long ago the last poll that succeeded began; of several agents, the longest. Where it " +
			"is more than poll.stale_after, a minute by default, the figures about Drone vanish from the dashboards.",
		steps: colored(green, from(60, orange), from(300, red)),
		queries: []query{{
			legend: "age", expr: "time() - min(drone_agent_poll_last_success_timestamp_seconds{@agent})",
		}},
	}
}

func reachedOverTime() panel {
	return panel{
		title: "Drone and agent", kind: timeline(), width: 24, unit: noUnit,
		description: "Whether each agent reached Drone, and whether Prometheus reached the agent (there is a line for that " +
			"only where Prometheus scrapes). An empty stretch is a time from which nothing is known: the agent was down, or " +
			"nobody could read it.",
		words: []word{{"1", "reached", green}, {"0", "not reached", red}},
		steps: colored(red, from(1, green)),
		queries: []query{
			{legend: "Drone, by {{instance}}", expr: "min by (instance) (drone_up{@agent})"},
			{legend: "agent {{instance}}, by Prometheus", expr: "min by (instance) (up{@agent})"},
		},
	}
}

// statusColors are the colours of Drone's statuses.
func statusColors() map[string]color {
	return map[string]color{
		"success": green, "failure": red, "error": purple, "killed": orange, "declined": yellow, "skipped": gray,
	}
}

func successSteps() []step { return colored(red, from(0.7, orange), from(0.9, green)) }

// waitSteps are for how long something waits for a runner.
func waitSteps() []step { return colored(green, from(300, orange), from(1800, red)) }
