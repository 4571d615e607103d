package statuspage

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// view is the page as the template writes it: every word is made here, so that the template holds structure alone.
type view struct {
	Paths   Paths
	Title   string
	Version string
	// Door is what somebody sees who may not read; nil where Status is what they see.
	Door   *door
	Status *statusView
}

// door is what is said there, and whether that is a refusal.
type door struct {
	Said    string
	Refused bool
	// Again is after how many seconds the door is to be tried again: nothing was wrong with the token. 0 is never.
	Again int
}

type statusView struct {
	Server, Release string
	Leave           bool
	// Refresh is after how many seconds the page is asked for again.
	Refresh int
	// Of is the time of the data, nil where there is none.
	Of         *moment
	Health     []health
	Figures    []figure
	Labels     []string // the heads of the columns for the labels of the queue
	Queue      []platform
	QueueKnown bool
	Builds     []build
	BuildsHead string
	Failures   []failure
	// FailuresKnown and BuildsKnown tell that an empty list is a list.
	FailuresKnown, BuildsKnown bool
	Repositories               string
	Running                    string // for how long the agent has run; empty where that is not known
}

// health is a card that says how one thing is doing.
type health struct {
	Name, State string
	// Level is ok, warn, bad or off.
	Level string
	Lines []string
}

// moment is a time as it is shown, and as machines read it.
type moment struct{ Text, Exact string }

type figure struct {
	Name, Label, Value string
	Known              bool
	Line               line
}

type platform struct {
	Name, Type       string
	Labels           []string
	Pending, Running int64
	Oldest           string
}

type build struct {
	Name, URL, State, Class, Age, Where string
}

type failure struct {
	Name, URL, Status, Took, Now string
	Fixed                        bool
	Ago                          moment
}

func (p *Page) outside(status int, said string) *view {
	d := &door{Said: said, Refused: status != http.StatusOK}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		d.Again = doorAgain
	}
	return &view{Paths: p.cfg.Paths, Version: p.cfg.Version, Title: "drone-otel-agent", Door: d}
}

func (p *Page) inside(s *Status, leave bool) *view {
	v := &statusView{
		Server: hostOf(s.Drone.Server), Leave: leave, Refresh: refresh(s.Agent.PollInterval),
		Health: []health{droneHealth(s), dataHealth(s), pushHealth(s)}, Figures: figures(s),
		QueueKnown: s.Queue != nil, FailuresKnown: s.Failures != nil, BuildsKnown: s.Builds != nil,
	}
	if fresh := s.Drone.Fresh; fresh != nil {
		v.Of = &moment{fresh.UTC().Format(time.TimeOnly) + " UTC", exact(*fresh)}
	}
	if !s.Agent.Started.IsZero() {
		v.Running = age(s.Time, s.Agent.Started)
	}
	if s.Agent.ConfigurationRefused {
		v.Health = append(v.Health, health{"Configuration", "refused", "warn", []string{
			"The newest configuration has a mistake; the one before stays in force. The agent's log says what to mend.",
		}})
	}
	if s.Drone.Version != "" {
		v.Release = fmt.Sprintf("Drone %s, %s edition", s.Drone.Version, s.Drone.Edition)
	}
	if r := s.Repositories; r != nil {
		v.Repositories = fmt.Sprintf("%s active repositories, %s inactive, %s whose builds cannot be read, "+
			"%s without series of their own", thousands(r.Active), thousands(r.Inactive), thousands(r.Unreachable),
			thousands(r.Folded))
	}
	v.Labels, v.Queue = queue(s)
	v.builds(s)
	for _, f := range s.Failures {
		v.Failures = append(v.Failures, failed(s, f))
	}
	return &view{Paths: p.cfg.Paths, Version: p.cfg.Version, Title: title(s, v.Server), Status: v}
}

// How often the page is asked for again, in seconds, and the door that nobody could be let in at.
const (
	refreshLeast, refreshMost = 5, 60
	doorAgain                 = 15
)

func refresh(interval float64) int { return int(min(refreshMost, max(refreshLeast, interval))) }

func hostOf(server string) string {
	_, host, found := strings.Cut(server, "://")
	if !found {
		return server
	}
	return strings.TrimSuffix(host, "/")
}

// title says the most important thing, for a tab in the background.
func title(s *Status, server string) string {
	if s.Drone.Up != nil && !*s.Drone.Up {
		return "Drone does not answer – " + server
	}
	known := map[string]int64{}
	for _, f := range s.Figures {
		if f.Value != nil {
			known[f.Name] = *f.Value
		}
	}
	waiting, some := known["drone_pending_builds"]
	running, both := known["drone_running_builds"]
	if !some || !both {
		return server
	}
	return fmt.Sprintf("%d waiting, %d running – %s", waiting, running, server)
}

func droneHealth(s *Status) health {
	h := health{Name: "Drone"}
	switch {
	case s.Drone.Up == nil:
		h.State, h.Level = "not asked yet", "off"
	case *s.Drone.Up:
		h.State, h.Level = "answers", "ok"
	default:
		h.State, h.Level = "does not answer as it should", "bad"
	}
	if t := s.Drone.Trouble; t != nil {
		h.Lines = append(h.Lines, t.lines(s.Time)...)
	} else {
		h.Lines = append(h.Lines, s.Drone.Server)
	}
	return h
}

func (t *Trouble) lines(now time.Time) []string {
	lines := []string{"For " + age(now, t.Since) + ": " + t.Error}
	if t.Cure != "" {
		lines = append(lines, "What to do: "+t.Cure)
	}
	return lines
}

