package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"drone-otel-agent/droneapi/dronetest"
)

// narrow is a configuration that lets the agent ask Drone one thing at a time.
const narrow = "poll: {interval: 1s}\ndrone: {max_concurrent_requests: 1, max_requests_per_second: 20}\n"

// patience bounds every answer of these tests. What the agent promises is shorter; a loaded machine is slow.
const patience = 30 * time.Second

// visitor asks the agent as somebody does, over connections of their own.
type visitor struct {
	http.Client

	token string
}

func newVisitor(t *testing.T, token string) *visitor {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{http.Client{Transport: transport, Timeout: patience}, token}
}

// ask returns the status of the answer and its body. The token is the visitor's own unless one is given.
func (v *visitor) ask(
	ctx context.Context, method, address string, token ...string,
) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return 0, "", err
	}
	token = append(token, v.token)
	if token[0] != "" {
		req.Header.Set("Authorization", "Bearer "+token[0])
	}
	resp, err := v.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), err
}

// want fails the test where the answer has another status.
func (v *visitor) want(t *testing.T, status int, method, address string) string {
	t.Helper()
	got, body, err := v.ask(t.Context(), method, address)
	if err != nil || got != status {
		t.Errorf("%s %s: status %d, %v, want %d: %.300s", method, address, got, err, status, body)
	}
	return body
}

// served waits until the agent has metrics for the visitor.
func (s *scene) served(t *testing.T, v *visitor) {
	t.Helper()
	s.agent.Await(t, "a scrape with drone_up", func() error {
		status, body, err := v.ask(t.Context(), http.MethodGet, "http://"+s.address+"/metrics")
		if err == nil && !strings.Contains(body, "\ndrone_up 1\n") {
			err = fmt.Errorf("status %d: %.200s", status, body)
		}
		return err
	})
}

// TestStrangersDoNotReachDrone has strangers try tokens, none of them twice, as fast as they can. Drone is asked about
// no more of them than the fixed rate allows, whatever it answers; polls and scrapes go on.
func TestStrangersDoNotReachDrone(t *testing.T) {
	t.Parallel()
	about := func(answer dronetest.Interceptor) dronetest.Interceptor {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasPrefix(r.Header.Get("Authorization"), "Bearer guess-") && answer(w, r)
		}
	}
	for name, fault := range map[string]dronetest.Interceptor{
		"Drone knows none of them": nil,
		"Drone hangs over them":    about(dronetest.Slow()),
		"Drone fails over them":    about(dronetest.Status(http.StatusServiceUnavailable, "{}")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drone, env := recordedDrone(t, dronetest.Enterprise)
			drone.AddUser(dronetest.User{Login: "scraper", Machine: true, Active: true, Token: ofScraper})
			s := enact(t, drone, nil, env, narrow)
			scraper := newVisitor(t, ofScraper)
			s.served(t, scraper)
			drone.Intercept(fault)

			before, polls, began := drone.Requests()["GET /api/user"], drone.Requests()["GET /api/queue"], time.Now()
			tried, leave := strangers(t, s.address)
			first := newVisitor(t, dronetest.DefaultToken) // the agent's own, which nobody has shown yet
			for tried() < 1000 || drone.Requests()["GET /api/queue"] < polls+8 {
				scraper.want(t, http.StatusOK, http.MethodGet, "http://"+s.address+"/metrics")
				first.want(t, http.StatusOK, http.MethodGet, "http://"+s.address+"/metrics")
				if time.Since(began) > time.Minute { // where a poll waits for strangers, eight take longer
					t.Fatalf("in a minute strangers tried %d tokens and the agent polled %d times",
						tried(), drone.Requests()["GET /api/queue"]-polls)
				}
			}
			leave()
			lasted := time.Since(began)
			// A burst of ten and one a second; and the two who may, once, and again after a minute.
			most := 10 + int(lasted/time.Second) + 1 + 2*(1+int(lasted/time.Minute))
			if asked := drone.Requests()["GET /api/user"] - before; asked > most {
				t.Errorf("Drone was asked about %d tokens in %s, want at most %d", asked, lasted, most)
			}
			t.Logf("%d tokens tried in %s, Drone asked about %d", tried(), lasted, drone.Requests()["GET /api/user"]-before)
			drone.Intercept(nil)
			s.stop(t)
		})
	}
}

