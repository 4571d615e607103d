package instruments

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var start = time.Unix(1_795_350_000, 0)

// after is some seconds after the start.
func after(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// rig is the instruments with a reader.
type rig struct {
	*Instruments
	reader   *metric.ManualReader
	snapshot *Snapshot
	settings Settings
	now      time.Time
}

// newRig registers the instruments; change may alter the options.
func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	r := &rig{
		reader: metric.NewManualReader(), now: start,
		settings: Settings{StaleAfter: time.Minute, RepositoriesLimit: 2, Loaded: start},
	}
	opts := Options{
		Newest: func() *Snapshot { return r.snapshot }, Now: func() time.Time { return r.now },
		Settings: func() Settings { return r.settings },
	}
	if change != nil {
		change(&opts)
	}
	provider := metric.NewMeterProvider(metric.WithReader(r.reader), metric.WithCardinalityLimit(-1),
		metric.WithExemplarFilter(exemplar.AlwaysOffFilter)) // as the agent has it
	var err error
	if r.Instruments, err = Register(provider.Meter("test"), opts); err != nil {
		t.Fatal(err)
	}
	return r
}

// everything switches all on.
func everything(o *Options) {
	o.Stages, o.Steps, o.Events, o.QueueLabels = true, true, true, []string{"gpu", "pool"}
}

// point is one value of one series.
type point struct {
	name       string
	attributes attribute.Set
	value      fmt.Stringer
}

// number is the value of a counter or gauge, total that of a histogram.
type (
	number[N int64 | float64] struct{ value N }
	total                     struct {
		sum   float64
		count uint64
	}
)

func (n number[N]) String() string { return fmt.Sprint(n.value) }
func (t total) String() string     { return fmt.Sprintf("%v of %v", t.sum, t.count) }

func (p point) String() string {
	var pairs []string
	for _, kv := range p.attributes.ToSlice() {
		pairs = append(pairs, string(kv.Key)+"="+kv.Value.String())
	}
	return fmt.Sprintf("%s{%s} %s", p.name, strings.Join(pairs, " "), p.value)
}

// points collects, and gives all there is.
func (r *rig) points(t testing.TB) []point {
	t.Helper()
	var all []point
	for _, m := range r.metrics(t) {
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			all = append(all, numbers(m.Name, data.DataPoints)...)
		case metricdata.Gauge[float64]:
			all = append(all, numbers(m.Name, data.DataPoints)...)
		case metricdata.Sum[int64]:
			all = append(all, numbers(m.Name, data.DataPoints)...)
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				all = append(all, point{m.Name, p.Attributes, total{p.Sum, p.Count}})
			}
		default:
			t.Fatalf("%s is a %T", m.Name, data)
		}
	}
	return all
}

func numbers[N int64 | float64](name string, points []metricdata.DataPoint[N]) []point {
	var all []point
	for _, p := range points {
		all = append(all, point{name, p.Attributes, number[N]{p.Value}})
	}
	return all
}

func (r *rig) metrics(t testing.TB) []metricdata.Metrics {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	var all []metricdata.Metrics
	for _, scope := range data.ScopeMetrics {
		all = append(all, scope.Metrics...)
	}
	return all
}

// lines are the points of the instruments whose names begin with one of the prefixes, in order.
func (r *rig) lines(t testing.TB, prefixes ...string) []string {
	t.Helper()
	var out []string
	for _, p := range r.points(t) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(p.name, prefix) {
				out = append(out, p.String())
			}
		}
	}
	sort.Strings(out)
	return out
}

// fullSnapshot knows everything, of two repositories and the rest.
func fullSnapshot() *Snapshot {
	return &Snapshot{
		Polled: start, PollDuration: 1250 * time.Millisecond, Up: true, Fresh: start,
		Server:     &Server{Version: "2.25.0", Edition: "enterprise"},
		BuildCount: Known(212), UserCount: Known(7), RepoCount: Known(13),
		PendingBuilds: Known(5), RunningBuilds: Known(2), PendingJobs: Known(6), RunningJobs: Known(2),
		Repositories: &Repositories{Active: 13, Inactive: 1, Unreachable: 2, Folded: 3},
		Repos: []Repo{
			{
				Name: "octocat/hello", Pending: Known(2), Running: Known(0),
				Finished: map[string]int64{"success": 3, "killed": 1},
				Last:     &LastBuild{Success: true, Duration: 90 * time.Second, Finished: after(-600)},
			},
			{Name: "octocat/quiet"},
			{Name: Other, Pending: Known(1), Running: Known(2), Finished: map[string]int64{"failure": 4}},
		},
		Queue: []Platform{
			{OS: "linux", Arch: "amd64", Type: "docker", Labels: []string{"", "a"}, Pending: 4, Running: 2, Oldest: after(-30)},
			{OS: "linux", Arch: "amd64", Type: "docker", Labels: []string{"yes", "a"}, Pending: 2, Oldest: after(-90)},
			{OS: "linux", Arch: "arm64", Type: "docker", Labels: []string{"", ""}},
		},
		BusyWorkers: Known(2),
		Oldest:      &Oldest{Pending: after(-90), Running: after(-45)},
	}
}
