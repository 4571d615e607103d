package main

// repository is the dashboard of one repository, for those who work on it.
func repository() board {
	return board{
		file: "repository.json", uid: uidRepository, title: "Drone: repository",
		description: "How a repository's builds end, how long they wait and run, and which stage takes the time.",
		from:        "now-7d", refresh: "1m",
		variables: append(common(), repositories(), windows()),
		rows: []row{
			{"Now", repositoryNow()},
			{"Builds that ended", repositoryBuilds()},
			{"Default branch", defaultBranch()},
			{"Durations", repositoryDurations()},
			{"Stages", repositoryStages()},
			{"Steps (only with metrics.steps)", repositorySteps()},
		},
	}
}

func repositoryNow() []panel {
	const unseen = "none seen"
	return []panel{
		{
			title: "Default branch", kind: light(), width: 4, unit: noUnit, missing: unseen, words: greenOrRed(),
			description: "The newest finished build of the default branch. None seen: the agent has not seen one end since " +
				"it started.",
			steps:   colored(red, from(1, green)),
			queries: []query{{legend: "last build", expr: "min(drone_repo_last_build_success{@agent, @repository})"}},
		}, {
			title: "Last build", kind: figure(), width: 4, unit: ago, missing: unseen,
			description: "When the newest finished build of the default branch ended.",
			queries: []query{{
				legend: "ended", expr: "max(drone_repo_last_build_finished_timestamp_seconds{@agent, @repository}) * 1000",
			}},
		}, {
			title: "Waiting", kind: figure(), width: 4, unit: number, missing: unknown,
			description: "Builds with a stage that waits for a runner.",
			queries: []query{{
				legend: "waiting",
				expr:   `sum(cicd_pipeline_run_active{@agent, @repository, cicd_pipeline_run_state="pending"})`,
			}},
		}, {
			title: "Running", kind: figure(), width: 4, unit: number, missing: unknown,
			description: "Builds with a stage that runs.",
			queries: []query{{
				legend: "running",
				expr:   `sum(cicd_pipeline_run_active{@agent, @repository, cicd_pipeline_run_state="executing"})`,
			}},
		}, {
			title: "Success ratio", kind: light(), width: 4, unit: ratio, missing: "no builds", steps: successSteps(),
			description: "How much of the builds that ended in the time that is shown succeeded. Those that were killed, " +
				"declined or skipped do not count.",
			queries: []query{{legend: "succeeded", expr: successRatio("@agent, @repository", shown)}},
		}, {
			title: "Builds", kind: figure(), width: 4, unit: number, missing: unknown,
			description: "Builds that ended in the time that is shown, however they ended.",
			queries: []query{{
				legend: "ended", expr: "sum(increase(drone_build_finished_total{@agent, @repository}[$__range]))",
			}},
		},
	}
}

func greenOrRed() []word { return []word{{"1", "green", green}, {"0", "red", red}} }

func repositoryBuilds() []panel {
	return []panel{{
		title: "Builds per hour, by result", kind: stacked(), width: 12, unit: perHour, colors: statusColors(),
		description: "Builds that ended, by Drone's own status: killed are cancelled ones, error is a configuration or a " +
			"runner that failed.",
		queries: []query{{
			legend: "{{drone_build_status}}",
			expr:   "sum by (drone_build_status) (rate(drone_build_finished_total{@agent, @repository}[$window])) * 3600",
		}},
	}, {
		title: "Failures per hour, by cause", kind: stacked(), width: 6, unit: perHour,
		description: "What failed the builds that failed: a step, the configuration (.drone.yml), a runner, a timeout. " +
			"Empty until a build of the repository failed since the agent started.",
		queries: []query{{
			legend: "{{error_type}}",
			expr:   "sum by (error_type) (rate(cicd_pipeline_run_errors_total{@agent, @repository}[$window])) * 3600",
		}},
	}, {
		title: "Waiting and running", kind: lines(), width: 6, unit: number,
		description: "Builds with a stage that waits for a runner (pending) or runs (executing); a build can be in both.",
		colors:      map[string]color{"pending": orange, "executing": blue},
		queries: []query{{
			legend: "{{cicd_pipeline_run_state}}",
			expr:   "sum by (cicd_pipeline_run_state) (cicd_pipeline_run_active{@agent, @repository})",
		}},
	}}
}

