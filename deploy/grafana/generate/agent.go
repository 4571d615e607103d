package main

// agent is the dashboard about the agent itself, for those who run it.
func agent() board {
	return board{
		file: "agent.json", uid: uidAgent, title: "Drone: agent",
		description: "How drone-otel-agent does: its polls, its requests to Drone, what it gives and what it needs.",
		from:        "now-6h", refresh: "30s",
		variables: common(),
		rows: []row{
			{"Health", healthOfAgent()},
			{"Polls", polls()},
			{"Requests to Drone", requests()},
			{"What it gives", given()},
			{"Process", process()},
		},
	}
}

func healthOfAgent() []panel {
	return []panel{
		droneReached(), dataAge(), {
			title: "Configuration", kind: light(), width: 4, unit: noUnit, missing: "agent silent",
			description: "Whether the newest configuration is in force. Refused: a reload found mistakes in it, which are in " +
				"the agent's log, and the configuration before stays.",
			words:   []word{{"1", "in force", green}, {"0", "refused", red}},
			steps:   colored(red, from(1, green)),
			queries: []query{{legend: "reload", expr: "min(drone_agent_config_last_reload_successful{@agent})"}},
		}, {
			title: "Configuration read", kind: figure(), width: 4, unit: ago, missing: "agent silent",
			description: "When the configuration in force was read, at the start or by a reload.",
			queries: []query{{
				legend: "read", expr: "max(drone_agent_config_last_reload_success_timestamp_seconds{@agent}) * 1000",
			}},
		}, {
			title: "Version", kind: nameplate(), width: 4, unit: noUnit, missing: "agent silent",
			description: "The agent's version; several while agents of several versions run.",
			queries: []query{{
				legend: "{{version}}", expr: "count by (version) (drone_otel_agent_build_info{@agent})",
			}},
		}, {
			title: "Started", kind: figure(), width: 4, unit: ago, missing: "agent silent",
			description: "When the process started; of several agents, the one that started last.",
			queries:     []query{{legend: "start", expr: "max(process_start_time_seconds{@agent}) * 1000"}},
		},
		reachedOverTime(),
	}
}

func polls() []panel {
	return []panel{{
		title: "Time of a poll", kind: lines(), width: 8, unit: seconds,
		description: "How long the last poll took. It should be well below poll.interval: no two polls run at once.",
		queries: []query{{
			legend: "{{instance}}", expr: "max by (instance) (drone_agent_poll_duration_seconds{@agent})",
		}},
	}, {
		title: "Age of the data", kind: lines().limited(), width: 8, unit: seconds,
		description: "How long ago the last poll that succeeded began. A saw below poll.interval is as it should be; a " +
			"line that climbs is a time in which every poll failed.",
		steps: colored(green, from(60, orange), from(300, red)),
		queries: []query{{
			legend: "{{instance}}",
			expr:   "time() - max by (instance) (drone_agent_poll_last_success_timestamp_seconds{@agent})",
		}},
	}, {
		title: "Errors", kind: stacked(), width: 8, unit: perSecond,
		description: "Requests to Drone that failed for good, after the retries, by what was wrong: Drone's status, a " +
			"name that is not found, a certificate, a timeout. The agent's log has the details. Empty until there was one.",
		steps: colored(green, from(0.001, red)),
		queries: []query{{
			legend: "{{error_type}}", expr: "sum by (error_type) (rate(cicd_system_errors_total{@agent}[$__rate_interval]))",
		}},
	}}
}

func requests() []panel {
	sent := distribution{metric: "http_client_request_duration_seconds", over: fine}
	return []panel{{
		title: "Requests, by path", kind: stacked(), width: 12, unit: perSecond,
		description: "Attempts sent to Drone, retries included, by the template of the path. A poll when nothing happens " +
			"is one or two requests; drone.max_requests_per_second bounds them.",
		queries: []query{{legend: "{{url_template}}", expr: sent.per("url_template").rate()}},
	}, {
		title: "Requests, by status", kind: stacked(), width: 12, unit: perSecond,
		description: "Attempts sent to Drone by the status of the answer. Those without a status got no answer; 401 and " +
			"403 are about the token, 404 about a repository that Drone does not serve.",
		queries: []query{{
			legend: "{{http_response_status_code}} {{error_type}}",
			expr:   sent.per("http_response_status_code", "error_type").rate(),
		}},
	}, {
		title: "Time of a request, by path", kind: lines(), width: 12, unit: seconds,
		description: "95 of a hundred requests took no longer, from sending to the first byte of the answer. Paths that " +
			"all slow down at once mean that Drone or its database is slow.",
		queries: []query{{legend: "p95 {{url_template}}", expr: sent.per("url_template").quantile(0.95)}},
	}, {
		title: "Mean time of a request", kind: lines(), width: 12, unit: seconds,
		description: "Over all requests. A gap is a time without any.",
		queries:     []query{{legend: "{{instance}}", expr: sent.per("instance").mean()}},
	}}
}

