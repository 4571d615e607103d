package agent

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/exporters"
	"drone-otel-agent/instruments"
	"drone-otel-agent/statuspage"
)

// TestGoldenStatus holds what people and programs are shown of a Drone server after a busy hour, in which it failed
// once.
func TestGoldenStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := ParseConfig("test", `
drone: {server: "http://drone.test", token: x}
poll: {interval: 5m, stale_after: 20m}
metrics: {queue_labels: [pool]}
`)
		if err != nil {
			t.Fatal(err)
		}
		drone := dronetest.New(dronetest.Enterprise)
		simulator := dronetest.NewSimulator(drone, 5)
		r := newRig(t, drone, func(c *watchConfig) {
			c.Interval, c.Selection, c.QueueLabels = cfg.watch.Interval, cfg.watch.Selection, cfg.watch.QueueLabels
		})
		r.interval = cfg.watch.Interval
		provider, err := exporters.NewProvider(t.Context(), exporters.ProviderConfig{Version: "1.2.3"})
		if err != nil {
			t.Fatal(err)
		}
		a := &agent{
			opts:   Options{Config: cfg, Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)},
			config: cfg, provider: provider,
		}
		a.settings.Store(&instruments.Settings{StaleAfter: cfg.staleAfter, Loaded: time.Now()})
		a.board = newBoard(time.Now, a.currentSettings, r.interval)
		r.board = a.board
		for poll := range 13 {
			fault := dronetest.Delay(125*time.Millisecond, dronetest.On("/api/queue"))
			if poll == 7 {
				fault = dronetest.Status(401, `{"message":"Unauthorized"}`) // which nobody tries again
			}
			drone.Intercept(fault)
			simulator.Step()
			_ = r.poll(t.Context(), time.Time{})
			time.Sleep(time.Until(time.Now().Truncate(r.interval).Add(r.interval)))
		}
		page, err := statuspage.New(statuspage.Config{
			Source: a.status, Version: "1.2.3", Paths: statuspage.Paths{Metrics: "/metrics", Document: exporters.StatusPath},
		})
		if err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		page.Document(answer, nil)
		golden(t, "status.json", answer.Body.Bytes())
		answer = httptest.NewRecorder()
		page.Page(answer, httptest.NewRequest(http.MethodGet, "/", nil), false)
		// Its style and its script are held where they are made.
		own := regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`)
		golden(t, "status.html", own.ReplaceAll(answer.Body.Bytes(), []byte("<$1></$1>")))
	})
}