func dataHealth(s *Status) health {
	h := health{Name: "Data"}
	switch {
	case s.Drone.Fresh == nil:
		h.State, h.Level = "none yet", "off"
	case s.Drone.Stale:
		h.State, h.Level = age(s.Time, *s.Drone.Fresh)+" old", "bad"
		h.Lines = append(h.Lines, "Too old to be shown as what is.")
	default:
		h.State, h.Level = age(s.Time, *s.Drone.Fresh)+" old", "ok"
		if s.Drone.Up != nil && !*s.Drone.Up {
			h.Level = "warn"
		}
	}
	if s.Drone.PollSeconds != nil {
		h.Lines = append(h.Lines, fmt.Sprintf("The last poll took %s; one is made about every %s.",
			short(*s.Drone.PollSeconds), short(s.Agent.PollInterval)))
	}
	return h
}

func pushHealth(s *Status) health {
	h := health{Name: "Push over OTLP"}
	switch s.Push.State {
	case "ok":
		h.State, h.Level = "is taken", "ok"
	case "away":
		h.State, h.Level = "is not taken", "bad"
	case "waiting":
		h.State, h.Level = "not tried yet", "off"
	default:
		h.State, h.Level = "off", "off"
		h.Lines = []string{"No Collector is configured (otlp.endpoint)."}
		return h
	}
	h.Lines = append(h.Lines, "To "+s.Push.Endpoint)
	if t := s.Push.Trouble; t != nil {
		h.Lines = append(h.Lines, t.lines(s.Time)...)
	}
	if s.Push.LastSuccess != nil {
		h.Lines = append(h.Lines, "Last taken "+age(s.Time, *s.Push.LastSuccess)+" ago.")
	}
	if s.Push.Rejected != "" {
		if h.Level == "ok" {
			h.State, h.Level = "is taken in part", "warn"
		}
		h.Lines = append(h.Lines, "Not taken: "+s.Push.Rejected)
	}
	return h
}

// label is what people call a figure.
func label(name string) string {
	switch name {
	case "drone_build_count":
		return "Builds stored"
	case "drone_user_count":
		return "Users"
	case "drone_repo_count":
		return "Active repositories"
	case "drone_pending_builds":
		return "Builds waiting"
	case "drone_pending_jobs":
		return "Jobs waiting"
	case "drone_running_builds":
		return "Builds running"
	case "drone_running_jobs":
		return "Jobs running"
	}
	return name
}

func figures(s *Status) []figure {
	var out []figure
	for _, f := range s.Figures {
		shown := figure{Name: f.Name, Label: label(f.Name), Value: "not known", Line: drawLine(s.Time, f.History)}
		if f.Value != nil {
			shown.Known, shown.Value = true, thousands(*f.Value)
		}
		out = append(out, shown)
	}
	return out
}

func queue(s *Status) (labels []string, rows []platform) {
	names := map[string]bool{}
	for _, p := range s.Queue {
		for name := range p.Labels {
			names[name] = true
		}
	}
	labels = slices.Sorted(maps.Keys(names))
	for _, p := range s.Queue {
		row := platform{
			Name: p.OS + "/" + p.Arch, Type: p.Type, Pending: p.Jobs.Pending, Running: p.Jobs.Running, Oldest: "–",
		}
		for _, name := range labels {
			row.Labels = append(row.Labels, p.Labels[name])
		}
		if p.Oldest != nil {
			row.Oldest = age(s.Time, *p.Oldest)
		}
		rows = append(rows, row)
	}
	return labels, rows
}

func (v *statusView) builds(s *Status) {
	if s.Builds == nil {
		return
	}
	for _, b := range s.Builds.Open {
		row := build{Name: buildName(b.Repository, b.Number), URL: b.URL, Class: string(b.State), Age: "not known"}
		switch b.State {
		case Waiting:
			row.State = "waits for a runner"
		case Running:
			row.State = "runs"
			if b.Jobs.Pending > 0 {
				row.State = fmt.Sprintf("runs, %d jobs wait", b.Jobs.Pending)
			}
			if b.Jobs.Pending == 1 {
				row.State = "runs, 1 job waits"
			}
		case Blocked:
			row.State = "waits for approval"
		}
		if b.Created != nil {
			row.Age = age(s.Time, *b.Created)
		}
		row.Where = strings.Join(b.Platforms, ", ")
		if len(b.Machines) > 0 {
			row.Where = strings.TrimPrefix(row.Where+" on "+strings.Join(b.Machines, ", "), " ")
		}
		v.Builds = append(v.Builds, row)
	}
	if more := s.Builds.Total - len(s.Builds.Open); more > 0 {
		v.BuildsHead = fmt.Sprintf("The oldest of each kind; %s more are not listed.", thousands(int64(more)))
	}
}

func buildName(repository string, number *int64) string {
	if number == nil {
		return repository
	}
	return repository + " #" + strconv.FormatInt(*number, 10)
}

func failed(s *Status, f Failure) failure {
	out := failure{
		Name: buildName(f.Repository, &f.Number), URL: f.URL, Status: f.Status, Took: short(f.Seconds),
		Ago: moment{age(s.Time, f.Finished) + " ago", exact(f.Finished)}, Fixed: f.Fixed, Now: "still red",
	}
	if f.Fixed {
		out.Now = "green again"
	}
	return out
}
