package exporters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// twoExpositions are the SDK's own exporter, as it is used with a registry, and ours, of the same instruments.
type twoExpositions struct {
	official, ours prometheus.Gatherer
	provider       *sdkmetric.MeterProvider
}

func newTwoExpositions(t *testing.T, exponential bool) twoExpositions {
	t.Helper()
	cfg := ProviderConfig{ExponentialHistograms: exponential}
	reg := prometheus.NewRegistry()
	opts := []otelprom.Option{otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo()}
	if exponential {
		opts = append(opts, otelprom.WithAggregationSelector(exponentialHistograms))
	}
	official, err := otelprom.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	ours := newExposition(pullOptions(cfg)...)
	res := resource.NewSchemaless(attribute.String("service.name", "test"), attribute.Int("odd-key/1", 7),
		attribute.StringSlice("list", []string{"a", `b"c`}))
	two := twoExpositions{reg, joined{ours}, sdkmetric.NewMeterProvider(sdkmetric.WithResource(res),
		sdkmetric.WithReader(official), sdkmetric.WithReader(ours.reader))}
	t.Cleanup(func() {
		if err := two.provider.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return two
}

// compare scrapes both in all formats.
func (two twoExpositions) compare(t *testing.T) {
	t.Helper()
	bodies := func(g prometheus.Gatherer, accept string) string {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		req.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		promhttp.HandlerFor(g, promhttp.HandlerOpts{
			EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
		}).ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	for _, accept := range []string{"text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"} {
		if diff := cmp.Diff(bodies(two.official, accept), bodies(two.ours, accept)); diff != "" {
			t.Errorf("%s (-official +ours):\n%s", accept, diff)
		}
	}
	const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	official, ours := decoded(t, bodies(two.official, protobuf)), decoded(t, bodies(two.ours, protobuf))
	if diff := cmp.Diff(official, ours); diff != "" {
		t.Errorf("protobuf (-official +ours):\n%s", diff)
	}
}

// decoded reads metric families and writes them as text. That a native histogram has a time of creation is
// kept of it, not the time: it is when the reader was made.
func decoded(t *testing.T, body string) string {
	t.Helper()
	var all strings.Builder
	dec := expfmt.NewDecoder(strings.NewReader(body), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var family dto.MetricFamily
		if err := dec.Decode(&family); err != nil {
			if !errors.Is(err, io.EOF) || all.Len() == 0 {
				t.Fatalf("after %d characters: %v", all.Len(), err)
			}
			return all.String()
		}
		for _, m := range family.GetMetric() {
			if created := m.GetHistogram().GetCreatedTimestamp(); created != nil {
				if time.Since(created.AsTime()).Abs() > time.Hour {
					t.Errorf("%s was created at %v", family.GetName(), created.AsTime())
				}
				proto.Reset(created)
			}
		}
		all.WriteString(prototext.Format(&family))
	}
}

// oddSets are attribute sets of every type and with every trouble that Prometheus can still show.
func oddSets() []attribute.Set {
	return []attribute.Set{
		attribute.NewSet(),
		attribute.NewSet(attribute.String("cicd.pipeline.name", "octocat/hello")),
		attribute.NewSet(attribute.String("cicd.pipeline.name", "octocat/hello"), attribute.Bool("a-flag", true)),
		attribute.NewSet(attribute.Int("n", -3), attribute.Float64("f", 0.1), attribute.String("empty", "")),
		attribute.NewSet(attribute.IntSlice("ints", []int{1, 2}), attribute.StringSlice("strings", []string{"x,", `"`})),
		attribute.NewSet(attribute.String("text", "two\nlines, \"quotes\", a \\, ünïcode ☃")),
		attribute.NewSet(attribute.String("a.b", "second"), attribute.String("a_b", "first"), attribute.Int("a-b", 3)),
		attribute.NewSet(attribute.String("1st", "digit"), attribute.String("ключ.key", "letters"),
			attribute.String("_private", "x"), attribute.String("otel.scope.name", "mine")),
		attribute.NewSet(attribute.String("zz..double..dots", "x"), attribute.String("UPPER", "y")),
	}
}

// oddUnits change names in every way that units do.
var oddUnits = []string{"", "1", "s", "ms", "By", "%", "{run}", "By/s", "1/s", "{error}/min", "Cel", "odd unit!", "m/"}

// record makes instruments of each kind, or takes those made before, and gives values to attribute sets. A
// set that was given one once is there for ever.
func record(ctx context.Context, m metric.Meter, round int, sets []attribute.Set) {
	for i, unit := range oddUnits {
		name, help := fmt.Sprintf("kind%d.of-Unit/x", i), "Help with a \\ and\na second \"line\"."
		u, d := metric.WithUnit(unit), metric.WithDescription(help)
		counter := must(m.Int64Counter(name+".counter", u, d))
		total := must(m.Float64Counter(name+".total.things.total", u))
		active := must(m.Int64UpDownCounter(name+".active", u, d))
		level := must(m.Float64UpDownCounter(name+".level", u, d))
		age := must(m.Float64Gauge(name+".age", u, d))
		count := must(m.Int64Gauge(name+".number__of..x", u))
		durations := must(m.Float64Histogram(name+".duration", u, d, metric.WithExplicitBucketBoundaries(0.5, 1, 10)))
		sizes := must(m.Int64Histogram(name+".size", u, metric.WithExplicitBucketBoundaries()))
		for j, set := range sets {
			with, n := metric.WithAttributeSet(set), round*100+j
			counter.Add(ctx, int64(n), with)
			total.Add(ctx, float64(n)/3, with)
			active.Add(ctx, int64(50-n), with)
			level.Add(ctx, -float64(n), with)
			age.Record(ctx, []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 0.1}[n%5], with)
			count.Record(ctx, math.MaxInt64-int64(n), with)
			for _, v := range []float64{0, 1, 1.5, -2.25, 1e-9, 1e9, float64(n)}[:1+n%7] {
				durations.Record(ctx, v, with)
				sizes.Record(ctx, int64(v), with)
			}
		}
	}
}

// observe makes instruments whose series are those of the sets, until it is undone.
func observe(t *testing.T, m metric.Meter, round int, sets []attribute.Set) (undo func()) {
	t.Helper()
	seen := must(m.Int64ObservableCounter("seen.observed", metric.WithUnit("{build}")))
	queue := must(m.Int64ObservableUpDownCounter("queue.observed"))
	ratio := must(m.Float64ObservableGauge("ratio.observed", metric.WithUnit("1"), metric.WithDescription("Ratio.")))
	callback := must(m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for j, set := range sets {
			with := metric.WithAttributeSet(set)
			o.ObserveInt64(seen, int64(j), with)
			o.ObserveInt64(queue, int64(-j), with)
			o.ObserveFloat64(ratio, float64(round)+float64(j)/7, with)
		}
		return nil
	}, seen, queue, ratio))
	return func() {
		if err := callback.Unregister(); err != nil {
			t.Error(err)
		}
	}
}

