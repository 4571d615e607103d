package deploy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
	"drone-otel-agent/e2e/prometheus"
)

// configuration is the agent's, with histograms of one of the two kinds.
const configuration = "poll: {interval: 1s}\notlp: {interval: 1s}\nmetrics: {histogram: %s, events: true}\n"

// watched is an agent that is scraped as deploy/prometheus says, and pushes.
type watched struct {
	drone   *dronetest.Server
	agent   *process.Agent
	scraper *prometheus.Server
	inbox   *collector.Collector
}

func watch(t *testing.T, histogram string) watched {
	t.Helper()
	inbox := collector.Start(t)
	w := watchPushing(t, histogram, inbox.Endpoint())
	w.inbox = inbox
	return w
}

// watchPushing is watch with another receiver of the pushes.
func watchPushing(t *testing.T, histogram, endpoint string) watched {
	t.Helper()
	w := watched{drone: dronetest.New(dronetest.Enterprise)}
	w.drone.AddRepo(dronetest.Repo{Slug: "e2e/one", Active: true})
	web := httptest.NewServer(w.drone)
	t.Cleanup(web.Close)
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, histogram), 0o600); err != nil {
		t.Fatalf("writing the agent's configuration: %v", err)
	}
	address := port.Free(t)
	w.agent = process.Start(t, binary, []string{
		"DRONE_SERVER=" + web.URL, "DRONE_TOKEN=" + dronetest.DefaultToken,
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint,
	}, "--config.file="+file, "--web.listen-address="+address)
	w.scraper = prometheus.Start(t, scraping(t, address))
	w.await(t, "drone_running_jobs", 0)
	return w
}

// scraping is the configuration of deploy/prometheus, with what depends on the machine replaced: the address, the
// token's file and the pace.
func scraping(t *testing.T, address string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "prometheus.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "drone-token")
	if err := os.WriteFile(token, []byte(dronetest.DefaultToken), 0o600); err != nil {
		t.Fatalf("writing the token: %v", err)
	}
	changed := string(text)
	for before, after := range map[string]string{
		"localhost:9464":                     address,
		"credentials_file: drone-token":      "credentials_file: " + token,
		"scrape_interval: 15s":               "scrape_interval: 500ms\n  scrape_timeout: 500ms",
		"# scrape_native_histograms: true\n": "scrape_native_histograms: true\n",
	} {
		if strings.Count(changed, before) != 1 {
			t.Fatalf("prometheus.yaml does not have %q once", before)
		}
		changed = strings.Replace(changed, before, after, 1)
	}
	return changed
}

// await waits until a query has this one value.
func (w watched) await(t *testing.T, query string, want float64) {
	t.Helper()
	w.agent.Await(t, query, func() error {
		got, err := w.scraper.Value(t.Context(), query)
		if err == nil && got != want {
			err = fmt.Errorf("%s is %v, want %v", query, got, want)
		}
		return err
	})
}

// live lets builds end, run and wait, and Drone refuse the token at the end.
func (w watched) live(t *testing.T) {
	t.Helper()
	for i, status := range []string{dronetest.StatusSuccess, dronetest.StatusFailure, dronetest.StatusSuccess} {
		number := w.drone.CreateBuild("e2e/one", dronetest.BuildSpec{}).Number
		w.drone.StartStage("e2e/one", number, 1, "runner-1")
		w.drone.FinishBuild("e2e/one", number, status)
		// One after the other: a histogram's series begins with its first build, and rate() needs a second one.
		w.await(t, "sum(drone_build_finished_total)", float64(i+1))
	}
	running := w.drone.CreateBuild("e2e/one", dronetest.BuildSpec{}).Number
	w.drone.StartStage("e2e/one", running, 1, "runner-1")
	w.drone.CreateBuild("e2e/one", dronetest.BuildSpec{})
	w.await(t, "drone_running_jobs + drone_pending_jobs", 2)
	w.drone.Intercept(unauthorized())
	w.await(t, `sum(drone_up) + clamp_max(sum(increase(cicd_system_errors_total{error_type="401"}[1m])), 1)`, 1)
	w.agent.Await(t, "pushes of errors that grow in number", func() error {
		return grows(w.inbox.Pushes(), "cicd.system.errors")
	})
	w.drone.Intercept(nil)
	w.await(t, "drone_up", 1)
}

// refuse lets the Collector refuse two pushes.
func (w watched) refuse(t *testing.T) {
	t.Helper()
	w.inbox.Refuse(true)
	const failed = `otel_sdk_exporter_metric_data_point_exported_total{error_type!=""}`
	w.await(t, "sum(increase("+failed+"[1m])) > bool 0", 1)
	w.inbox.Refuse(false)
}

// grows tells that pushes have a counter with several values. Pushes come less often than scrapes: what a scrape saw
// grow may have its last value in the first push.
func grows(pushes []collector.Push, name string) error {
	values := map[int64]bool{}
	for _, push := range pushes {
		counter, err := push.Metric(name)
		if err != nil {
			continue // not yet
		}
		for _, point := range counter.Sum().DataPoints().All() {
			values[point.IntValue()] = true
		}
	}
	if len(values) < 2 {
		return fmt.Errorf("the values of %s are %v, want several", name, values)
	}
	return nil
}

// unauthorized makes Drone refuse the agent's polls, and not the scrapes that come with the same token.
func unauthorized() dronetest.Interceptor {
	return dronetest.Status(http.StatusUnauthorized, `{"message":"Unauthorized"}`, dronetest.On("/api/queue"))
}

