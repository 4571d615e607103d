package main

// ranked are the repositories that stand out, in the time that is shown.
func ranked() []panel {
	return []panel{{
		title: "Slowest repositories", kind: ranking(toRepository(fromSeries)), width: 8, unit: seconds,
		description: "The running time that 95 of a hundred builds did not exceed in the time that is shown, of the ten " +
			"repositories where it is longest. A click leads to the repository.",
		steps: colored(blue), missing: "no builds",
		queries: []query{{
			legend: "{{cicd_pipeline_name}}",
			expr:   topOf(runs(shown).per(repositoryLabel).quantile(0.95)),
		}},
	}, {
		title: "Longest waits", kind: ranking(toRepository(fromSeries)), width: 8, unit: seconds,
		description: "The waiting time that 95 of a hundred builds did not exceed in the time that is shown, of the ten " +
			"repositories where it is longest: those whose platform or concurrency limit lacks runners.",
		steps: waitSteps(), missing: "no builds",
		queries: []query{{
			legend: "{{cicd_pipeline_name}}",
			expr:   topOf(waits(shown).per(repositoryLabel).quantile(0.95)),
		}},
	}, {
		title: "Busiest repositories", kind: ranking(toRepository(fromSeries)), width: 8, unit: number,
		description: "Builds that ended in the time that is shown, of the ten repositories with the most.",
		steps:       colored(blue), missing: "no builds",
		queries: []query{{
			legend: "{{cicd_pipeline_name}}",
			expr:   topOf("sum by (cicd_pipeline_name) (increase(drone_build_finished_total{@agent}[$__range])) > 0"),
		}},
	}, mostFailing(), redBranches()}
}

func mostFailing() panel {
	const (
		failed = `sum by (cicd_pipeline_name) ` +
			`(increase(drone_build_finished_total{@agent, drone_build_status=~"failure|error"}[$__range]))`
		judged = `sum by (cicd_pipeline_name) ` +
			`(increase(drone_build_finished_total{@agent, drone_build_status=~"success|failure|error"}[$__range]))`
	)
	worst := topOf(failed + " > 0")
	return panel{
		title: "Most failing repositories", kind: table("Failed"), width: 12, unit: number, missing: "none failed",
		description: "The ten repositories with the most builds that failed in the time that is shown, and how much of " +
			"their builds that is. The numbers are Prometheus's estimates, and need not be whole.",
		labels: []label{repositoryColumn()},
		queries: []query{
			{legend: "Failed", expr: worst},
			{legend: "Of builds", expr: judged + " and " + worst},
			{legend: "Failure ratio", expr: failed + " / " + judged + " and " + worst, column: column{
				unit: ratio, steps: colored(green, from(0.1, orange), from(0.3, red)),
			}},
		},
	}
}

func redBranches() panel {
	const red = ` and on (cicd_pipeline_name) (min by (cicd_pipeline_name) (drone_repo_last_build_success{@agent}) == 0)`
	return panel{
		title: "Default branches that are red", kind: table("Last build"), width: 12, unit: seconds,
		missing: "all are green",
		description: "Repositories whose newest finished build of the default branch did not succeed, and how that build " +
			"went. One whose last build is old is red because nobody looks.",
		labels: []label{repositoryColumn()},
		queries: []query{
			{legend: "Last build", column: column{unit: ago}, expr: `max by (cicd_pipeline_name) ` +
				`(drone_repo_last_build_finished_timestamp_seconds{@agent}) * 1000` + red},
			{legend: "Ran", expr: `max by (cicd_pipeline_name) ` +
				`(drone_repo_last_build_duration_seconds{@agent})` + red},
			{legend: "Builds open", column: column{unit: number}, expr: `sum by (cicd_pipeline_name) ` +
				`(cicd_pipeline_run_active{@agent})` + red},
		},
	}
}

// topOf are the ten highest.
func topOf(expr string) string { return "topk(10, " + expr + ")" }

const (
	repositoryLabel = "cicd_pipeline_name"
	onDefault       = `drone_branch_class="default"`
)

// repositoryColumn names the repository of a row and leads to it.
func repositoryColumn() label {
	return label{name: repositoryLabel, title: "Repository", link: toRepository(fromCell)}
}

// Where Grafana finds the name of the repository that was clicked on.
const (
	fromSeries = "${__field.labels." + repositoryLabel + "}"
	fromCell   = "${__value.raw}"
)

// toRepository leads to the dashboard of a repository, with the same choices and time.
func toRepository(name string) dataLink {
	return dataLink{
		Title: "Repository",
		URL: "/d/" + uidRepository + "?var-repository=" + name +
			"&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}",
	}
}
