package droneapi_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

// askMany lets n goroutines ask each method in turn and returns when all are done. What is asked about the tokens of
// others has limits of its own: see others_test.go.
func askMany(t *testing.T, s scene, n int) {
	t.Helper()
	own := slices.DeleteFunc(slices.Clone(methods), func(m method) bool { return m.name == "UserOf" })
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			method := own[i%len(own)]
			if _, err := method.call(t.Context(), s.Client); err != nil {
				t.Errorf("%s: %v", method.name, err)
			}
		})
	}
	wg.Wait()
}

func TestConcurrencyLimit(t *testing.T) {
	for _, limit := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) { c.MaxConcurrentRequests = limit })
			var (
				mu        sync.Mutex
				now, most int
			)
			delay := dronetest.Delay(time.Second)
			s.drone.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				defer func() {
					mu.Lock()
					now--
					mu.Unlock()
				}()
				return delay(w, r)
			})
			start := time.Now()
			askMany(t, s, 20)
			if most != limit {
				t.Errorf("%d requests at once, want %d", most, limit)
			}
			if took, least := time.Since(start), time.Duration(20/limit)*time.Second; took < least || took > least+time.Second {
				t.Errorf("20 requests of 1s, %d at once, took %v", limit, took)
			}
		})
	}
}

// TestConcurrencyLimitHoldsUntilTheLastByte counts a request as under way while its answer comes in.
func TestConcurrencyLimitHoldsUntilTheLastByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) { c.MaxConcurrentRequests = 1 })
		s.drone.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"version":`))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(10 * time.Second):
			case <-r.Context().Done():
			}
			_, _ = w.Write([]byte(`"1"}`))
			return true
		})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if version, err := s.Version(t.Context()); version != "1" {
					t.Errorf("%q, %v", version, err)
				}
			})
		}
		wg.Wait()
		_, after := s.sent.requests()
		if want := []time.Duration{0, 10 * time.Second, 20 * time.Second}; !slices.Equal(after, want) {
			t.Errorf("sent after %v, want %v", after, want)
		}
	})
}

// TestSlotIsFreeBetweenAttempts lets others ask while one waits for its next attempt.
func TestSlotIsFreeBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) { c.MaxConcurrentRequests = 1 })
		s.drone.Intercept(dronetest.Status(503, "{}", dronetest.On("/api/user"), dronetest.First(1),
			dronetest.Header("Retry-After", "5")))
		var wg sync.WaitGroup
		wg.Go(func() {
			if user, err := s.User(t.Context()); user.Login != "prometheus" {
				t.Errorf("%+v, %v", user, err)
			}
		})
		synctest.Wait()
		start := time.Now()
		if version, err := s.Version(t.Context()); version == "" || time.Since(start) > time.Second {
			t.Errorf("%q, %v after %v", version, err, time.Since(start))
		}
		wg.Wait()
	})
}

func TestRateLimit(t *testing.T) {
	for _, tt := range []struct {
		rate    float64
		status  string
		seconds int
	}{{rate: 50, seconds: 4}, {rate: 3, seconds: 10}, {rate: 50, status: "retried", seconds: 4}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) {
				c.MaxRequestsPerSecond, c.MaxConcurrentRequests = tt.rate, 100
			})
			if tt.status != "" {
				s.drone.Intercept(dronetest.Status(503, "{}", dronetest.First(100)))
				_, _ = s.Version(t.Context())
				s.sent.requests()
			}
			number := int(tt.rate) * tt.seconds
			if tt.status == "" {
				askMany(t, s, number)
			} else {
				var wg sync.WaitGroup
				for range number / 2 {
					wg.Go(func() { _, _ = s.Version(t.Context()) })
				}
				wg.Wait()
			}
			_, after := s.sent.requests()
			slices.Sort(after)
			for i, from := range after {
				// The limiter counts in floats: a second may come out some nanoseconds short.
				end, _ := slices.BinarySearch(after, from+time.Second-time.Microsecond)
				if end-i > int(tt.rate) {
					t.Fatalf("%d requests within %v, want at most %v in a second", end-i, after[end-1]-from, tt.rate)
				}
			}
			if tt.status == "" {
				if got, want := after[len(after)-1], time.Duration(tt.seconds)*time.Second; got > want {
					t.Errorf("%d requests took %v, want %v", number, got, want)
				}
			}
		})
	}
}

// TestWhatIsSent looks at every request: to the right place, as the right user, and nothing of the answers before.
func TestWhatIsSent(t *testing.T) {
	for _, prefix := range []string{"", "/", "/tools/ci", "/tools/ci/"} {
		drone := dronetest.New(dronetest.Enterprise)
		if err := drone.LoadRecorded(); err != nil {
			t.Fatal(err)
		}
		var seen []string
		base := strings.TrimRight(prefix, "/")
		web := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.Method+" "+r.URL.String())
			http.SetCookie(w, &http.Cookie{Name: "_session_", Value: "x", Path: "/"})
			for name, want := range map[string]string{
				"Authorization": "Bearer " + token, "Accept": "application/json", "User-Agent": "drone-otel-agent/test",
				"Cookie": "", "Referer": "", "Content-Type": "",
			} {
				if got := strings.Join(r.Header[name], ", "); got != want {
					t.Errorf("%s: %s is %q, want %q", r.URL, name, got, want)
				}
			}
			http.StripPrefix(base, drone).ServeHTTP(w, r)
		}))
		client := newClient(t, web.URL+prefix)
		for _, method := range methods {
			if _, err := method.call(t.Context(), client); err != nil {
				t.Errorf("%s: %v", method.name, err)
			}
		}
		want := []string{
			"/version", "/api/user", "/api/user", "/api/users", "/api/repos?page=1&per_page=100000", "/api/queue",
			"/api/system/stats", "/api/repos/org0/service-00011/builds?page=2&per_page=10",
			"/api/repos/org0/service-00011/builds/33",
		}
		for i := range want {
			want[i] = "GET " + base + want[i]
		}
		if !slices.Equal(seen, want) {
			t.Errorf("asked %q, want %q", seen, want)
		}
		if got := client.Server(); got != web.URL+prefix {
			t.Errorf("the server is %q, want %q", got, web.URL+prefix)
		}
	}
}

func TestOddNames(t *testing.T) {
	for _, tt := range []struct{ namespace, name, path string }{
		{"a/b", "c", "/api/repos/a%2Fb/c/builds"},
		{"a b", "c?d#e%2Ff", "/api/repos/a%20b/c%3Fd%23e%252Ff/builds"},
		{"{a}", "..", "/api/repos/%7Ba%7D/../builds"},
		{"ä", "\"x\"\\\n", "/api/repos/%C3%A4/%22x%22%5C%0A/builds"},
	} {
		s := newScene(t, dronetest.Enterprise)
		s.drone.Intercept(answer("application/json", "[]"))
		_, err := s.Builds(t.Context(), droneapi.Repo{Namespace: tt.namespace, Name: tt.name}, 1, 2)
		seen, _ := s.sent.requests()
		if err != nil || seen[0].URL.EscapedPath() != tt.path || seen[0].URL.RawQuery != "page=1&per_page=2" {
			t.Errorf("%s/%s: asked %v, %v, want %s", tt.namespace, tt.name, seen, err, tt.path)
		}
	}
}
