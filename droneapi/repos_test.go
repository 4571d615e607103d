package droneapi_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi"
	"drone-otel-agent/droneapi/dronetest"
)

func repos(t *testing.T, s scene) []droneapi.Repo {
	t.Helper()
	all, err := s.Repos(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(a, b []droneapi.Repo) bool { return len(a) == len(b) && &a[0] == &b[0] }

func TestReposKept(t *testing.T) {
	s := newScene(t, dronetest.Community)
	first := repos(t, s)
	before := slices.Clone(first)
	if again := repos(t, s); !same(first, again) {
		t.Error("the same answer was decoded again")
	}
	s.drone.CreateBuild("org0/service-00011", dronetest.BuildSpec{})
	changed := repos(t, s)
	if same(first, changed) || !slices.Equal(first, before) {
		t.Error("the slice of before was used for the new answer")
	}
	for i := range changed {
		want := before[i]
		if want.Slug == "org0/service-00011" {
			want.Counter++
		}
		if changed[i] != want {
			t.Errorf("repository %+v, want %+v", changed[i], want)
		}
	}
	// A failure and an answer that is refused do not count as a change.
	s.drone.Intercept(dronetest.Status(500, "{}"))
	if all, err := s.Repos(t.Context()); err == nil || all != nil {
		t.Errorf("%v, %v", all, err)
	}
	s.drone.Intercept(answer("application/json", `[{"id":-1}]`))
	if all, err := s.Repos(t.Context()); err == nil || all != nil {
		t.Errorf("%v, %v", all, err)
	}
	s.drone.Intercept(nil)
	if again := repos(t, s); !same(changed, again) {
		t.Error("the same answer was decoded again after a failure")
	}
}

func TestReposNone(t *testing.T) {
	s := newScene(t, dronetest.Community)
	s.drone.Intercept(answer("application/json", "[]"))
	for range 2 {
		if all := repos(t, s); all == nil || len(all) != 0 {
			t.Errorf("repositories %v, want none", all)
		}
	}
	s.drone.Intercept(nil)
	if all := repos(t, s); len(all) != 14 {
		t.Errorf("%d repositories, want 14", len(all))
	}
}

// TestReposPages is a server so large that one page is not all, and whose pages overlap.
func TestReposPages(t *testing.T) {
	const perPage = 100_000
	page := func(from, n int) string {
		var out strings.Builder
		for id := from; id < from+n; id++ {
			_, _ = fmt.Fprintf(&out, `,{"id":%d,"namespace":"a","name":"b","slug":"a/b"}`, id)
		}
		return "[" + strings.TrimPrefix(out.String(), ",") + "]"
	}
	pages := map[string]string{"1": page(1, perPage), "2": page(perPage-9, 20)}
	s := newScene(t, dronetest.Community, func(c *droneapi.Config) { c.MaxAnswerBytes = 64 << 20 })
	s.drone.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		return answer("application/json", pages[r.URL.Query().Get("page")])(w, r)
	})
	for range 2 {
		all := repos(t, s)
		if len(all) != perPage+10 {
			t.Fatalf("%d repositories, want %d", len(all), perPage+10)
		}
		for i, repo := range all {
			if repo.ID != int64(i+1) {
				t.Fatalf("repository %d has the id %d", i, repo.ID)
			}
		}
		s.sent.wantRequests(t, 2)
	}
}

// TestManyAtOnce lets everyone ask everything and looks at what they get, and again when all are done: nothing
// that was returned may live in memory that another answer has taken.
func TestManyAtOnce(t *testing.T) {
	s := newScene(t, dronetest.Enterprise, func(c *droneapi.Config) {
		c.MaxConcurrentRequests, c.MaxRequestsPerSecond = 8, 1e9
	})
	// One in ten is refused, or is broken off and succeeds at another attempt that comes at once.
	var (
		mu    sync.Mutex
		asked int
	)
	noise := dronetest.Status(500, `{"message":"`+strings.Repeat("noise ", 1000)+`"}`)
	s.drone.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		asked++
		spoil := asked%10 == 0 && r.URL.Path != "/version"
		mu.Unlock()
		return spoil && noise(w, r)
	})
	want := make([]any, len(methods))
	for i, method := range methods {
		for want[i] == nil {
			if got, err := method.call(t.Context(), s.Client); err == nil {
				want[i] = got
			}
		}
	}
	type result struct {
		method int
		got    any
	}
	var (
		wg      sync.WaitGroup
		results []result
	)
	for i := range 16 {
		wg.Go(func() {
			for j := range 40 {
				n := (i + j) % len(methods)
				got, err := methods[n].call(context.WithoutCancel(t.Context()), s.Client)
				if err != nil {
					_ = failure[*droneapi.HTTPError](t, err)
					if !strings.Contains(err.Error(), "500 Internal Server Error: noise noise") {
						t.Errorf("%s: %v", methods[n].name, err)
					}
					continue
				}
				mu.Lock()
				results = append(results, result{n, got})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, r := range results {
		if !reflect.DeepEqual(want[r.method], r.got) {
			t.Errorf("%s (-want +got):\n%s", methods[r.method].name, cmp.Diff(want[r.method], r.got))
		}
	}
	if len(results) < 500 {
		t.Errorf("%d of 640 requests succeeded", len(results))
	}
}
