//go:build browser

package browser

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/port"
	"drone-otel-agent/e2e/process"
)

const plainToken = "0123456789abcdef0123456789abcdef"

// scene is an agent on a Drone server, of which everything is known.
type scene struct {
	drone     *dronetest.Server
	droneURL  string
	agent     *process.Agent
	site      string
	behind    atomic.Int64 // how far Drone's clock is behind, in nanoseconds
	env, args []string
}

// play makes a Drone server with a past and starts the agent on it, with more of a configuration.
func play(t *testing.T, edition dronetest.Edition, configuration string) *scene {
	t.Helper()
	s := &scene{}
	s.behind.Store(int64(time.Hour))
	s.drone = dronetest.New(edition, dronetest.WithClock(func() time.Time {
		return time.Now().Add(-time.Duration(s.behind.Load()))
	}))
	s.drone.AddUser(dronetest.User{Login: "somebody", Token: plainToken, Active: true})
	for _, slug := range []string{"octocat/web", "octocat/api", "octocat/tools"} {
		s.drone.AddRepo(dronetest.Repo{Slug: slug, Active: true})
	}
	web := httptest.NewServer(s.drone)
	t.Cleanup(web.Close)
	s.droneURL = web.URL
	address := port.Free(t)
	s.site = "http://" + address
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "poll: {interval: 1s, stale_after: 15s}\nstate: {path: " + t.TempDir() + "}\n" + configuration
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"DRONE_SERVER=" + web.URL, "DRONE_TOKEN=" + dronetest.DefaultToken}
	s.args = []string{"--config.file=" + file, "--web.listen-address=" + address}
	s.begin(t)
	return s
}

// begin starts the agent, also once more, and waits until it has polled.
func (s *scene) begin(t *testing.T) {
	t.Helper()
	before := s.drone.RequestCount()
	s.agent = process.Start(t, binary, s.env, s.args...)
	s.agent.AwaitLine(t, "msg=\"watching drone\"")
	s.agent.Await(t, "some polls", func() error {
		if n := s.drone.RequestCount() - before; n < 10 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
}

// ago has Drone do something at a time in the past.
func (s *scene) ago(past time.Duration, do func()) {
	s.behind.Store(int64(past))
	do()
}

// live makes builds in every state: the past of them first, with the agent looking on.
func (s *scene) live(t *testing.T) {
	t.Helper()
	var red, green, fixed int64
	s.ago(50*time.Minute, func() {
		red = s.drone.CreateBuild("octocat/web", dronetest.BuildSpec{}).Number
		green = s.drone.CreateBuild("octocat/tools", dronetest.BuildSpec{}).Number
		s.drone.StartStage("octocat/web", red, 1, "runner-1")
		s.drone.StartStage("octocat/tools", green, 1, "runner-2")
	})
	s.ago(45*time.Minute, func() {
		s.drone.FinishBuild("octocat/web", red, "failure")
		s.drone.FinishBuild("octocat/tools", green, "failure")
	})
	s.agent.Await(t, "both failures to be told", s.told(2))
	s.ago(40*time.Minute, func() {
		fixed = s.drone.CreateBuild("octocat/tools", dronetest.BuildSpec{}).Number
		s.drone.FinishBuild("octocat/tools", fixed, "success")
	})
	s.ago(30*time.Minute, func() { s.drone.CreateBuild("octocat/api", dronetest.BuildSpec{Blocked: true}) })
	s.ago(20*time.Minute, func() {
		two := dronetest.BuildSpec{Stages: []dronetest.StageSpec{{Name: "amd"}, {Name: "arm", Arch: "arm64"}}}
		s.drone.StartStage("octocat/api", s.drone.CreateBuild("octocat/api", two).Number, 1, "runner-7")
	})
	s.ago(12*time.Minute, func() { s.drone.CreateBuild("octocat/web", dronetest.BuildSpec{}) })
	s.behind.Store(0)
}

// told tells whether so many builds have been told.
func (s *scene) told(builds float64) func() error {
	return func() error {
		got, err := s.metric("drone_build_finished_total")
		if err == nil && got != builds {
			err = fmt.Errorf("%v were", got)
		}
		return err
	}
}
