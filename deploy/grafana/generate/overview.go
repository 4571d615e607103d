package main

// overview is the dashboard for a screen on the wall: is CI well, and if not, where to look.
func overview() board {
	return board{
		file: "ci-overview.json", uid: uidOverview, title: "Drone: CI overview",
		description: "Is Drone well, does anybody wait, and which repositories fail or are slow.",
		from:        "now-24h", refresh: "30s",
		variables: append(common(), windows()),
		rows: []row{
			{"Health", healthOfCI()},
			{"Now", nowWaiting()},
			{"Builds that ended", endedBuilds()},
			{"Waiting and running", waiting()},
			{"Durations", howLong()},
			{"Repositories", ranked()},
		},
	}
}

func healthOfCI() []panel {
	return []panel{
		droneReached(), dataAge(), {
			title: "Drone server", kind: nameplate(), width: 4, unit: noUnit, missing: unknown,
			description: "Version and edition of the Drone servers that the agents watch.",
			queries: []query{{
				legend: "{{version}} {{edition}}",
				expr:   "count by (version, edition) (drone_server_info{@agent})",
			}},
		}, {
			title: "Default branches red", kind: light(), width: 4, unit: number, missing: unknown,
			description: "Repositories whose newest finished build of the default branch did not succeed; which ones is " +
				"in the table at the bottom. A repository counts from the first build that the agent saw end.",
			steps: colored(green, from(1, orange)),
			queries: []query{{
				legend: "red",
				expr:   "count(drone_repo_last_build_success{@agent}) - sum(drone_repo_last_build_success{@agent})",
			}},
		}, {
			title: "Success ratio", kind: light(), width: 4, unit: ratio, missing: "no builds",
			description: "How much of the builds that ended in the time that is shown succeeded. Those that were killed, " +
				"declined or skipped do not count.",
			steps: successSteps(),
			queries: []query{{
				legend: "succeeded",
				expr:   successRatio("@agent", shown),
			}},
		}, {
			title: "Builds", kind: figure(), width: 4, unit: number, missing: unknown,
			description: "Builds that ended in the time that is shown, however they ended.",
			queries: []query{{
				legend: "ended", expr: "sum(increase(drone_build_finished_total{@agent}[$__range]))",
			}},
		},
		reachedOverTime(),
	}
}

func nowWaiting() []panel {
	const absent = " Not known for a while after the agent's start, and while Drone is not reached."
	of := func(title, legend, description, expr string, steps ...step) panel {
		return panel{
			title: title, kind: figure(), width: 4, unit: number, missing: unknown, steps: steps,
			description: description + absent, queries: []query{{legend: legend, expr: expr}},
		}
	}
	oldest := of("Oldest waiting build", "age", "How long ago the oldest build was created that still waits for a "+
		"runner; 0 where none waits.", `max(drone_build_oldest_age_seconds{@agent, drone_build_status="pending"})`,
		waitSteps()...)
	oldest.unit = seconds
	return []panel{
		of("Builds waiting", "waiting", "Builds with at least one stage that waits for a runner.",
			"sum(drone_pending_builds{@agent})"),
		of("Builds running", "running", "Builds with at least one stage that runs.",
			"sum(drone_running_builds{@agent})"),
		of("Jobs waiting", "waiting", "Stages that wait for a runner.", "sum(drone_pending_jobs{@agent})"),
		of("Jobs running", "running", "Stages that run.", "sum(drone_running_jobs{@agent})"),
		of("Runners busy", "busy", "Machines that run a stage. Drone does not tell of idle ones. While jobs wait, 0 means "+
			"that no runner takes them.", `sum(cicd_worker_count{@agent, cicd_worker_state="busy"})`),
		oldest,
	}
}

func endedBuilds() []panel {
	return []panel{{
		title: "Builds per hour, by result", kind: stacked(), width: 12, unit: perHour, colors: statusColors(),
		description: "Builds that ended, by Drone's own status: killed are cancelled ones, error is a configuration or a " +
			"runner that failed.",
		queries: []query{{
			legend: "{{drone_build_status}}",
			expr:   "sum by (drone_build_status) (rate(drone_build_finished_total{@agent}[$window])) * 3600",
		}},
	}, {
		title: "Success ratio", kind: lines(), width: 6, unit: ratio, limit: 1,
		description: "How much of the builds that ended succeeded: on all branches, and on default branches alone. Those " +
			"that were cancelled or skipped do not count. A gap is a time without builds.",
		steps: successSteps(),
		queries: []query{{
			legend: "all branches",
			expr:   successRatio("@agent", window),
		}, {
			legend: "default branches",
			expr: runs(window).and(onDefault).and(`cicd_pipeline_result!="cancellation"`).
				share(`cicd_pipeline_result="success"`),
		}},
	}, {
		title: "Failures per hour, by cause", kind: stacked(), width: 6, unit: perHour,
		description: "What failed the builds that failed: a step, the configuration (.drone.yml), a runner, a timeout. " +
			"Runner and timeout are for the people who run CI, step is for those who wrote the code. Empty until a build " +
			"failed since the agent started.",
		queries: []query{{
			legend: "{{error_type}}",
			expr:   "sum by (error_type) (rate(cicd_pipeline_run_errors_total{@agent}[$window])) * 3600",
		}},
	}}
}

