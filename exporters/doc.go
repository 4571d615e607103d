// Package exporters carries what OpenTelemetry instruments hold to those who want it, both ways at once:
// Prometheus pulls it from an HTTP endpoint behind a guard, and OTLP/gRPC pushes it to an OpenTelemetry
// Collector. It knows no metric by name but those of the Go runtime, the process, the build and its own doing.
//
// # The parts
//
//   - [NewProvider] makes the [Provider]: one MeterProvider with two readers. [Provider.Meter] and
//     [Provider.MeterProvider] are what instruments are made with, [Provider.Handler] is the Prometheus
//     exposition, [Provider.WriteText] prints the instruments once, [Provider.PushStatus] tells how the
//     push is doing, [Provider.Flush] pushes now and [Provider.Shutdown] pushes for the last time.
//   - [OTLPConfig] says where to push; [OTLPConfig.Validate] finds every mistake in it and in the
//     standard OTEL_EXPORTER_OTLP_* variables, [OTLPConfig.Target] tells where the metrics go in the end,
//     [CheckOTLP] tries it with an empty export.
//   - A [Guard] decides who may read: [NewDroneGuard] asks Drone through an [AskFunc], [NewTokenGuard]
//     knows tokens of its own, [OpenGuard] lets everyone in.
//   - [NewServer] makes the HTTP [Server]; then [Server.Listen], [Server.Serve], [Server.Shutdown].
//     Health at /-/healthy, readiness at /-/ready. At / is what a [Front] shows, behind the same guard; people
//     log in with a token, and from then on their browser has the name of a session instead.
//
// # The order of things
//
// Listen before anything else starts, so that an address in use ends the program at once. At the end shut
// the server down first (running scrapes finish), then the provider (the last values are pushed): after
// Provider.Shutdown a scrape would show nothing but the runtime.
//
// # Names
//
// Prometheus names follow from OpenTelemetry's by UnderscoreEscapingWithSuffixes, without scope labels;
// target_info carries the resource. The exposition is this package's own, because the SDK's Prometheus
// exporter takes about twice as long as client_golang does for the same series; a test holds it to the same
// output, and BenchmarkScrape shows the time. Exemplars, where OTEL_METRICS_EXEMPLAR_FILTER asks for them, go
// out over OTLP only.
//
// The go_*, process_*, promhttp_* and drone_otel_agent_build_info series come from client_golang's own
// collectors, under the names Drone's endpoint has, and go out over OTLP under the same names. They are
// cumulative there whatever temporality is chosen: the bridge knows no other.
//
// Where there is a push, otel_sdk_exporter_metric_data_point_exported_total counts what became of it, as the semantic
// conventions want it. While a push fails only a scrape shows that.
//
// # What the SDK says through its globals
//
// This package sets none of OpenTelemetry's globals. A few things still reach the global error handler or
// logger because the libraries offer no other way: an error a callback returns at a push (it also costs the
// export of that interval, so callbacks should not return errors; a scrape shows the rest, and logs it),
// instruments that contradict each other, values of OTEL_RESOURCE_ATTRIBUTES that are not percent-encoded
// properly, and "context canceled" where an interval ends at the very moment of the shutdown. A program that
// wants those in its log calls otel.SetErrorHandler and otel.SetLogger once, in main.
//
// # Secrets
//
// Tokens and header values are secret.Text; the guard keeps digests only. None is in a log line, an
// error, a page or a metric. Faulty OTEL_EXPORTER_OTLP_* variables are refused before the library reads
// them, because it would print a malformed header with its value.
package exporters
