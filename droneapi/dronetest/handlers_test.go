package dronetest_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
)

// people gives a server with users and repositories of all kinds.
func people(t *testing.T) *dronetest.Server {
	t.Helper()
	s := dronetest.New(dronetest.Enterprise)
	for _, v := range []string{dronetest.Public, dronetest.Internal, dronetest.Private} {
		s.AddRepo(dronetest.Repo{Slug: "org0/" + v, Visibility: v, Active: true})
	}
	s.AddUser(dronetest.User{Login: "plain", Active: true})
	s.AddUser(dronetest.User{Login: "machine", Active: true, Machine: true})
	s.AddUser(dronetest.User{Login: "reader", Active: true})
	s.AddUser(dronetest.User{Login: "gone"})
	s.GrantRead("reader", "org0/private")
	s.GrantRead("gone", "org0/private")
	return s
}

func TestAccess(t *testing.T) {
	s := people(t)
	const plain, machine, gone = "token-of-plain", "token-of-machine", "token-of-gone"
	admin := dronetest.DefaultToken
	type by map[string]int
	for path, want := range map[string]by{
		"/api/user":                          {"": 401, "unknown": 401, plain: 200, gone: 200, admin: 200},
		"/api/users":                         {"": 401, "unknown": 401, plain: 403, machine: 403, admin: 200},
		"/api/users/":                        {plain: 403, admin: 200},
		"/api/repos":                         {"": 401, plain: 403, admin: 200},
		"/api/queue":                         {"": 401, machine: 403, admin: 200},
		"/metrics":                           {"": 401, "unknown": 403, plain: 403, machine: 200, admin: 200},
		"/version":                           {"": 200, "unknown": 200},
		"/healthz":                           {"": 200},
		"/api/repos/org0/public/builds":      {"": 200, "unknown": 200, plain: 200, admin: 200},
		"/api/repos/org0/internal/builds":    {"": 401, plain: 200, admin: 200},
		"/api/repos/org0/private/builds":     {"": 401, plain: 404, "token-of-reader": 200, admin: 200},
		"/api/repos/org0/private/builds/":    {gone: 403},
		"/api/repos/org0/none/builds":        {"": 401, plain: 404, admin: 404},
		"/api/repos/org0/public/builds/x":    {admin: 400},
		"/api/repos/org0/public/nothing":     {admin: 404},
		"/api/nothing":                       {"": 404, admin: 404},
		"/some/page/of/the/web/application":  {"": 200},
		"/api/repos/org0/public/builds/1/2/": {"": 404},
	} {
		for token, status := range want {
			if a := get(t, s, path, token); a.Status != status {
				t.Errorf("GET %s with token %q: %+v, want %d", path, token, a, status)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	s := people(t)
	login := func(r *http.Request) string {
		resp, err := s.RoundTripper().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			return resp.Status
		}
		if got := resp.Header.Get("Cache-Control"); got != "no-cache, private, max-age=0" {
			t.Errorf("Cache-Control: %q", got)
		}
		return "known"
	}
	for name, tt := range map[string]struct{ header, query, want string }{
		"bearer":                {"Bearer token-of-plain", "", "known"},
		"without the word":      {"token-of-plain", "", "known"},
		"parameter":             {"", "?access_token=token-of-plain", "known"},
		"the header goes first": {"Bearer x", "?access_token=token-of-plain", "401 Unauthorized"},
		"another scheme":        {"Basic token-of-plain", "", "401 Unauthorized"},
		"none":                  {"", "", "401 Unauthorized"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://drone.example.com/api/user"+tt.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", tt.header)
		if got := login(r); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	s.UpdateUser("plain", func(u *dronetest.User) { u.Token = "new" })
	old, fresh := get(t, s, "/api/user", "token-of-plain"), get(t, s, "/api/user", "new")
	if old.Status != 401 || fresh.Status != 200 {
		t.Errorf("after the change of the token: old %d, new %d", old.Status, fresh.Status)
	}
	s.RemoveUser("plain")
	if a := get(t, s, "/api/user", "new"); a.Status != 401 {
		t.Errorf("a removed user's token: %d", a.Status)
	}
	if got := into[[]dronetest.User](t, s, "/api/users"); len(got) != 4 || got[0].Login != "gone" || got[0].Token != "" {
		t.Errorf("users: %+v, want 4, sorted by login, without tokens", got)
	}
}

func TestEditionAndVersion(t *testing.T) {
	s := people(t)
	status := func(path string) int { return get(t, s, path, dronetest.DefaultToken).Status }
	s.SetEdition(dronetest.Community)
	for _, p := range []string{"/api/queue", "/api/builds/incomplete", "/api/builds/incomplete/v2", "/api/system/stats"} {
		if got := status(p); got != 501 {
			t.Errorf("community: GET %s: %d, want 501", p, got)
		}
		if got := get(t, s, p, "").Status; got != 401 {
			t.Errorf("community: GET %s as a stranger: %d, want 401", p, got)
		}
	}
	s.SetEdition(dronetest.Enterprise)
	for _, tt := range []struct {
		version   string
		repos, v2 int
	}{{"1.5.1", 404, 404}, {"1.6.0", 200, 404}, {"2.4.0", 200, 404}, {"2.5.0", 200, 200}, {"10.0.0", 200, 200}} {
		s.SetVersion(tt.version)
		if got := get(t, s, "/version", "").Body; got != `{"version":"`+tt.version+`"}`+"\n" {
			t.Errorf("version: %s", got)
		}
		if a, b := status("/api/repos"), status("/api/builds/incomplete/v2"); a != tt.repos || b != tt.v2 {
			t.Errorf("%s: repos %d, incomplete/v2 %d, want %d, %d", tt.version, a, b, tt.repos, tt.v2)
		}
	}
}

func TestPaging(t *testing.T) {
	s, _ := newWorld(t)
	for i := range 130 {
		s.CreateBuild(slug, dronetest.BuildSpec{})
		s.AddRepo(dronetest.Repo{Slug: fmt.Sprintf("org1/r%03d", i)})
	}
	for _, tt := range []struct {
		query         string
		builds, repos int // how many rows
		first         int64
	}{
		{"", 25, 25, 130}, {"?per_page=100", 100, 100, 130}, {"?per_page=101", 25, 101, 130},
		{"?per_page=0", 25, 25, 130}, {"?per_page=-3&page=-2", 25, 25, 130}, {"?per_page=x&page=y", 25, 25, 130},
		{"?page=0&per_page=7", 7, 7, 130}, {"?page=2&per_page=7", 7, 7, 123}, {"?page=2&per_page=100", 30, 31, 30},
		{"?page=3&per_page=100", 0, 0, 0},
	} {
		builds := into[[]dronetest.Build](t, s, "/api/repos/"+slug+"/builds"+tt.query)
		repos := into[[]dronetest.Repo](t, s, "/api/repos"+tt.query)
		if len(builds) != tt.builds || len(repos) != tt.repos {
			t.Errorf("%s: %d builds, %d repositories, want %d, %d",
				tt.query, len(builds), len(repos), tt.builds, tt.repos)
		}
		if tt.first != 0 && builds[0].Number != tt.first {
			t.Errorf("%s: the first build is %d, want %d", tt.query, builds[0].Number, tt.first)
		}
	}
	if a := get(t, s, "/api/repos/"+slug+"/builds?page=9", dronetest.DefaultToken); a.Body != "[]\n" {
		t.Errorf("past the end: %q, want []", a.Body)
	}
	s.CreateBuild(slug, dronetest.BuildSpec{Branch: "x"})
	if got := numbers(t, s, "?branch=x"); got != "131" {
		t.Errorf("of branch x there are %s, want 131", got)
	}
}

func TestIncompleteStopsAtFifty(t *testing.T) {
	s, _ := newWorld(t)
	for range 60 {
		s.CreateBuild(slug, threeStages)
	}
	repos := into[[]dronetest.Repo](t, s, "/api/builds/incomplete")
	if len(repos) != 50 || repos[0].Build.Number != 60 || repos[49].Build.Number != 11 {
		t.Errorf("incomplete: %d rows, want the 50 newest", len(repos))
	}
	if got := into[[]any](t, s, "/api/builds/incomplete/v2"); len(got) != 60 {
		t.Errorf("incomplete/v2: %d rows, want 60", len(got))
	}
	if got := into[[]any](t, s, "/api/queue"); len(got) != 60 {
		t.Errorf("queue: %d rows, want 60", len(got))
	}
}

func TestStatsLeavePlatformsOut(t *testing.T) {
	s, _ := newWorld(t)
	for _, st := range []dronetest.StageSpec{
		{}, {Arch: "arm64"}, {Arch: "arm"}, {Arch: "arm", Variant: "v6"}, {Arch: "arm", Variant: "v9"},
		{OS: "windows"}, {OS: "windows", Kernel: "1709"}, {OS: "windows", Kernel: "1803"},
		{OS: "darwin", Arch: "arm64"}, {Arch: "riscv64"},
	} {
		b := s.CreateBuild(slug, dronetest.BuildSpec{Stages: []dronetest.StageSpec{st, st}})
		s.StartStage(slug, b.Number, 2, "runner-1")
	}
	var got []string
	for _, p := range into[struct {
		Pipelines []struct {
			OS, Arch, Variant, Kernel string
			Pending, Running          int
		}
	}](t, s, "/api/system/stats").Pipelines {
		got = append(got, fmt.Sprint(p.OS, p.Arch, p.Variant, p.Kernel, " ", p.Pending, " ", p.Running))
	}
	want := []string{
		"linuxarmv6 1 1", "linuxarmv7 1 1", "linuxarm64v8 2 2", "linuxarmv9 1 1", "linuxamd64 0 0",
		"windowsarm641709 1 1", "windowsarm641803 1 1", "windowsarm641809 1 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pipelines (-want +got):\n%s", diff)
	}
}

func TestShuffledRepos(t *testing.T) {
	s := dronetest.New(dronetest.Enterprise, dronetest.WithShuffledRepos(1))
	for i := range 100 {
		s.AddRepo(dronetest.Repo{Slug: fmt.Sprintf("org1/r%03d", i)})
	}
	ids := func(query string) (out []int64) {
		for _, r := range into[[]dronetest.Repo](t, s, "/api/repos"+query) {
			out = append(out, r.ID)
		}
		return out
	}
	whole := ids("?per_page=1000")
	if slices.IsSorted(whole) {
		t.Error("one page holds the repositories in the order of their ids")
	}
	slices.Sort(whole)
	if whole = slices.Compact(whole); len(whole) != 100 {
		t.Errorf("one page holds %d repositories, want 100", len(whole))
	}
	var paged []int64
	for page := 1; page <= 4; page++ {
		paged = append(paged, ids(fmt.Sprintf("?page=%d&per_page=25", page))...)
	}
	slices.Sort(paged)
	if got := len(slices.Compact(paged)); got == 100 {
		t.Error("four pages hold every repository once")
	}
}

func TestCachedRowsFollowChanges(t *testing.T) {
	s, _ := newWorld(t)
	row := func() dronetest.Repo { return into[[]dronetest.Repo](t, s, "/api/repos")[0] }
	before := row()
	s.CreateBuild(slug, dronetest.BuildSpec{})
	if r := row(); r.Counter != 1 || r.Version != before.Version+1 {
		t.Errorf("after a build: counter %d, version %d", r.Counter, r.Version)
	}
	s.SetRepoActive(slug, false)
	if r := row(); r.Active {
		t.Error("the repository is listed as active after it was disabled")
	}
}
