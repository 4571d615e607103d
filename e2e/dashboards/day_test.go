package dashboards

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/collector"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
	"drone-otel-agent/e2e/prometheus"
)

// How the day passes: in strides, and the agents poll between two of them. The simulator makes up for an hour at most.
const (
	dayLength = 24 * time.Hour
	stride    = 45 * time.Minute
)

// configuration is the agents': histograms of one of the two kinds, and the steps, which are off by default. With
// more repositories, the scrapes of an agent that the race detector watches would take too long.
const configuration = `
drone: {max_requests_per_second: 1000}
poll: {interval: 1s}
metrics: {histogram: %s, steps: true, repositories: {limit: 8}}
otlp: {interval: 2s}
`

// watcher is an agent with who hears from it.
type watcher struct {
	agent   *process.Agent
	scraper *prometheus.Server
	inbox   *collector.Collector
}

// Every query of every panel has an answer, whichever way the metrics came to Prometheus and of whichever kind the
// histograms are, and the answer has the labels that the legend names. So has every query of the documents.
func TestEveryPanelShowsSomething(t *testing.T) {
	t.Parallel()
	drone := newDrone(t)
	watchers := map[string]watcher{}
	for _, histogram := range []string{"explicit", "exponential"} {
		watchers[histogram] = drone.watch(t, histogram)
	}
	drone.letTheDayPass(t, watchers)
	for histogram, w := range watchers {
		t.Run(histogram+" scraped", func(t *testing.T) {
			checkAnswers(t, w.scraper, "drone")
			checkDocuments(t, w.scraper, histogram, "drone")
		})
		// The last push, at the end, has what the last scrape has.
		if code := w.agent.Terminate(t); code != 0 {
			t.Errorf("after SIGTERM the agent ended with exit code %d, want 0", code)
		}
		t.Run(histogram+" pushed", func(t *testing.T) {
			receiver := prometheus.Start(t, "")
			var pushes []pmetric.Metrics
			for _, push := range w.inbox.Pushes() {
				pushes = append(pushes, push.Metrics)
			}
			receiver.Receive(t, pushes...)
			checkAnswers(t, receiver, "drone-otel-agent")
			checkDocuments(t, receiver, histogram, "drone-otel-agent")
		})
	}
}

// drone is a busy Drone server whose clock is behind the real one.
type drone struct {
	*dronetest.Server
	simulator *dronetest.Simulator
	url       string
	behind    *atomic.Int64
}

func newDrone(t *testing.T) drone {
	t.Helper()
	d := drone{behind: new(atomic.Int64)}
	d.behind.Store(int64(dayLength))
	d.Server = dronetest.New(dronetest.Enterprise, dronetest.WithClock(func() time.Time {
		return time.Now().Add(-time.Duration(d.behind.Load()))
	}))
	d.simulator = dronetest.NewSimulator(d.Server, 1)
	web := httptest.NewServer(d.Server)
	t.Cleanup(web.Close)
	d.url = web.URL
	return d
}

// watch starts an agent that is scraped and pushes.
func (d drone) watch(t *testing.T, histogram string) watcher {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, histogram), 0o600); err != nil {
		t.Fatalf("writing the agent's configuration: %v", err)
	}
	w := watcher{inbox: collector.Start(t)}
	address := port.Free(t)
	env := []string{
		"DRONE_SERVER=" + d.url, "DRONE_TOKEN=" + dronetest.DefaultToken,
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + w.inbox.Endpoint(),
	}
	w.agent = process.Start(t, binary, env, "--config.file="+file, "--web.listen-address="+address)
	w.scraper = prometheus.Start(t, fmt.Sprintf(`
scrape_configs:
  - job_name: drone
    scrape_interval: 2s
    scrape_timeout: 2s
    scrape_native_histograms: true
    bearer_token: %s
    static_configs:
      - targets: [%q]
`, dronetest.DefaultToken, address))
	d.polled(t, w)
	return w
}

// polled waits until a poll that began after this moment has been scraped.
func (d drone) polled(t *testing.T, w watcher) {
	t.Helper()
	began := float64(time.Now().UnixMilli()) / 1000
	w.agent.Await(t, "a poll", func() error {
		last, err := w.scraper.Value(t.Context(), "drone_agent_poll_last_success_timestamp_seconds")
		if err == nil && last < began {
			err = fmt.Errorf("the last one began at %v, not after %v", last, began)
		}
		return err
	})
}

// letTheDayPass moves the clock to the present. In the middle of the day Drone is out of reach for a while and then
// refuses the token, and the Collectors refuse the pushes; at the end every default branch turns red.
func (d drone) letTheDayPass(t *testing.T, watchers map[string]watcher) {
	t.Helper()
	for left := dayLength - stride; left >= 0; left -= stride {
		d.behind.Store(int64(left))
		d.simulator.Step()
		for _, w := range watchers {
			d.polled(t, w)
		}
		if left == dayLength/2 {
			d.beAway(t, watchers)
			d.refuse(t, watchers)
		}
	}
	d.turnRed(t, watchers)
}

