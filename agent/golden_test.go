package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricpb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); go test ./agent -update writes it anew:\n%s", path, diff)
	}
}

// fullSnapshot knows everything.
func fullSnapshot(at time.Time) *instruments.Snapshot {
	return &instruments.Snapshot{
		Polled: at, PollDuration: 1250 * time.Millisecond, Up: true, Fresh: at,
		Server:     &instruments.Server{Version: "2.25.0", Edition: "enterprise"},
		BuildCount: instruments.Known(212), UserCount: instruments.Known(7), RepoCount: instruments.Known(13),
		PendingBuilds: instruments.Known(5), RunningBuilds: instruments.Known(2),
		PendingJobs: instruments.Known(6), RunningJobs: instruments.Known(0),
		Repositories: &instruments.Repositories{Active: 13, Inactive: 1, Folded: 2},
		BusyWorkers:  instruments.Known(2),
		Oldest:       &instruments.Oldest{Pending: at.Add(-time.Minute), Running: at.Add(-time.Hour)},
		Repos: []instruments.Repo{
			{
				Name: "org0/service-00001", Pending: instruments.Known(1), Running: instruments.Known(0),
				Finished: map[string]int64{"success": 3, "killed": 1},
				Last:     &instruments.LastBuild{Success: true, Duration: 90 * time.Second, Finished: at.Add(-time.Hour)},
			},
			{Name: instruments.Other, Pending: instruments.Known(4), Running: instruments.Known(2)},
		},
		Queue: []instruments.Platform{
			{OS: "linux", Arch: "amd64", Type: "docker", Pending: 6, Oldest: at.Add(-time.Minute)},
			{OS: "windows", Arch: "amd64", Type: "docker"},
		},
	}
}

// shown makes a provider whose instruments show a snapshot.
func shown(t *testing.T, s *instruments.Snapshot, now time.Time, otlp *exporters.OTLPConfig) *exporters.Provider {
	t.Helper()
	provider, err := exporters.NewProvider(t.Context(), exporters.ProviderConfig{Version: "1.2.3", OTLP: otlp})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) })
	told, err := instruments.Register(provider.Meter("drone-otel-agent"), instruments.Options{
		Newest: func() *instruments.Snapshot { return s },
		Settings: func() instruments.Settings {
			return instruments.Settings{StaleAfter: time.Minute, RepositoriesLimit: 11, Loaded: now.Add(-time.Hour)}
		},
		Now: func() time.Time { return now }, Stages: true, Steps: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if s != nil && s.Repos != nil {
		tell(told)
	}
	return provider
}

// tell tells of one build of each kind that differs.
func tell(told *instruments.Instruments) {
	at := goldenTime
	build := instruments.FinishedBuild{
		ID: 9, Number: 4, Repository: "org0/service-00001", Slug: "org0/service-00001", Status: "success",
		Event: "push", DefaultBranch: true, Created: at, Started: at.Add(5 * time.Second), Finished: at.Add(95 * time.Second),
		Stages: []instruments.FinishedStage{{
			Name: "default", Type: "docker", OS: "linux", Arch: "amd64", Status: "success",
			Created: at, Started: at.Add(5 * time.Second), Stopped: at.Add(95 * time.Second),
			Steps: []instruments.FinishedStep{{
				Name: "test", Status: "success", Started: at.Add(6 * time.Second), Stopped: at.Add(90 * time.Second),
			}},
		}},
	}
	told.Finished(build)
	failed := build
	failed.Status, failed.ErrorType, failed.DefaultBranch, failed.Stages = "failure", "step", false, nil
	told.Finished(failed)
	told.RequestFailed("503")
}

// text is what a scrape of the instruments shows.
func text(t *testing.T, s *instruments.Snapshot, now time.Time) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := shown(t, s, now, nil).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var goldenTime = time.Unix(1_795_359_424, 0)

func TestGoldenPrometheus(t *testing.T) {
	at := goldenTime
	golden(t, "full.prom", text(t, fullSnapshot(at), at))
	golden(t, "stale.prom", text(t, fullSnapshot(at), at.Add(61*time.Second)))

	unknown := &instruments.Snapshot{Polled: at, Up: true, Fresh: at}
	golden(t, "unknown.prom", text(t, unknown, at))

	failed := fullSnapshot(at)
	failed.Up = false
	golden(t, "failed.prom", text(t, failed, at.Add(30*time.Second)))

	if got := text(t, nil, at); len(got) > 0 {
		t.Errorf("before the first poll there is %s", got)
	}
}

// otlpReceiver keeps the first push.
type otlpReceiver struct {
	colmetricpb.UnimplementedMetricsServiceServer
	got chan *colmetricpb.ExportMetricsServiceRequest
}

func (r *otlpReceiver) Export(_ context.Context, req *colmetricpb.ExportMetricsServiceRequest,
) (*colmetricpb.ExportMetricsServiceResponse, error) {
	select {
	case r.got <- req:
	default:
	}
	return &colmetricpb.ExportMetricsServiceResponse{}, nil
}

func TestGoldenOTLP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	receiver := &otlpReceiver{got: make(chan *colmetricpb.ExportMetricsServiceRequest, 1)}
	server := grpc.NewServer()
	colmetricpb.RegisterMetricsServiceServer(server, receiver)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	provider := shown(t, fullSnapshot(goldenTime), goldenTime, &exporters.OTLPConfig{
		Endpoint: "http://" + listener.Addr().String(), Interval: time.Hour,
	})
	if err := provider.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	request := <-receiver.got
	for _, resource := range request.GetResourceMetrics() {
		resource.Resource = nil // of this machine; tested where it is made
		var own []*metricpb.ScopeMetrics
		for _, scope := range resource.GetScopeMetrics() {
			if scope.GetScope().GetName() == "drone-otel-agent" {
				sortPoints(scope)
				own = append(own, scope)
			}
		}
		resource.ScopeMetrics = own
	}
	raw, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	raw = regexp.MustCompile(`"(startTimeUnixNano|timeUnixNano)":\s*"\d+"`).ReplaceAll(raw, []byte(`"$1":"0"`))
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	golden(t, "full.otlp.json", append(indented.Bytes(), '\n'))
}

