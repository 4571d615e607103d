package main

import "strings"

// tag is what all dashboards have, and by which they find each other.
const tag = "drone-otel-agent"

// fromPrometheus is the data source that the reader of a dashboard has chosen.
func fromPrometheus() datasource { return datasource{Type: "prometheus", UID: "${datasource}"} }

// others are links to the other dashboards, which take the variables and the time along.
func others() dashboardLink {
	return dashboardLink{
		Type: "dashboards", Title: "Drone dashboards", Icon: "external link",
		Tooltip: "the other dashboards, with the same time and choices", Tags: []string{tag},
		IncludeVars: true, KeepTime: true,
	}
}

// common are the variables that every dashboard begins with.
func common() []variable {
	agents := fromLabel("instance", "Agent", `label_values(drone_up{job="$job"}, instance)`)
	agents.Description = "By instance. All adds the agents up; of several that watch the same Drone choose one."
	agents.Multi, agents.IncludeAll, agents.AllValue = true, true, ".*"
	jobs := fromLabel("job", "Job", "label_values(drone_up, job)")
	jobs.Description = "Prometheus's scrape job, or the service.name of what is pushed. An agent that is scraped and " +
		"pushes into the same Prometheus is there under both: one at a time, so that nothing is counted twice."
	return []variable{sources(), jobs, agents}
}

func sources() variable {
	return variable{
		Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1,
		Description: "The Prometheus that has the agent's metrics.",
		Options:     []variableOption{},
	}
}

// windows is over how long rates and quantiles over time are taken. Builds are few: the interval between two scrapes,
// which Grafana would take, has none most of the time.
func windows() variable {
	const usual = "1h"
	out := variable{
		Name: "window", Label: "Averaged over", Type: "custom", Query: "10m,30m,1h,3h,12h,1d",
		Description: "How much time each point of rates, ratios and quantiles looks back over.",
		Current:     &variableOption{Text: usual, Value: usual},
	}
	for value := range strings.SplitSeq(out.Query.(string), ",") {
		out.Options = append(out.Options, variableOption{Text: value, Value: value, Selected: value == usual})
	}
	return out
}

// repositories chooses one repository.
func repositories() variable {
	return fromLabel("repository", "Repository",
		`label_values(drone_build_finished_total{job="$job", instance=~"$instance"}, cicd_pipeline_name)`)
}

// fromLabel is a variable with the values of a label.
func fromLabel(name, label, query string) variable {
	return variable{
		Name: name, Label: label, Type: "query", Datasource: new(fromPrometheus()),
		Definition: query, Query: variableQuery{Query: query, RefID: name},
		Options: []variableOption{}, Refresh: whenTimeChanges, Sort: alphabetically,
	}
}

// How Grafana keeps the values of a variable.
const (
	whenTimeChanges = 2
	alphabetically  = 1
)
