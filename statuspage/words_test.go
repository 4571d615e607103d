package statuspage

import (
	"math"
	"testing"
	"time"
)

func TestShort(t *testing.T) {
	cases := []struct {
		seconds float64
		want    string
	}{
		{math.Inf(-1), "0 s"},
		{-5, "0 s"},
		{0, "0 s"},
		{0.0004, "0 ms"},
		{0.25, "250 ms"},
		{0.999, "999 ms"},
		{0.9994, "999 ms"},
		{0.9996, "1 s"},
		{1, "1 s"},
		{1.04, "1 s"},
		{1.25, "1.2 s"},
		{9.94, "9.9 s"},
		{9.96, "10 s"},
		{59.4, "59 s"},
		{59.6, "1 min"},
		{60, "1 min"},
		{61, "1 min 1 s"},
		{192, "3 min 12 s"},
		{3599.4, "59 min 59 s"},
		{3599.7, "1 h"},
		{3605, "1 h"},
		{7500, "2 h 5 min"},
		{86399, "23 h 59 min"},
		{86400, "1 d"},
		{86400 + 3599, "1 d"},
		{3*86400 + 4*3600 + 59, "3 d 4 h"},
		{1e300, "24855 d 3 h"},
		{math.Inf(1), "24855 d 3 h"},
	}
	for _, c := range cases {
		if got := short(c.seconds); got != c.want {
			t.Errorf("%g seconds are %q, want %q", c.seconds, got, c.want)
		}
	}
}

func TestAge(t *testing.T) {
	cases := []struct {
		since time.Duration
		want  string
	}{
		{-time.Hour, "0 s"},
		{0, "0 s"},
		{499 * time.Millisecond, "0 s"},
		{500 * time.Millisecond, "1 s"},
		{1250 * time.Millisecond, "1 s"},
		{59600 * time.Millisecond, "1 min"},
		{3599700 * time.Millisecond, "1 h"},
		{24 * time.Hour, "1 d"},
		{math.MaxInt64, "24855 d 3 h"},
	}
	for _, c := range cases {
		if got := age(statusTime, statusTime.Add(-c.since)); got != c.want {
			t.Errorf("what was %s ago is of %q, want %q", c.since, got, c.want)
		}
	}
	if got := age(statusTime, time.Time{}); got != "24855 d 3 h" {
		t.Errorf("the zero time is of %q", got)
	}
}

func TestThousands(t *testing.T) {
	cases := []struct {
		n    int64
		want string
	}{
		{0, "0"}, {7, "7"}, {-7, "-7"}, {999, "999"}, {-999, "-999"}, {1000, "1\u202f000"}, {-1000, "-1\u202f000"},
		{870_212, "870\u202f212"}, {1_000_000, "1\u202f000\u202f000"},
		{math.MaxInt64, "9\u202f223\u202f372\u202f036\u202f854\u202f775\u202f807"},
		{math.MinInt64, "-9\u202f223\u202f372\u202f036\u202f854\u202f775\u202f808"},
	}
	for _, c := range cases {
		if got := thousands(c.n); got != c.want {
			t.Errorf("%d is written %q, want %q", c.n, got, c.want)
		}
	}
}

func TestExact(t *testing.T) {
	there := statusTime.In(time.FixedZone("there", 5*3600))
	if got, want := exact(there), "2026-11-24T12:17:04Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTitle(t *testing.T) {
	figure := func(name string, n int64) Figure { return Figure{Name: name, Value: &n} }
	waiting, running := figure("drone_pending_builds", 3), figure("drone_running_builds", 0)
	yes, no := true, false
	cases := []struct {
		name   string
		status Status
		want   string
	}{
		{"nothing known", Status{}, "drone.test"},
		{"both known", Status{Figures: []Figure{running, waiting}}, "3 waiting, 0 running – drone.test"},
		{"answers", Status{Drone: Drone{Up: &yes}, Figures: []Figure{running, waiting}}, "3 waiting, 0 running – drone.test"},
		{"one known", Status{Figures: []Figure{waiting, {Name: "drone_running_builds"}}}, "drone.test"},
		{"the other known", Status{Figures: []Figure{running}}, "drone.test"},
		{"away, and what was", Status{Drone: Drone{Up: &no}, Figures: []Figure{running, waiting}},
			"Drone does not answer – drone.test"},
	}
	for _, c := range cases {
		if got := title(&c.status, "drone.test"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestHostOf(t *testing.T) {
	for server, want := range map[string]string{
		"": "", "https://drone.test": "drone.test", "https://drone.test/": "drone.test", "drone.test": "drone.test",
		"http://drone.test:8080/ci/": "drone.test:8080/ci",
	} {
		if got := hostOf(server); got != want {
			t.Errorf("%s is %q, want %q", server, got, want)
		}
	}
}

func TestRefresh(t *testing.T) {
	for interval, want := range map[float64]int{0: 5, 1: 5, 15: 15, 15.9: 15, 60: 60, 300: 60, 1e300: 60} {
		if got := refresh(interval); got != want {
			t.Errorf("polled every %g s the page comes every %d s, want %d", interval, got, want)
		}
	}
}