// sortPoints puts the data points of a metric in the order of their attributes; the SDK has none.
func sortPoints(scope *metricpb.ScopeMetrics) {
	for _, m := range scope.GetMetrics() {
		byAttributes(m.GetGauge().GetDataPoints())
		byAttributes(m.GetSum().GetDataPoints())
		byAttributes(m.GetHistogram().GetDataPoints())
	}
}

func byAttributes[P interface{ GetAttributes() []*commonpb.KeyValue }](points []P) {
	key := func(p P) string {
		var out string
		for _, kv := range p.GetAttributes() {
			out += kv.GetKey() + "=" + kv.GetValue().GetStringValue() + "\n"
		}
		return out
	}
	sort.Slice(points, func(i, j int) bool { return key(points[i]) < key(points[j]) })
}

// TestCatalogMatchesScrape holds the names, types and labels of a scrape against METRICS.md, which is written from
// the catalogue.
func TestCatalogMatchesScrape(t *testing.T) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text(t, fullSnapshot(goldenTime), goldenTime)))
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedMetrics(t)
	for name, family := range families {
		doc, there := documented[name]
		if !there {
			t.Errorf("%s is scraped and not in METRICS.md", name)
			continue
		}
		got := strings.ToLower(family.GetType().String())
		if updown := got == "gauge" && doc.kind == "updown counter"; got != doc.kind && !updown {
			t.Errorf("%s is a %s, METRICS.md says %s", name, got, doc.kind)
		}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if !slices.Contains(doc.labels, label.GetName()) {
					t.Errorf("%s has the label %s, METRICS.md says %v", name, label.GetName(), doc.labels)
				}
			}
		}
	}
	if len(families) != len(documented) || len(families) != len(instruments.Catalog()) {
		t.Errorf("%d metrics are scraped, %d in METRICS.md, %d in the catalogue",
			len(families), len(documented), len(instruments.Catalog()))
	}
}

// documented is a metric as METRICS.md has it.
type documented struct {
	kind   string
	labels []string
}

func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "METRICS.md"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]documented{}
	for _, line := range strings.Split(string(raw), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 7 || !strings.Contains(cells[1], "](#") {
			continue
		}
		name := strings.Split(cells[1], "`")[1]
		doc := documented{kind: strings.TrimSpace(cells[3])}
		for _, word := range regexp.MustCompile("`[^`]+`").FindAllString(cells[5], -1) {
			doc.labels = append(doc.labels, strings.ReplaceAll(strings.Trim(word, "`"), ".", "_"))
		}
		out[name] = doc
	}
	return out
}

// TestPromlint allows the one thing that Drone's own names do, and one of the conventions: a gauge that ends in
// _count.
func TestPromlint(t *testing.T) {
	problems, err := promlint.New(bytes.NewReader(text(t, fullSnapshot(goldenTime), goldenTime))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasSuffix(p.Metric, "_count") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if len(problems) != 4 {
		t.Errorf("promlint has %d complaints, want the 4 about such names: %v", len(problems), problems)
	}
}
