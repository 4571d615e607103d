package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/prometheus"
	"drone-otel-agent/internal/certtest"
)

// rotation is a scene whose tokens are in files. They are replaced as Kubernetes does it.
type rotation struct {
	scene
	prom  *prometheus.Server
	files *certtest.Folder
}

// rotate starts a Prometheus that sends the token in the file scrape on an agent with a configuration, in which
// %[1]s stands for the folder of the files.
func rotate(
	t *testing.T, drone *dronetest.Server, env []string, configuration string, files map[string]string,
) *rotation {
	t.Helper()
	r := &rotation{files: certtest.NewFolder(t, certtest.LinkSwap)}
	for name, content := range files {
		r.put(t, name, content)
	}
	r.scene = enact(t, drone, nil, env, fmt.Sprintf(configuration, r.files.Path("")))
	r.agent.AwaitLine(t, "msg=listening") // or Prometheus's first scrape fails
	r.prom = prometheus.Start(t, fmt.Sprintf(`
scrape_configs:
  - job_name: drone
    scrape_interval: 1s
    scrape_timeout: 1s
    authorization: {credentials_file: %s}
    static_configs:
      - targets: [%q]
`, r.files.Path("scrape"), r.address))
	return r
}

func (r *rotation) put(t *testing.T, name, token string) {
	t.Helper()
	r.files.Put(t, map[string][]byte{name: []byte(token + "\n")})
}

// goesOn waits for some more scrapes, and holds that none has failed so far.
func (r *rotation) goesOn(t *testing.T) {
	t.Helper()
	const good = `sum(sum_over_time(up[1h])) or vector(0)`
	before, err := r.prom.Value(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	r.agent.Await(t, "three more scrapes", func() error {
		now, err := r.prom.Value(t.Context(), good)
		if err == nil && now < before+3 {
			err = fmt.Errorf("%v have gone well, and %v before", now, before)
		}
		return err
	})
	if least, err := r.prom.Value(t.Context(), "min_over_time(up[1h])"); least != 1 {
		t.Errorf("the least up is %v (%v), want 1", least, err)
	}
}

// answers holds what a scrape with each token is answered with.
func (r *rotation) answers(t *testing.T, want map[string]int) {
	t.Helper()
	for token, status := range want {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := new(http.Client).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("a scrape with the token %s: status %d, want %d", token, resp.StatusCode, status)
		}
	}
}

// TestScrapeTokensRotated has three kinds of tokens count at once, and Prometheus go from one to the other.
func TestScrapeTokensRotated(t *testing.T) {
	t.Parallel()
	drone, env := recordedDrone(t, dronetest.Enterprise)
	r := rotate(t, drone, append(env, "OWN=written-out"), `
poll: {interval: 1s}
prometheus:
  auth:
    mode: token
    token: ${OWN}
    token_file: %[1]s/own
    token_sha256: [`+fmt.Sprintf("%x", sha256.Sum256([]byte("digested")))+`]
`, map[string]string{"own": "first-in-file", "scrape": "first-in-file"})
	r.answers(t, map[string]int{
		"first-in-file": 200, "second-in-file": 401, "written-out": 200, "digested": 200, dronetest.DefaultToken: 401,
	})
	r.goesOn(t)

	r.put(t, "scrape", "written-out")
	r.goesOn(t)
	r.put(t, "own", "second-in-file")
	r.answers(t, map[string]int{"first-in-file": 401, "second-in-file": 200, "written-out": 200, "digested": 200})
	r.goesOn(t)

	r.put(t, "scrape", "second-in-file")
	r.goesOn(t)
	r.put(t, "scrape", "digested")
	r.goesOn(t)
	r.put(t, "own", "third-in-file")
	r.answers(t, map[string]int{"second-in-file": 401, "third-in-file": 200, "written-out": 200, "digested": 200})
	r.goesOn(t)
	r.stop(t)
	for _, token := range []string{"in-file", "written-out", "digested"} {
		if strings.Contains(r.agent.Log(), token) {
			t.Errorf("the token %s is in the agent's log", token)
		}
	}
}

// TestDroneTokenRotated moves the agent and Prometheus to another machine user's token, and removes the old user.
func TestDroneTokenRotated(t *testing.T) {
	t.Parallel()
	drone := dronetest.New(dronetest.Enterprise)
	if err := drone.LoadRecorded(); err != nil {
		t.Fatal(err)
	}
	drone.AddUser(dronetest.User{Login: "next", Token: "token-of-the-next-one", Admin: true, Machine: true, Active: true})
	var asked atomic.Pointer[string]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/queue" { // what nobody asks but the agent for itself
			token := r.Header.Get("Authorization")
			asked.Store(&token)
		}
		drone.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	r := rotate(t, drone, []string{"DRONE_SERVER=" + web.URL}, `
drone: {token_file: "%[1]s/drone"}
poll: {interval: 1s}
`, map[string]string{"drone": dronetest.DefaultToken, "scrape": dronetest.DefaultToken})
	r.goesOn(t)
	r.put(t, "drone", "token-of-the-next-one")
	r.put(t, "scrape", "token-of-the-next-one")
	r.agent.Await(t, "the agent to use the new token", func() error {
		if token := *asked.Load(); token != "Bearer token-of-the-next-one" {
			return errors.New("it asks with another one")
		}
		return nil
	})
	r.goesOn(t)
	drone.RemoveUser("prometheus")
	r.pollsGoOn(t, 3)
	r.goesOn(t)
	if least, err := r.prom.Value(t.Context(), "min_over_time(drone_up[1h])"); least != 1 {
		t.Errorf("the least drone_up is %v (%v), want 1", least, err)
	}
	r.stop(t)
	if strings.Contains(r.agent.Log(), "token-of-the-next-one") {
		t.Error("the new token is in the agent's log")
	}
}