func given() []panel {
	return []panel{{
		title: "Series", kind: figure(), width: 4, height: 9, unit: number, missing: "agent silent",
		description: "Time series that the agent gives now. Most are of the histograms: fewer repositories " +
			"(metrics.repositories), fewer boundaries (metrics.buckets) or no stages (metrics.stages) make fewer.",
		queries: []query{{legend: "series", expr: "count({@agent})"}},
	}, {
		title: "Room for repositories", kind: light(), width: 4, height: 9, unit: ratio, missing: unknown,
		description: "How much of metrics.repositories.limit the repositories with series of their own use. At 100% " +
			"another one is folded: told together with others as _other.",
		steps: colored(green, from(0.9, orange), from(1, red)),
		queries: []query{{
			legend: "used", expr: `(sum(drone_agent_repositories{@agent, state="active"}) - ` +
				`sum(drone_agent_repositories{@agent, state="folded"})) / sum(drone_agent_repositories_limit{@agent})`,
		}},
	}, {
		title: "Series, by metric", kind: ranking(), width: 8, unit: number, steps: colored(blue), missing: "agent silent",
		description: "The ten names with the most time series now.",
		queries:     []query{{legend: "{{__name__}}", expr: "topk(10, count by (__name__) ({@agent}))"}},
	}, {
		title: "Repositories", kind: lines(), width: 8, height: 9, unit: number,
		description: "Repositories that the agent watches. Folded ones are beyond metrics.repositories.limit or left out " +
			"by choice, and are told together as _other; of unreachable ones Drone does not serve the builds.",
		colors: map[string]color{"active": green, "inactive": gray, "folded": orange, "unreachable": red},
		queries: []query{{
			legend: "{{state}}", expr: "sum by (state) (drone_agent_repositories{@agent})",
		}},
	}, {
		title: "Pushed data points, by outcome", kind: stacked(), width: 8, unit: eachSecond,
		description: "What became of the data points pushed over OTLP: taken, rejected by a Collector that took the rest, " +
			"or not taken for the error that has gRPC's name. Nothing where nothing is pushed. While pushes fail only " +
			"an agent that is scraped can show it.",
		colors: map[string]color{"taken": green},
		queries: []query{
			{legend: "taken", expr: pushed(`error_type=""`)},
			{legend: "{{error_type}}", expr: pushed(`error_type!=""`)},
		},
	}, {
		title: "Scrapes, by status", kind: stacked(), width: 8, unit: perSecond,
		description: "Answers to scrapes by status; those that were refused for their token are not among them. Only zeros " +
			"where the agent pushes and nobody scrapes.",
		queries: []query{{
			legend: "{{code}}",
			expr:   "sum by (code) (rate(promhttp_metric_handler_requests_total{@agent}[$__rate_interval]))",
		}},
	}, {
		title: "Scrapes that lacked something", kind: lines(), width: 8, unit: perSecond,
		description: "Errors while a scrape was answered, by what went wrong. The agent's log has the details.",
		steps:       colored(green, from(0.001, red)),
		queries: []query{{
			legend: "{{cause}}",
			expr:   "sum by (cause) (rate(promhttp_metric_handler_errors_total{@agent}[$__rate_interval]))",
		}},
	}}
}

// pushed is how many data points with that outcome the pushes have.
func pushed(outcome string) string {
	return "sum by (error_type) (rate(otel_sdk_exporter_metric_data_point_exported_total{@agent, " + outcome +
		"}[$__rate_interval]))"
}

func process() []panel {
	perAgent := func(title, legend, description string, of unit, expr string) panel {
		return panel{
			title: title, kind: lines(), width: 8, unit: of, description: description,
			queries: []query{{legend: legend, expr: "sum by (instance) (" + expr + ")"}},
		}
	}
	memory := perAgent("Memory", "resident {{instance}}", "Memory of the process as the system sees it, and what of it "+
		"Go's heap holds.", inBytes, "process_resident_memory_bytes{@agent}")
	memory.queries = append(memory.queries, query{
		legend: "heap {{instance}}", expr: "sum by (instance) (go_memstats_heap_alloc_bytes{@agent})",
	})
	files := perAgent("Open files", "open {{instance}}", "File descriptors, sockets among them, and how many there may "+
		"be.", number, "process_open_fds{@agent}")
	files.queries = append(files.queries, query{
		legend: "limit {{instance}}", expr: "sum by (instance) (process_max_fds{@agent})",
	})
	return []panel{
		memory,
		perAgent("CPU", "{{instance}}", "Seconds of CPU time for each second: 1 is one core.", ratio,
			"rate(process_cpu_seconds_total{@agent}[$__rate_interval])"),
		perAgent("Goroutines", "{{instance}}", "They should stay within a few dozen; a line that climbs for hours is a "+
			"defect of the agent.", number, "go_goroutines{@agent}"),
		perAgent("Garbage collection", "{{instance}}", "Pauses of Go's garbage collector: seconds for each second.", ratio,
			"rate(go_gc_duration_seconds_sum{@agent}[$__rate_interval])"),
		files,
		perAgent("Reloads and restarts", "reloads {{instance}}", "How often a configuration came into force in the last "+
			"hour; a restart counts as one.", number,
			"changes(drone_agent_config_last_reload_success_timestamp_seconds{@agent}[1h])"),
	}
}
