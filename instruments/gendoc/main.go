// Command gendoc writes METRICS.md from the catalogue of instruments: gendoc FILE.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/prometheus/otlptranslator"

	"drone-otel-agent/instruments"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gendoc FILE")
	}
	text, err := document(instruments.Catalog())
	if err == nil {
		err = os.WriteFile(os.Args[1], text, 0o644) //nolint:gosec // a document that everybody may read
	}
	if err != nil {
		log.Fatalf("writing the documentation of the metrics: %v", err)
	}
}

const head = `# Metrics

<!-- Written by "make generate" from instruments/catalog*.go. Change it there. -->

Every metric that drone-otel-agent gives, under its OpenTelemetry name (as pushed over OTLP) and its Prometheus
name (as scraped). What is not known is absent: there is no zero that means "don't know". No metric tells of single
builds, commits, branches or people. Prometheus knows an updown counter as a gauge, and has underscores for the dots
in the names of attributes.
`

const tail = `## About the process

Beside these there are, on both ways out and under the names that Drone's own endpoint gives them:

- ` + "`go_*`, `process_*`" + `: the agent's Go runtime and process, from Prometheus's client library.
- ` + "`http_client_request_duration_seconds`, `http_client_request_body_size_bytes`" + `: the agent's requests,
  by ` + "`url_template`" + ` and status.
- ` + "`promhttp_metric_handler_*`" + `: the scrapes.
- ` + "`otel_sdk_exporter_metric_data_point_exported_total`" + `, where there is a push: the data points pushed, by
  ` + "`error_type`" + `: absent where the Collector took them, ` + "`rejected`" + ` where it took the rest of
  a push, or gRPC's name of the error (` + "`UNAVAILABLE`, `DEADLINE_EXCEEDED`" + `). While pushes fail, only
  a scrape tells.
- ` + "`drone_otel_agent_build_info`" + `: always 1; the labels tell the agent's version.
- ` + "`target_info`" + `, in a scrape only: always 1; the labels are OpenTelemetry's resource attributes.

## What is counted, exactly

The seven figures of Drone are what Drone Enterprise's own ` + "`/metrics`" + ` says of the same database, on both
editions.

- A build is pending or running by its *stages*, not by its own status: one with a stage waiting and another running
  is in both gauges; one that waits for approval is in neither.
- ` + "`drone_build_count`" + ` counts stored builds, those of inactive repositories too. Purged builds are gone from it
  within ` + "`poll.recount_interval`" + `.
- Drone does not serve repositories whose namespace holds a slash (subgroups). On the community edition their builds
  are counted by the repository's counter, purged ones included, and their open builds are not seen.
- Where there are more repositories than ` + "`metrics.repositories.limit`" + `, those without series of their own are
  taken together as the one named ` + "`_other`" + `, so that sums over all are right. Its stages and steps are not
  told apart, and it has no last build. A repository's stages beyond the hundredth and its steps beyond the five
  hundredth, and platforms beyond the fiftieth, are ` + "`_other`" + ` in the histograms of stages and steps.
- Drone's times are whole seconds, and so are the durations. Where the clocks of Drone and of a runner disagree so
  much that a duration would be negative, it is 0.
- A build that was cancelled while it waited has a pending time with its result and no executing time, though Drone
  stores an equal start and end for it. Those with ` + "`cicd_pipeline_result=\"\"`" + ` are the waits that
  ended with a start.
- Drone does not tell when an approval was given or when a dependency ended, so these waits are part of the pending
  times.
- When a repository is removed, Drone keeps its builds and goes on counting them. On the community edition the agent
  does so too as long as it knows them (` + "`state.path`" + `). The series of the repository end.
- On the community edition a stage that Drone left running or pending in a build that had ended when the agent first
  saw it is not seen. On the enterprise edition the end of a build is not told that was open at the agent's very first
  start and lies more than 75 builds back in its repository.
- After a restart ` + "`drone_build_finished_total`" + ` shows zeros at first, and the builds that ended meanwhile
  with the second poll, so that ` + "`increase()`" + ` sees them; histograms, whose series only begin then, cannot do
  that.
- On the community edition a build that waited for approval is asked about ever less often, after a sixtieth of the
  time it has waited and at most every two minutes; its approval is seen that much later.
`

func document(catalog []instruments.Instrument) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(head + "\n| Prometheus | OpenTelemetry | kind | unit | attributes |\n" +
		"| --- | --- | --- | --- | --- |\n")
	names := make([]string, len(catalog))
	for i, in := range catalog {
		name, err := prometheusName(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.Name, err)
		}
		names[i] = name
		fmt.Fprintf(&out, "| [`%s`](#%s) | `%s` | %s | %s | %s |\n",
			name, name, in.Name, in.Kind, code(in.Unit), attributes(in))
	}
	for i, in := range catalog {
		section(&out, names[i], in)
	}
	out.WriteString("\n" + tail)
	return out.Bytes(), nil
}

// section is what there is to know of one metric.
func section(out *bytes.Buffer, name string, in instruments.Instrument) {
	fmt.Fprintf(out, "\n## %s\n\n%s\n\n", name, in.Description)
	fmt.Fprintf(out, "- OpenTelemetry: `%s`, %s", in.Name, in.Kind)
	if in.Unit != "" {
		fmt.Fprintf(out, " in `%s`", in.Unit)
	}
	out.WriteString("\n")
	if len(in.Attributes) > 0 {
		fmt.Fprintf(out, "- Attributes: %s\n", attributes(in))
	}
	for _, optional := range in.Optional {
		fmt.Fprintf(out, "- With `%s`: %s\n", optional.Setting, code(string(optional.Key)))
	}
	if in.Setting != "" {
		fmt.Fprintf(out, "- Only where `%s` is true\n", in.Setting)
	}
	fmt.Fprintf(out, "- Absent: %s\n- Example: `%s`\n", in.Absent, in.Example)
}

// prometheusName is the name after UnderscoreEscapingWithSuffixes.
func prometheusName(in instruments.Instrument) (string, error) {
	kinds := map[instruments.Kind]otlptranslator.MetricType{
		instruments.Gauge:         otlptranslator.MetricTypeGauge,
		instruments.Counter:       otlptranslator.MetricTypeMonotonicCounter,
		instruments.UpDownCounter: otlptranslator.MetricTypeNonMonotonicCounter,
		instruments.Histogram:     otlptranslator.MetricTypeHistogram,
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	return namer.Build(otlptranslator.Metric{Name: in.Name, Unit: in.Unit, Type: kinds[in.Kind]})
}

func attributes(in instruments.Instrument) string {
	var out []string
	for _, key := range in.Attributes {
		out = append(out, code(string(key)))
	}
	return strings.Join(out, ", ")
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
