package dronetest

import (
	"fmt"
	"net/http"
	"strings"
)

// Totals are the seven numbers of Drone Enterprise's /metrics, counted as its queries do.
type Totals struct {
	Builds        int // rows of builds, those of inactive and of deleted repositories too
	Users         int // rows of users: machines, admins and inactive ones too
	Repos         int // repositories that are active
	PendingBuilds int // builds with at least one stage pending
	RunningBuilds int // builds with at least one stage running
	PendingJobs   int // stages pending
	RunningJobs   int // stages running
}

// Totals counts the world as it is now, in either edition and without asking a handler.
func (s *Server) Totals() Totals {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.world.totals()
}

func (w *world) totals() Totals {
	t := Totals{Users: len(w.users)}
	for _, rp := range w.repos {
		t.Builds += len(rp.rows)
		if rp.Active {
			t.Repos++
		}
	}
	for _, rp := range w.orphans {
		t.Builds += len(rp.rows)
	}
	for _, b := range w.open {
		if b.has(StatusPending) {
			t.PendingBuilds++
		}
		if b.has(StatusRunning) {
			t.RunningBuilds++
		}
		for _, st := range b.Stages {
			switch st.Status {
			case StatusPending:
				t.PendingJobs++
			case StatusRunning:
				t.RunningJobs++
			}
		}
	}
	return t
}

// handleMetrics answers with the seven alone; a real server adds those of Go and of the process.
func (s *Server) handleMetrics(c *call) {
	user, claimed := s.session(c.r)
	s.mu.RLock()
	edition, t := s.edition, s.world.totals()
	s.mu.RUnlock()
	switch {
	case edition == Community:
		c.w.WriteHeader(http.StatusOK)
		return
	case !claimed:
		http.Error(c.w, "Invalid or missing prometheus token", http.StatusUnauthorized)
		return
	case user == nil || !user.Admin && !user.Machine:
		http.Error(c.w, "Access denied", http.StatusForbidden)
		return
	}
	var b strings.Builder
	for _, m := range []struct {
		name, help string
		value      int
	}{
		{"drone_build_count", "Total number of builds.", t.Builds},
		{"drone_pending_builds", "Total number of pending builds.", t.PendingBuilds},
		{"drone_pending_jobs", "Total number of pending jobs.", t.PendingJobs},
		{"drone_repo_count", "Total number of registered repositories.", t.Repos},
		{"drone_running_builds", "Total number of running builds.", t.RunningBuilds},
		{"drone_running_jobs", "Total number of running jobs.", t.RunningJobs},
		{"drone_user_count", "Total number of active users.", t.Users},
	} {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", m.name, m.help, m.name, m.name, m.value)
	}
	c.w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = c.w.Write([]byte(b.String()))
}

// platform is an element of the pipelines of /api/system/stats.
type platform struct {
	Subscribers int    `json:"subscribers"`
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	Variant     string `json:"variant"`
	Kernel      string `json:"kernel"`
	Pending     int    `json:"pending"`
	Running     int    `json:"running"`
}

// platforms are the eight that Drone knows, in its order.
func platforms() []platform {
	return []platform{
		{OS: "linux", Arch: "arm", Variant: "v6"},
		{OS: "linux", Arch: "arm", Variant: "v7"},
		{OS: "linux", Arch: "arm64", Variant: "v8"},
		{OS: "linux", Arch: "arm", Variant: "v9"},
		{OS: "linux", Arch: "amd64"},
		{OS: "windows", Arch: "arm64", Kernel: "1709"},
		{OS: "windows", Arch: "arm64", Kernel: "1803"},
		{OS: "windows", Arch: "arm64", Kernel: "1809"},
	}
}

// platformOf gives the index under which Drone counts a stage, or -1 for the stages that it leaves
// out: linux/amd64 among them, and whatever it does not know, unless the architecture is arm or
// arm64, which it takes for linux.
func platformOf(st *Stage) int {
	switch {
	case st.OS == "windows" && st.Kernel == "1709":
		return 5
	case st.OS == "windows" && st.Kernel == "1803":
		return 6
	case st.OS == "windows":
		return 7
	case st.Arch == "arm" && st.Variant == "v6":
		return 0
	case st.Arch == "arm" && st.Variant == "v9":
		return 3
	case st.Arch == "arm":
		return 1
	case st.Arch == "arm64":
		return 2
	}
	return -1
}

func (s *Server) handleStats(c *call) {
	type total struct {
		Total int `json:"total"`
	}
	var stats struct {
		Users total `json:"users"`
		Repos struct {
			Active int `json:"active"`
		} `json:"repos"`
		Builds struct {
			Pending int `json:"pending"`
			Running int `json:"running"`
			Total   int `json:"total"`
		} `json:"builds"`
		Pipelines []platform `json:"pipelines"`
		Events    struct {
			Subscribers int `json:"subscribers"`
		} `json:"events"`
		Streams  map[int64]int `json:"streams"`
		Watchers map[int64]int `json:"watchers"`
	}
	s.mu.RLock()
	t := s.world.totals()
	stats.Pipelines = platforms()
	for _, st := range s.world.openStages() {
		switch i := platformOf(st); {
		case i < 0:
		case st.Status == StatusPending:
			stats.Pipelines[i].Pending++
		default:
			stats.Pipelines[i].Running++
		}
	}
	s.mu.RUnlock()
	stats.Users.Total, stats.Repos.Active = t.Users, t.Repos
	stats.Builds.Pending, stats.Builds.Running, stats.Builds.Total = t.PendingBuilds, t.RunningBuilds, t.Builds
	stats.Streams = map[int64]int{}
	c.reply(encode(stats))
}