func defaultBranch() []panel {
	const (
		took = "max(drone_repo_last_build_duration_seconds{@agent, @repository})"
		well = "min(drone_repo_last_build_success{@agent, @repository})"
	)
	return []panel{{
		title: "Green or red", kind: timeline(), width: 12, unit: noUnit, words: greenOrRed(), height: 9,
		description: "How the newest finished build of the default branch had ended at each time. An empty stretch is a " +
			"time from which nothing is known.",
		steps:   colored(red, from(1, green)),
		queries: []query{{legend: "default branch", expr: well}},
	}, {
		title: "Last builds of the default branch", kind: history("Ended"), width: 12, unit: seconds,
		description: "The builds of the default branch that were the newest for a while, in the time that is shown. Of " +
			"builds that ended closer together than two points of a graph only the last one is here: look at a shorter " +
			"time to see all.",
		missing: "none seen",
		queries: []query{
			{legend: "Ended", column: column{unit: date}, expr: "max(drone_repo_last_build_finished_timestamp_seconds" +
				"{@agent, @repository}) * 1000"},
			{legend: "Ran", expr: took},
			{legend: "Result", expr: well, column: column{unit: noUnit, words: greenOrRed()}},
		},
	}, {
		title: "Running time on the default branch", kind: lines().dots(), width: 24, unit: seconds,
		description: "How long the newest finished build of the default branch ran, as it was at each time.",
		colors:      map[string]color{"succeeded": green, "did not succeed": red},
		queries: []query{
			{legend: "succeeded", expr: took + " and " + well + " == 1"},
			{legend: "did not succeed", expr: took + " and " + well + " == 0"},
		},
	}}
}

func repositoryDurations() []panel {
	ran, waited := runs(window).and("@repository"), waits(window).and("@repository")
	return []panel{{
		title: "Running time", kind: heatmap(seconds), width: 12, unit: number,
		description: "How many builds took how long from start to end: a column is a stretch of time, a cell's colour the " +
			"number of builds that ended in it after that long.",
		queries: []query{{legend: "{{le}}", expr: runs(fine).and("@repository").buckets()}},
	}, {
		title: "Waiting time", kind: heatmap(seconds), width: 12, unit: number,
		description: "How many builds waited how long from their creation to their start. The time that somebody took to " +
			"approve is part of it.",
		queries: []query{{legend: "{{le}}", expr: waits(fine).and("@repository").buckets()}},
	}, {
		title: "Running time, by branch", kind: lines(), width: 12, unit: seconds,
		description: "On the default branch and on all others together: half of the builds ran no longer than p50, 95 of a " +
			"hundred no longer than p95. A gap is a time in which none ended.",
		queries: []query{
			{legend: "p50 {{drone_branch_class}}", expr: ran.per("drone_branch_class").quantile(0.5)},
			{legend: "p95 {{drone_branch_class}}", expr: ran.per("drone_branch_class").quantile(0.95)},
		},
	}, {
		title: "Waiting time, p50 and p95", kind: lines().limited(), width: 12, unit: seconds, steps: waitSteps(),
		description: "Half of the builds waited no longer than p50, 95 of a hundred no longer than p95. A gap is a time " +
			"in which none ended.",
		queries: []query{
			{legend: "p50", expr: waited.quantile(0.5)},
			{legend: "p95", expr: waited.quantile(0.95)},
		},
	}}
}

func repositoryStages() []panel {
	ran := func(over string) distribution {
		return stages("executing", over).and("@repository").per("stage", "os", "arch")
	}
	waited := stages("pending", shown).and("@repository").per("stage", "os", "arch")
	return []panel{{
		title: "Running time of stages", kind: lines(), width: 12, unit: seconds,
		description: "95 of a hundred runs of a stage took no longer. The stage whose line rises is what made the " +
			"repository slower. Needs metrics.stages, which is on unless turned off.",
		queries: []query{{legend: "{{stage}} {{os}}/{{arch}}", expr: ran(window).quantile(0.95)}},
	}, {
		title: "Stages, by running time", kind: table("Mean"), width: 12, unit: seconds, missing: "none seen",
		description: "The repository's stages in the time that is shown: how often they ran, how long, how long they " +
			"waited from the build's creation on (the stages before them included), and how much of the runs did not succeed.",
		labels: []label{{name: "stage", title: "Stage"}, {name: "os", title: "OS"}, {name: "arch", title: "Arch"}},
		queries: []query{
			{legend: "Runs", expr: ran(shown).rate() + " * $__range_s > 0", column: column{unit: number}},
			{legend: "Mean", expr: ran(shown).mean()},
			{legend: "p95", expr: ran(shown).quantile(0.95)},
			{legend: "Waited, mean", expr: waited.mean()},
			{legend: "Failed", expr: ran(shown).share(`cicd_pipeline_result!="success"`), column: column{
				unit: ratio, steps: colored(green, from(0.1, orange), from(0.3, red)),
			}},
		},
	}}
}

func repositorySteps() []panel {
	steps := distribution{metric: "drone_step_duration_seconds", over: shown}.and("@repository")
	return []panel{{
		title: "Slowest steps", kind: ranking(), width: 24, unit: seconds, steps: colored(blue),
		missing: "metrics.steps is off",
		description: "The running time that 95 of a hundred runs of a step did not exceed in the time that is shown, of " +
			"the ten steps where it is longest. Needs metrics.steps, which is off unless turned on: steps are many.",
		queries: []query{{legend: "{{stage}} / {{step}}", expr: topOf(steps.per("stage", "step").quantile(0.95))}},
	}}
}