func waiting() []panel {
	return []panel{{
		title: "Builds and jobs", kind: lines(), width: 12, unit: number,
		description: "What waits and what runs. Jobs are stages; a build with one stage waiting and another running is in " +
			"both. A gap is a time in which Drone was not reached.",
		colors: map[string]color{
			"builds waiting": orange, "builds running": blue, "jobs waiting": red, "jobs running": purple,
		},
		queries: []query{
			{legend: "builds waiting", expr: "sum(drone_pending_builds{@agent})"},
			{legend: "builds running", expr: "sum(drone_running_builds{@agent})"},
			{legend: "jobs waiting", expr: "sum(drone_pending_jobs{@agent})"},
			{legend: "jobs running", expr: "sum(drone_running_jobs{@agent})"},
		},
	}, {
		title: "Queue, by platform", kind: stacked(), width: 12, unit: number,
		description: "Stages that wait for a runner, by what they need of one. A platform whose queue does not shrink " +
			"while others are empty lacks runners.",
		queries: []query{{
			legend: "{{os}}/{{arch}} {{type}}",
			expr:   `sum by (os, arch, type) (drone_queue_jobs{@agent, drone_stage_status="pending"})`,
		}},
	}, {
		title: "Running, by platform", kind: stacked(), width: 8, unit: number,
		description: "Stages that run, by the platform they run on. A line that stays flat at its top while the queue " +
			"grows is the capacity of that platform's runners.",
		queries: []query{{
			legend: "{{os}}/{{arch}} {{type}}",
			expr:   `sum by (os, arch, type) (drone_queue_jobs{@agent, drone_stage_status="running"})`,
		}},
	}, {
		title: "Oldest waiting job, by platform", kind: lines().limited(), width: 8, unit: seconds, steps: waitSteps(),
		description: "How long the oldest stage that waits for a runner has existed; 0 where none waits.",
		queries: []query{{
			legend: "{{os}}/{{arch}} {{type}}",
			expr:   "max by (os, arch, type) (drone_queue_oldest_age_seconds{@agent})",
		}},
	}, {
		title: "Oldest open build", kind: lines(), width: 8, unit: seconds,
		description: "How long ago the oldest open build was created: one that waits for a runner, one that runs, one that " +
			"waits for somebody's approval (blocked). A running one that only grows is stuck.",
		queries: []query{{
			legend: "{{drone_build_status}}",
			expr:   "max by (drone_build_status) (drone_build_oldest_age_seconds{@agent})",
		}},
	}}
}

func howLong() []panel {
	return []panel{{
		title: "Waiting time of builds", kind: lines().limited(), width: 8, unit: seconds, steps: waitSteps(),
		description: "From creation to start, of builds that ended: half of them waited no longer than p50, 95 of a " +
			"hundred no longer than p95. The time that somebody took to approve is part of it. A gap is a time in which " +
			"none ended.",
		queries: []query{
			{legend: "p50", expr: waits(window).quantile(0.5)},
			{legend: "p95", expr: waits(window).quantile(0.95)},
		},
	}, {
		title: "Running time of builds", kind: lines(), width: 8, unit: seconds,
		description: "From start to end, of builds that ended, whatever the result: half of them ran no longer than p50, " +
			"95 of a hundred no longer than p95. A gap is a time in which none ended.",
		queries: []query{
			{legend: "p50", expr: runs(window).quantile(0.5)},
			{legend: "p95", expr: runs(window).quantile(0.95)},
		},
	}, {
		title: "Waiting time of stages, by platform", kind: lines().limited(), width: 8, unit: seconds,
		steps: waitSteps(),
		description: "From a build's creation to its stage's start, of builds that ended: 95 of a hundred stages waited no " +
			"longer. The time spent on stages before it is part of it. Needs metrics.stages, which is on unless turned off.",
		queries: []query{{
			legend: "p95 {{os}}/{{arch}}", expr: stages("pending", window).per("os", "arch").quantile(0.95),
		}},
	}}
}
