package exporters

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	envPrefix        = "OTEL_EXPORTER_OTLP_"
	envMetricsPrefix = "OTEL_EXPORTER_OTLP_METRICS_"
)

// otlpEnv finds a standard variable, the one for metrics first; both empty where there is none.
func otlpEnv(what string) (name, value string) {
	for _, name := range []string{envMetricsPrefix + what, envPrefix + what} {
		if value := strings.TrimSpace(os.Getenv(name)); value != "" {
			return name, value
		}
	}
	return "", ""
}

// checkOTLPEnv finds what the library would pass over, with a line on stderr that it writes itself and that
// for a malformed header or endpoint shows the value. A telemetry that silently goes elsewhere, unencrypted
// or without its credential is worse than a start that fails.
func checkOTLPEnv() []error {
	checks := map[string]func(string) error{
		"OTEL_METRIC_EXPORT_INTERVAL":               checkEnvMilliseconds,
		"OTEL_METRIC_EXPORT_TIMEOUT":                checkEnvMilliseconds,
		envMetricsPrefix + "TEMPORALITY_PREFERENCE": checkEnvWord("cumulative", "delta", "lowmemory"),
		envMetricsPrefix + "DEFAULT_HISTOGRAM_AGGREGATION": checkEnvWord(
			"explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
	}
	for _, prefix := range []string{envPrefix, envMetricsPrefix} {
		checks[prefix+"ENDPOINT"] = checkEnvEndpoint
		checks[prefix+"HEADERS"] = checkEnvHeaders
		checks[prefix+"TIMEOUT"] = checkEnvMilliseconds
		checks[prefix+"COMPRESSION"] = checkEnvCompression
		for _, file := range []string{"CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
			checks[prefix+file] = checkEnvFile
		}
	}
	var mistakes []error
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		value := strings.TrimSpace(os.Getenv(name))
		if value == "" {
			continue
		}
		if err := checks[name](value); err != nil {
			mistakes = append(mistakes, fmt.Errorf("environment variable %s: %w", name, err))
		}
	}
	return mistakes
}

func checkEnvEndpoint(value string) error {
	if _, err := url.Parse(value); err != nil {
		return errors.New("it is not a URL: write http://host:4317 (without TLS) or https://host:4317")
	}
	return nil // the rest counts only where the variable is used
}

func checkEnvHeaders(value string) error {
	for i, pair := range strings.Split(value, ",") {
		name, raw, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !found {
			return fmt.Errorf("entry %d is not of the form name=value", i+1)
		}
		text, err := url.PathUnescape(raw)
		if err != nil {
			return fmt.Errorf("entry %d: its value is not percent-encoded properly", i+1)
		}
		if err := checkHeader(name, strings.TrimSpace(text)); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return nil
}

// checkHeader holds a header against what gRPC takes as metadata. The value is not repeated, nor is a bad
// name: "Authorization: Basic c2VjcmV0=" has the credential in what stands before the first =.
func checkHeader(name, value string) error {
	const others = "0123456789-_."
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(others, r)
	}
	switch {
	case name == "" || strings.ContainsFunc(name, bad):
		return errors.New("its name is none for a gRPC header: letters, digits, - _ . only")
	case strings.HasPrefix(strings.ToLower(name), "grpc-"):
		return fmt.Errorf("%q: names that begin with grpc- belong to gRPC", name)
	case !strings.HasSuffix(name, "-bin") &&
		strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Errorf("the value of %q has characters that are not printable ASCII", name)
	}
	return nil
}

func checkEnvMilliseconds(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n <= 0 {
		return fmt.Errorf("%q: a positive number of milliseconds is needed", value)
	}
	return nil
}

func checkEnvWord(words ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(words, strings.ToLower(value)) {
			return nil
		}
		return fmt.Errorf("%q: write %s", value, strings.Join(words, " or "))
	}
}

// checkEnvCompression is strict about case because the library is: it takes GZIP for none.
func checkEnvCompression(value string) error {
	if value != "gzip" && value != "none" {
		return fmt.Errorf("%q: write gzip or none", value)
	}
	return nil
}

func checkEnvFile(path string) error {
	_, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own configuration
	return err
}