// pushed is a Prometheus that got over OTLP what the other one scraped.
func (w watched) pushed(t *testing.T) *prometheus.Server {
	t.Helper()
	// What the push told last must be as new as what was scraped last.
	refused := `increase(cicd_system_errors_total{error_type="401"}[1m]) > 0 and on (job, instance) drone_up == 1`
	var receiver *prometheus.Server
	w.agent.Await(t, "the push of all that was scraped", func() error {
		receiver = prometheus.Start(t, "")
		var pushes []pmetric.Metrics
		for _, push := range w.inbox.Pushes() {
			pushes = append(pushes, push.Metrics)
		}
		receiver.Receive(t, pushes...)
		_, err := receiver.Value(t.Context(), refused)
		return err
	})
	return receiver
}

// Metrics that the rules select and that there are not: what is added up every five minutes is not there so soon, and
// a scrape's limit nobody has asked for; with explicit histograms there are no exponential ones; and what Prometheus
// tells of a scrape there is only where it scrapes.
var (
	notYet = []string{
		"instance_status:drone_build_finished:increase1d", "instance:drone_build_success_per_finished:ratio_increase1d",
		"scrape_sample_limit",
	}
	explicitOnly = withRate("cicd_pipeline_run_duration_seconds", "instance_state")
	nativeOnly   = withRate("cicd_pipeline_run_duration_seconds_bucket", "instance_state_le")
	onlyScraped  = []string{"up", "scrape_samples_post_metric_relabeling"}
)

// withRate is a metric, and the record of its rate.
func withRate(name, level string) []string { return []string{name, level + ":" + name + ":rate5m"} }

// Prometheus knows the metrics that the rules select, by the names and labels that they have there, whichever way they
// came and of whichever kind the histograms are; and can evaluate every rule.
func TestRulesFindTheirMetrics(t *testing.T) {
	t.Parallel()
	for histogram, other := range map[string][]string{"explicit": explicitOnly, "exponential": nativeOnly} {
		t.Run(histogram, func(t *testing.T) {
			t.Parallel()
			w := watch(t, histogram)
			w.refuse(t)
			w.live(t)
			check(t, w.scraper, slices.Concat(notYet, other))
			check(t, w.pushed(t), slices.Concat(notYet, other, onlyScraped))
			if code := w.agent.Terminate(t); code != 0 {
				t.Errorf("after SIGTERM the agent ended with exit code %d, want 0", code)
			}
		})
	}
}

// check puts the rules and all that they select to Prometheus.
func check(t *testing.T, prom *prometheus.Server, absent []string) {
	t.Helper()
	rules := readRules(t)
	record(t, prom, rules)
	for _, r := range rules {
		if _, remarks, err := prom.Ask(t.Context(), r.Expr); err != nil || len(remarks) > 0 {
			t.Errorf("%s: %v, Prometheus remarks %q", r.name(), err, remarks)
		}
		for _, selector := range selectors(t, r.Expr) {
			name, _ := exactName(selector)
			series, err := prom.Query(t.Context(), selector.String())
			if err != nil || (len(series) == 0) != slices.Contains(absent, name) {
				t.Errorf("%s: %s answers %v (%v)", r.name(), selector, series, err)
			}
		}
	}
	if complaints := prom.Warnings(); len(complaints) != 0 {
		t.Errorf("Prometheus complains: %q", complaints)
	}
}

// record evaluates the recording rules once.
func record(t *testing.T, prom *prometheus.Server, rules []rule) {
	t.Helper()
	for _, r := range rules {
		if r.Record == "" {
			continue
		}
		if err := prom.Record(t.Context(), r.Record, r.Expr); err != nil {
			t.Fatalf("evaluating %s: %v", r.Record, err)
		}
	}
}

// selectors are those of a query, for now.
func selectors(t *testing.T, query string) []*parser.VectorSelector {
	t.Helper()
	parsed, err := prometheus.Parse(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var all []*parser.VectorSelector
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, is := node.(*parser.VectorSelector); is {
			selector.OriginalOffset, selector.Offset = 0, 0
			all = append(all, selector)
		}
		return nil
	})
	return all
}

// What Prometheus says of an agent whose token is refused, scraped and pushed: the alert of the token has a cause, that
// of Drone being away has none.
func TestTokenRefusedIsToldFromUnreachable(t *testing.T) {
	t.Parallel()
	w := watch(t, "explicit")
	w.await(t, "drone_up", 1)
	rules := readRules(t)
	var refused, unreachable string
	for _, r := range rules {
		switch r.Alert {
		case "DroneTokenRefused":
			refused = r.Expr
		case "DroneUnreachable":
			unreachable = r.Expr
		}
	}
	hold := func(what string, want float64, query, other string) {
		t.Helper()
		w.agent.Await(t, what, func() error {
			record(t, w.scraper, rules)
			if _, err := w.scraper.Value(t.Context(), query); err != nil {
				return err
			}
			series, err := w.scraper.Query(t.Context(), other)
			if err == nil && len(series) > 0 {
				err = fmt.Errorf("and %v at the same time", series)
			}
			return err
		})
		if age, err := w.scraper.Value(t.Context(), query); err != nil || age < 0 || age > want {
			t.Errorf("%s: the age is %v (%v), want up to %v", what, age, err, want)
		}
	}
	began := time.Now()
	w.drone.Intercept(dronetest.Cut(""))
	hold("Drone to be unreachable", time.Minute.Seconds(), unreachable, refused)
	w.drone.Intercept(unauthorized())
	hold("the token to be refused", (time.Since(began) + time.Minute).Seconds(), refused, unreachable)
	if code := w.agent.Terminate(t); code != 0 {
		t.Errorf("after SIGTERM the agent ended with exit code %d, want 0", code)
	}
}
