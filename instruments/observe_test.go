package instruments

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestObserved(t *testing.T) {
	r := newRig(t, func(o *Options) { o.QueueLabels = []string{"gpu", "pool"} })
	r.snapshot = fullSnapshot()
	jobs := func(arch, gpu, pool, status string, n int) string {
		return fmt.Sprintf("drone.queue.jobs{arch=%s drone.stage.label.gpu=%s drone.stage.label.pool=%s "+
			"drone.stage.status=%s os=linux type=docker} %d", arch, gpu, pool, status, n)
	}
	want := []string{
		"cicd.pipeline.run.active{cicd.pipeline.name=_other cicd.pipeline.run.state=executing} 2",
		"cicd.pipeline.run.active{cicd.pipeline.name=_other cicd.pipeline.run.state=pending} 1",
		"cicd.pipeline.run.active{cicd.pipeline.name=octocat/hello cicd.pipeline.run.state=executing} 0",
		"cicd.pipeline.run.active{cicd.pipeline.name=octocat/hello cicd.pipeline.run.state=pending} 2",
		"cicd.worker.count{cicd.worker.state=busy} 2",
		"drone.agent.config.last_reload_success_timestamp{} 1.79535e+09",
		"drone.agent.config.last_reload_successful{} 1",
		"drone.agent.poll.duration{} 1.25",
		"drone.agent.poll.last_success_timestamp{} 1.79535e+09",
		"drone.agent.repositories.limit{} 2",
		"drone.agent.repositories{state=active} 13",
		"drone.agent.repositories{state=folded} 3",
		"drone.agent.repositories{state=inactive} 1",
		"drone.agent.repositories{state=unreachable} 2",
		"drone.build.count{} 212",
		"drone.build.finished{cicd.pipeline.name=_other drone.build.status=failure} 4",
		"drone.build.finished{cicd.pipeline.name=_other drone.build.status=success} 0",
		"drone.build.finished{cicd.pipeline.name=octocat/hello drone.build.status=failure} 0",
		"drone.build.finished{cicd.pipeline.name=octocat/hello drone.build.status=killed} 1",
		"drone.build.finished{cicd.pipeline.name=octocat/hello drone.build.status=success} 3",
		"drone.build.finished{cicd.pipeline.name=octocat/quiet drone.build.status=failure} 0",
		"drone.build.finished{cicd.pipeline.name=octocat/quiet drone.build.status=success} 0",
		"drone.build.oldest.age{drone.build.status=blocked} 0",
		"drone.build.oldest.age{drone.build.status=pending} 90",
		"drone.build.oldest.age{drone.build.status=running} 45",
		"drone.pending.builds{} 5",
		"drone.pending.jobs{} 6",
		jobs("amd64", "", "a", "pending", 4),
		jobs("amd64", "", "a", "running", 2),
		jobs("amd64", "yes", "a", "pending", 2),
		jobs("amd64", "yes", "a", "running", 0),
		jobs("arm64", "", "", "pending", 0),
		jobs("arm64", "", "", "running", 0),
		"drone.queue.oldest.age{arch=amd64 os=linux type=docker} 90",
		"drone.queue.oldest.age{arch=arm64 os=linux type=docker} 0",
		"drone.repo.count{} 13",
		"drone.repo.last_build.duration{cicd.pipeline.name=octocat/hello} 90",
		"drone.repo.last_build.finished_timestamp{cicd.pipeline.name=octocat/hello} 1.7953494e+09",
		"drone.repo.last_build.success{cicd.pipeline.name=octocat/hello} 1",
		"drone.running.builds{} 2",
		"drone.running.jobs{} 2",
		"drone.server.info{edition=enterprise version=2.25.0} 1",
		"drone.up{} 1",
		"drone.user.count{} 7",
	}
	if diff := cmp.Diff(want, r.lines(t, "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The second collection gives the same: nothing adds up.
	if diff := cmp.Diff(want, r.lines(t, "")); diff != "" {
		t.Errorf("the second time (-want +got):\n%s", diff)
	}
}

// TestAges grow while nothing new is known, and are never negative.
func TestAges(t *testing.T) {
	r := newRig(t, nil)
	r.snapshot = fullSnapshot()
	r.snapshot.Oldest.Blocked = after(86400)
	r.now = after(7)
	want := []string{
		"drone.build.oldest.age{drone.build.status=blocked} 0",
		"drone.build.oldest.age{drone.build.status=pending} 97",
		"drone.build.oldest.age{drone.build.status=running} 52",
	}
	if diff := cmp.Diff(want, r.lines(t, "drone.build.oldest")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAbsent(t *testing.T) {
	const (
		up       = "drone.up{} 1"
		duration = "drone.agent.poll.duration{} 0"
		fresh    = "drone.agent.poll.last_success_timestamp{} 1.79535e+09"
		loaded   = "drone.agent.config.last_reload_success_timestamp{} 1.79535e+09"
		taken    = "drone.agent.config.last_reload_successful{} 1"
		limit    = "drone.agent.repositories.limit{} 2"
	)
	unknown := &Snapshot{Up: true, Fresh: start}
	stale := fullSnapshot()
	stale.PollDuration = 0
	notYet := &Snapshot{Polled: start}
	noRepos := &Snapshot{Up: true, Fresh: start, Repos: []Repo{}, Queue: []Platform{}}
	for _, tc := range []struct {
		name     string
		snapshot *Snapshot
		now      time.Time
		want     []string
	}{
		{"before the first poll", nil, start, nil},
		{"nothing known", unknown, start, []string{loaded, taken, duration, fresh, limit, up}},
		{"known to be empty", noRepos, start, []string{loaded, taken, duration, fresh, limit, up}},
		{"stale", stale, after(61), []string{loaded, taken, duration, fresh, limit, "drone.up{} 0"}},
		{"no poll succeeded", notYet, start, []string{loaded, taken, duration, limit, "drone.up{} 0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, everything)
			r.snapshot, r.now = tc.snapshot, tc.now
			if diff := cmp.Diff(tc.want, r.lines(t, "")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReloadRefused: the configuration in force is still the one that was read before.
func TestReloadRefused(t *testing.T) {
	r := newRig(t, nil)
	r.snapshot = fullSnapshot()
	r.settings.Refused = true
	want := []string{
		"drone.agent.config.last_reload_success_timestamp{} 1.79535e+09",
		"drone.agent.config.last_reload_successful{} 0",
	}
	if diff := cmp.Diff(want, r.lines(t, "drone.agent.config")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStaleComesBack: counters that vanished go on where they were.
func TestStaleComesBack(t *testing.T) {
	r := newRig(t, nil)
	r.snapshot = fullSnapshot()
	const prefix = "drone.build.finished"
	fresh := r.lines(t, prefix)
	r.now = after(60)
	if got := r.lines(t, prefix); len(got) != len(fresh) {
		t.Errorf("at the limit there is %v", got)
	}
	r.now = after(61)
	if got := r.lines(t, prefix, "cicd."); len(got) > 0 {
		t.Errorf("after the limit there is %v", got)
	}
	r.Finished(build("success", "", 10, 70)) // what has been recorded stays
	if got := r.lines(t, prefix, "cicd."); len(got) != 2 {
		t.Errorf("there is %v, want the durations of one build", got)
	}
	r.snapshot.Fresh = after(61)
	if diff := cmp.Diff(fresh, r.lines(t, prefix)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRepositoriesGone: those no longer in the snapshot are neither shown nor remembered for ever.
func TestRepositoriesGone(t *testing.T) {
	r := newRig(t, nil)
	for round := range 10 {
		r.snapshot = &Snapshot{Up: true, Fresh: start}
		for i := range 10 {
			name := "octocat/r" + strings.Repeat("x", 10*round+i)
			r.snapshot.Repos = append(r.snapshot.Repos, Repo{Name: name, Pending: Known(1), Running: Known(1)})
		}
		if got := r.lines(t, "cicd.pipeline.run.active"); len(got) != 20 {
			t.Fatalf("in round %d there are %d series, want 20", round, len(got))
		}
	}
	if n := len(r.repos.byName); n > 30 {
		t.Errorf("%d repositories are remembered, 10 are there", n)
	}
}

func TestBuckets(t *testing.T) {
	for _, tc := range []struct {
		name          string
		buckets, want []float64
	}{
		{"given", []float64{1, 60}, []float64{1, 60}},
		{"none", nil, defaultBuckets()},
	} {
		r := newRig(t, func(o *Options) { everything(o); o.Buckets = tc.buckets })
		r.Finished(staged())
		histograms := 0
		for _, m := range r.metrics(t) {
			if data, ok := m.Data.(metricdata.Histogram[float64]); ok {
				histograms++
				if diff := cmp.Diff(tc.want, data.DataPoints[0].Bounds); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", tc.name, m.Name, diff)
				}
			}
		}
		if histograms != 3 {
			t.Errorf("%s: there are %d histograms", tc.name, histograms)
		}
	}
}

func TestRegisterRefuses(t *testing.T) {
	newest, now := func() *Snapshot { return nil }, time.Now
	for name, opts := range map[string]Options{
		"no snapshot":       {Now: now},
		"no clock":          {Newest: newest},
		"buckets that turn": {Newest: newest, Now: now, Buckets: []float64{2, 1}},
	} {
		if _, err := Register(sdkmetric.NewMeterProvider().Meter("test"), opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