// turnRed lets a build of each default branch fail.
func (d drone) turnRed(t *testing.T, watchers map[string]watcher) {
	t.Helper()
	for _, repo := range d.Repos() {
		if repo.Active {
			d.FinishBuild(repo.Slug, d.CreateBuild(repo.Slug, dronetest.BuildSpec{}).Number, dronetest.StatusFailure)
		}
	}
	for _, w := range watchers {
		w.becomes(t, "sum(drone_repo_last_build_success)", 0)
	}
}

// becomes waits until a query of one series has the value.
func (w watcher) becomes(t *testing.T, query string, want float64) {
	t.Helper()
	w.agent.Await(t, fmt.Sprintf("%s to be %v", query, want), func() error {
		got, err := w.scraper.Value(t.Context(), query)
		if err == nil && got != want {
			err = fmt.Errorf("it is %v", got)
		}
		return err
	})
}

// beAway cuts every connection, and lets the Collectors refuse what is pushed, until all agents have noticed.
func (d drone) beAway(t *testing.T, watchers map[string]watcher) {
	t.Helper()
	d.Intercept(dronetest.Cut(""))
	for _, w := range watchers {
		w.inbox.Refuse(true)
	}
	const refused = `otel_sdk_exporter_metric_data_point_exported_total{error_type!=""}`
	for _, w := range watchers {
		w.becomes(t, "drone_up", 0)
		w.becomes(t, "count(increase("+refused+"[10m]) > 0)", 1)
		w.inbox.Refuse(false)
	}
	d.Intercept(nil)
}

// refuse lets Drone refuse the token of the polls, and not that of the scrapes, until two polls of each agent failed.
func (d drone) refuse(t *testing.T, watchers map[string]watcher) {
	t.Helper()
	d.Intercept(dronetest.Status(http.StatusUnauthorized, `{"message":"Unauthorized"}`, dronetest.On("/api/queue")))
	for _, w := range watchers {
		w.becomes(t, `sum(cicd_system_errors_total{error_type="401"}) > bool 1`, 1)
	}
	d.Intercept(nil)
}

// checkAnswers puts every question to Prometheus.
func checkAnswers(t *testing.T, prom *prometheus.Server, job string) {
	t.Helper()
	with := chosen(job, busiest(t, prom))
	for _, q := range questions(t) {
		expr := with.in(q.expr)
		if !q.now { // at any point of the graph
			expr = "last_over_time((" + expr + ")[10m:5s])"
		}
		series, remarks, err := prom.Ask(t.Context(), expr)
		switch {
		case err != nil:
			t.Errorf("%s: %s: %v", q.dashboard, q.panel, err)
		case len(remarks) > 0:
			t.Errorf("%s: %s: %s: Prometheus remarks %q", q.dashboard, q.panel, expr, remarks)
		case onlyScraped(q) && job != "drone":
			if len(series) > 0 {
				t.Errorf("%s: %s: %s answers %v, want nothing where nobody scrapes", q.dashboard, q.panel, expr, series)
			}
		case !shows(series):
			t.Errorf("%s: %s: no data: %s answers %v", q.dashboard, q.panel, expr, series)
		default:
			checkLabels(t, q, series)
		}
	}
	if complaints := prom.Warnings(); len(complaints) != 0 {
		t.Errorf("Prometheus complains: %q", complaints)
	}
}

// onlyScraped tells that Prometheus itself makes the series when it scrapes.
func onlyScraped(q question) bool { return strings.Contains(q.expr, "(up{") }

// busiest is the repository with the most builds of those that have series of their own.
func busiest(t *testing.T, prom *prometheus.Server) string {
	t.Helper()
	top, err := prom.Query(t.Context(),
		`topk(1, sum by (cicd_pipeline_name) (drone_build_finished_total{cicd_pipeline_name!="_other"}))`)
	if err != nil || len(top) != 1 {
		t.Fatalf("the busiest repository is %v (%v), want one", top, err)
	}
	return top[0].Metric.Get("cicd_pipeline_name")
}

// shows tells whether there is anything to draw.
func shows(series promql.Vector) bool {
	for _, one := range series {
		if one.H != nil && one.H.Count > 0 || one.H == nil && !math.IsNaN(one.F) {
			return true
		}
	}
	return false
}

// checkLabels holds that there are series with the labels that the legend names.
func checkLabels(t *testing.T, q question, series promql.Vector) {
	t.Helper()
	for _, label := range q.labels {
		named := false
		for _, one := range series {
			named = named || one.Metric.Get(label) != ""
		}
		if !named {
			t.Errorf("%s: %s: no series has the label %s of the legend: %v", q.dashboard, q.panel, label, series)
		}
	}
}