// strangers try one token after the other until they are told to leave, at scraping, at the pages and at reloading.
func strangers(t *testing.T, address string) (tried func() int, leave func()) {
	t.Helper()
	var (
		tokens atomic.Int64
		crowd  sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(t.Context())
	for range 50 {
		v := newVisitor(t, "")
		crowd.Go(func() {
			for ctx.Err() == nil {
				n := tokens.Add(1)
				method, path := http.MethodGet, "/metrics"
				switch n % 5 {
				case 0:
					method, path = http.MethodPost, "/-/reload"
				case 1:
					path = "/"
				case 2:
					path = "/api/v1/status"
				}
				status, _, err := v.ask(ctx, method, "http://"+address+path, fmt.Sprint("guess-", n))
				switch {
				case ctx.Err() != nil:
				case err != nil:
					t.Errorf("a stranger: %v", err)
				case status != http.StatusUnauthorized && status != http.StatusTooManyRequests &&
					status != http.StatusServiceUnavailable:
					t.Errorf("a stranger gets status %d", status)
				}
			}
		})
	}
	leave = sync.OnceFunc(func() {
		cancel()
		crowd.Wait()
	})
	t.Cleanup(leave)
	return func() int { return int(tokens.Load()) }, leave
}

// TestAnswersWhileDroneHangs has a Drone that takes every request and answers none, from the start or from some time
// on. The agent answers everything, and ends when it is told to.
func TestAnswersWhileDroneHangs(t *testing.T) {
	t.Parallel()
	known := map[string]int{ofScraper: http.StatusOK, "": http.StatusUnauthorized, "new": http.StatusServiceUnavailable}
	for _, tc := range []struct {
		name, guard string
		later       bool // Drone answers at first
		want        map[string]int
	}{
		{"tokens of Drone, seen before", "{mode: drone}", true, known},
		{"tokens of Drone", "{mode: drone}", false,
			map[string]int{ofScraper: http.StatusServiceUnavailable, "": http.StatusUnauthorized}},
		{"tokens of the agent's own", "{mode: token, token: " + ofGuard + "}", false,
			map[string]int{ofGuard: http.StatusOK, "new": http.StatusUnauthorized}},
		{"no tokens", "{mode: none}", false, map[string]int{"": http.StatusOK}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			drone, env := recordedDrone(t, dronetest.Enterprise)
			drone.AddUser(dronetest.User{Login: "scraper", Machine: true, Active: true, Token: ofScraper})
			if !tc.later {
				drone.Intercept(dronetest.Slow())
			}
			s := enact(t, drone, nil, env, narrow+"prometheus: {auth: "+tc.guard+"}\n")
			if tc.later {
				s.served(t, newVisitor(t, ofScraper))
				drone.Intercept(dronetest.Slow())
			}
			asked := drone.RequestCount()
			s.agent.Await(t, "a poll to hang", func() error {
				if n := drone.RequestCount(); n == asked && tc.later || n == 0 {
					return fmt.Errorf("%d requests", n)
				}
				return nil
			})
			var crowd sync.WaitGroup
			for token, status := range tc.want {
				for range 5 { // at the same time
					v := newVisitor(t, token)
					crowd.Go(func() {
						page := status
						if token == "" {
							page = http.StatusOK // who says nothing is asked who he is
						}
						for path, want := range map[string]int{
							"/metrics": status, "/api/v1/status": status, "/": page, "/-/healthy": http.StatusOK,
						} {
							v.want(t, want, http.MethodGet, "http://"+s.address+path)
						}
						if status == http.StatusOK && token != "" {
							v.want(t, http.StatusOK, http.MethodPost, "http://"+s.address+"/-/reload")
						}
					})
				}
			}
			crowd.Wait()
			s.stop(t)
		})
	}
}
