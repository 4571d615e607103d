package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/instruments"
)

// TestReloadsUnderLoad reloads again and again, with another configuration each time, while builds end and scrapes
// come in: every scrape is answered, every build is told once.
func TestReloadsUnderLoad(t *testing.T) {
	drone := recorded(t, dronetest.Enterprise)
	drone.AddRepo(dronetest.Repo{Slug: "busy/one", Active: true})
	web := httptest.NewServer(drone)
	t.Cleanup(web.Close)
	var reloads int
	load := func() (*Config, error) { // never twice at once
		reloads++
		return ParseConfig("reloaded.yaml", fmt.Sprintf(`
drone: {server: %q, token: %q, max_concurrent_requests: %d}
poll: {interval: %ds, stale_after: %dm}
prometheus: {listen_address: "127.0.0.1:0"}
metrics: {repositories: {limit: %d}}
`, web.URL, dronetest.DefaultToken, 1+reloads%4, 1+reloads%3, 1+reloads%5, 100+reloads))
	}
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	hangups, address, ended := make(chan os.Signal), make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: first, Reload: load, Reloads: hangups, Logger: slog.New(slog.DiscardHandler),
			Listening: func(addresses []string) { address <- addresses[0] },
		})
	}()
	at := "http://" + <-address
	for !strings.Contains(ask(t, http.MethodGet, at+"/metrics"), "drone_build_count") {
		if ctx.Err() != nil {
			t.Fatal("the first poll is not seen")
		}
	}
	var group sync.WaitGroup
	const rounds = 20
	for _, work := range []func(){
		func() { ask(t, http.MethodPost, at+"/-/reload") },
		func() { hangups <- os.Interrupt }, // whatever comes
		func() { ask(t, http.MethodGet, at+"/metrics") },
		func() {
			drone.FinishBuild("busy/one", drone.CreateBuild("busy/one", dronetest.BuildSpec{}).Number, dronetest.StatusSuccess)
		},
	} {
		group.Go(func() {
			for range rounds {
				work()
			}
		})
	}
	group.Wait()
	const told = `drone_build_finished_total{cicd_pipeline_name="busy/one",drone_build_status="success"} %d`
	for _, want := range []string{
		fmt.Sprintf(told, rounds),
		fmt.Sprintf("drone_agent_repositories_limit %d\n", 100+1+2*rounds), // of the last reload
	} {
		for !strings.Contains(ask(t, http.MethodGet, at+"/metrics"), want) {
			if ctx.Err() != nil {
				t.Fatalf("the metrics do not have %s", want)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if reloads != 1+2*rounds {
		t.Errorf("the configuration was read %d times, want %d", reloads, 1+2*rounds)
	}
}

// ask returns the body of the answer to a request with the token, which must be good.
func ask(t *testing.T, method, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	req.Header.Set("Authorization", "Bearer "+dronetest.DefaultToken)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %s, %v\n%s", method, url, resp.Status, err, body)
	}
	return string(body)
}

// TestReloadTakesOver looks at what comes into force between two polls.
func TestReloadTakesOver(t *testing.T) {
	inBothEditions(t, func(t *testing.T, edition dronetest.Edition) {
		drone := recorded(t, edition)
		r := newRig(t, drone)
		managed(r, 0)
		var polls []time.Time
		r.published = func(*instruments.Snapshot) { polls = append(polls, time.Now()) }
		done := make(chan struct{})
		ctx := awhile(t, time.Hour)
		go func() {
			defer close(done)
			r.run(ctx)
		}()
		time.Sleep(10 * time.Minute)
		open := len(r.watcher.repos)
		next := testWatchConfig()
		next.Interval, next.Selection = time.Minute, selectionConfig{Include: []string{"nothing/*"}, Limit: 1}
		reloaded := time.Now()
		unused := newRig(t, drone) // replaced before it came into force
		r.change(unused.watcher.api, testWatchConfig())
		r.change(newRig(t, drone).watcher.api, next)
		<-done
		var early int
		for _, at := range polls {
			if at.Sub(reloaded) >= 0 && at.Sub(reloaded) < time.Second {
				early++
			}
		}
		if early < 1 || early > 2 {
			t.Errorf("%d polls at once after two changes, want one for both or one for each", early)
		}
		if n := len(polls); n < 41+45 || n > 44+56 {
			t.Errorf("%d polls in 10 minutes at 15 s and 50 minutes at 60 s, want about 92", n)
		}
		if n := len(r.watcher.repos); n != open || r.watcher.selection.cfg.Limit != 1 {
			t.Errorf("%d repositories are known after the change and %d before; limit %d", n, open,
				r.watcher.selection.cfg.Limit)
		}
		r.exact(t, "after the change")
	})
}

// TestTokenOfAnotherServer: the token of a server that is not asked yet is not shown to the one that is.
func TestTokenOfAnotherServer(t *testing.T) {
	parse := func(text string) *Config {
		cfg, err := ParseConfig("c.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	old := parse("drone: {server: 'http://a', token: x}")
	next := parse("drone: {server: 'http://b', token: y, timeout: 7s, max_concurrent_requests: 9}")
	waiting := next.keep(old, false)
	token, err := next.drone.Token.Get()
	if err != nil || token.Reveal() != "x" || next.drone.Timeout != old.drone.Timeout || next.watch.Concurrency != 4 {
		t.Errorf("the old server is asked with %+v, %v", next.drone, err)
	}
	if len(waiting) != 1 || !strings.HasPrefix(waiting[0], "drone.server") {
		t.Errorf("%q wait for a restart, want drone.server", waiting)
	}
}

// TestReloadWhileDroneIsAway: tokens that were good stay good, whatever else changes.
func TestReloadWhileDroneIsAway(t *testing.T) {
	drone := recorded(t, dronetest.Enterprise)
	web := httptest.NewServer(drone)
	t.Cleanup(web.Close)
	stale := "1m"
	load := func() (*Config, error) {
		return ParseConfig("reloaded.yaml", fmt.Sprintf(`
drone: {server: %q, token: %q}
poll: {interval: 1s, stale_after: %s}
prometheus: {listen_address: "127.0.0.1:0"}
`, web.URL, dronetest.DefaultToken, stale))
	}
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	address, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: first, Reload: load, Logger: slog.New(slog.DiscardHandler),
			Listening: func(addresses []string) { address <- addresses[0] },
		})
	}()
	at := "http://" + <-address
	ask(t, http.MethodGet, at+"/metrics")
	drone.Intercept(dronetest.Status(http.StatusBadGateway, ""))
	stale = "10m"
	ask(t, http.MethodPost, at+"/-/reload")
	ask(t, http.MethodGet, at+"/metrics")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the agent ended with %v", err)
	}
}