// TestExpositionIsTheOfficialOne compares with the SDK's exporter, over scrapes between which values change,
// series come and go, and come back.
func TestExpositionIsTheOfficialOne(t *testing.T) {
	for _, exponential := range []bool{false, true} {
		t.Run(fmt.Sprintf("exponential %t", exponential), func(t *testing.T) {
			seed := rand.Uint64()
			t.Log("seed", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			two := newTwoExpositions(t, exponential)
			two.compare(t) // without any instrument
			sets := oddSets()
			for round := range 6 {
				random.Shuffle(len(sets), func(i, j int) { sets[i], sets[j] = sets[j], sets[i] })
				meter := two.provider.Meter("scope", metric.WithInstrumentationVersion("1"))
				record(t.Context(), meter, round, sets[:1+random.IntN(len(sets))])
				undo := observe(t, meter, round, sets[:random.IntN(len(sets)+1)])
				two.compare(t)
				two.compare(t)
				undo()
				if t.Failed() {
					return
				}
			}
		})
	}
}

// TestExpositionLeavesOutWhatTheOfficialOneDoes has one mistake each, beside something that is right.
func TestExpositionLeavesOutWhatTheOfficialOneDoes(t *testing.T) {
	ctx := t.Context()
	with := metric.WithAttributes
	for name, mistake := range map[string]func(m, other metric.Meter){
		"a name of underscores": func(m, _ metric.Meter) {
			must(m.Int64Counter("bad")).Add(ctx, 1, with(attribute.String("...", "x")))
		},
		"a reserved name": func(m, _ metric.Meter) {
			must(m.Int64Gauge("bad")).Record(ctx, 1, with(attribute.String("__name__", "x")))
		},
		"a value that is no text": func(m, _ metric.Meter) {
			must(m.Float64Histogram("bad")).Record(ctx, 1, with(attribute.String("x", "\xff")))
		},
		"two sets with the same labels": func(m, _ metric.Meter) {
			bad := must(m.Int64Counter("bad"))
			bad.Add(ctx, 1, with(attribute.String("a.b", "x")))
			bad.Add(ctx, 1, with(attribute.String("a_b", "x")))
			bad.Add(ctx, 1, with(attribute.String("a_b", "y")))
		},
		"two scopes with the same series": func(m, other metric.Meter) {
			must(m.Int64Counter("bad")).Add(ctx, 1)
			must(other.Int64Counter("bad")).Add(ctx, 1)
		},
		"two kinds with the same name": func(m, _ metric.Meter) {
			must(m.Int64Counter("bad")).Add(ctx, 1)
			must(m.Int64Gauge("bad.total")).Record(ctx, 1, with(attribute.String("x", "y")))
		},
		"the name of a histogram's count": func(m, _ metric.Meter) {
			must(m.Int64Histogram("bad")).Record(ctx, 1)
			must(m.Int64Gauge("bad.count")).Record(ctx, 1)
		},
		"the name of target_info": func(m, _ metric.Meter) { must(m.Int64Gauge("target.info")).Record(ctx, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			two := newTwoExpositions(t, false)
			m := two.provider.Meter("scope")
			must(m.Int64Counter("good")).Add(ctx, 1)
			mistake(m, two.provider.Meter("another"))
			for range 2 {
				two.compare(t)
				_, official := two.official.Gather()
				_, ours := two.ours.Gather()
				if official == nil || ours == nil {
					t.Errorf("official %v, ours %v", official, ours)
				}
			}
		})
	}
	t.Run("no mistake", func(t *testing.T) { // several instruments are one family, the first describes it
		two := newTwoExpositions(t, false)
		m, other := two.provider.Meter("scope"), two.provider.Meter("another")
		must(m.Int64Counter("a.name", metric.WithDescription("One."))).Add(ctx, 1)
		must(m.Float64Counter("a_name", metric.WithDescription("Two."))).Add(ctx, 1, with(attribute.Int("b", 1)))
		must(m.Int64Gauge("b.name")).Record(ctx, 1)
		must(other.Int64UpDownCounter("b.name")).Add(ctx, 2, with(attribute.Int("b", 2)))
		two.compare(t)
		if _, err := two.ours.Gather(); err != nil {
			t.Error(err)
		}
	})
}

func TestCallbacksThatFail(t *testing.T) {
	p := newTestProvider(t, ProviderConfig{})
	m := p.Meter("test")
	must(m.Int64Counter("good")).Add(t.Context(), 1)
	var fail func() error
	must(m.Int64ObservableGauge("bad", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
		return fail()
	})))
	for name, tc := range map[string]struct {
		fail     func() error
		wantGood bool
		wantErr  string
	}{
		"an error":   {func() error { return errors.New("no data") }, true, "no data"},
		"a panic":    {func() error { panic("a defect") }, false, "a defect"},
		"all's well": {func() error { return nil }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fail = tc.fail
			families, err := p.instruments.Gather()
			if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("error %v, want %q", err, tc.wantErr)
			}
			if got := strings.Contains(fmt.Sprint(families), "good_total"); got != tc.wantGood {
				t.Errorf("good_total is there: %t", got)
			}
			if _, body := scrape(t, p, "text/plain"); !strings.Contains(body, "\ngo_goroutines ") {
				t.Error("the process's metrics are lost")
			}
		})
	}
}