// TestKeep: what cannot change stays as it was, also for the next comparison.
func TestKeep(t *testing.T) {
	parse := func(text string) *Config {
		cfg, err := ParseConfig("c.yaml", "drone: {server: 'http://a', token: x}\n"+text)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	old := parse("otlp: {endpoint: 'http://localhost:4317'}")
	next := parse("otlp: {endpoint: 'http://localhost:4318', interval: 1m, timeout: 3s, temporality: delta}\n" +
		"prometheus: {listen_address: ':1'}\npoll: {interval: 20s}\nmetrics: {steps: true}")
	want := []string{"metrics.steps", "prometheus.listen_address", "otlp.interval", "otlp.timeout", "otlp.temporality"}
	if diff := cmp.Diff(want, next.keep(old, false)); diff != "" {
		t.Errorf("waiting for a restart (-want +got):\n%s", diff)
	}
	if next.otlp.Endpoint != "http://localhost:4318" || next.otlp.Interval != 30*time.Second || next.metrics.Steps ||
		next.listen != old.listen || next.watch.Interval != 20*time.Second {
		t.Errorf("what comes into force is %+v", next)
	}
	if waiting := next.keep(old, false); waiting != nil {
		t.Errorf("the second time %q waits, want nothing", waiting)
	}
	if waiting := parse("prometheus: {listen_address: ':1'}").keep(parse(""), true); waiting != nil {
		t.Errorf("%q waits though the address is the command line's", waiting)
	}
}
