//go:build systemd

package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"drone-otel-agent/e2e/await"
)

// agent is a unit that runs the agent, with the Drone server that it watches.
type agent struct {
	unit
	drone   *drone
	address string // where it serves
	config  string // path of its configuration
	base    string // and its text, as it is when nothing is tried

	token string // that it knows Drone by
	// told are the builds that processes of the unit told which are no more.
	told tally

	// life is the test during which it runs, and instances are those of the template unit that run beside it.
	life      *testing.T
	instances []*agent
}

// all are the agent and the instances beside it.
func (a *agent) all() []*agent { return append([]*agent{a}, a.instances...) }

// scrape asks the agent for its metrics with a token; an empty one is none.
func (a *agent) scrape(ctx context.Context, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.address+"/metrics", http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}

// answers waits until the agent answers a scrape with the status.
func (a *agent) answers(t *testing.T, token string, want int) {
	t.Helper()
	await.Until(t, fmt.Sprintf("the answer %d", want), func() error {
		status, _, err := a.scrape(t.Context(), token)
		if err == nil && status != want {
			return fmt.Errorf("a scrape answers %d", status)
		}
		return err
	})
}

// series are the values of a scrape by "name{labels}".
type series map[string]float64

// figures gives a scrape's series.
func (a *agent) figures(ctx context.Context) (series, error) {
	status, body, err := a.scrape(ctx, a.token)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("a scrape answers %d: %s", status, body)
	}
	all := series{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		cut := strings.LastIndexByte(line, ' ')
		if line == "" || line[0] == '#' || cut < 0 {
			continue
		}
		if all[line[:cut]], err = strconv.ParseFloat(line[cut+1:], 64); err != nil {
			return nil, fmt.Errorf("reading the scrape: %w", err)
		}
	}
	return all, nil
}

var finishedBuilds = regexp.MustCompile(
	`^drone_build_finished_total\{cicd_pipeline_name="([^"]*)",drone_build_status="([^"]*)"\}$`)

// finished are the builds that this process of the agent told.
func (s series) finished() tally {
	told := tally{}
	for name, value := range s {
		if found := finishedBuilds.FindStringSubmatch(name); found != nil {
			told[found[1]+" "+found[2]] = value
		}
	}
	return told
}

// exact holds the figures against Drone's: the seven totals, and every build that ended told once.
func (a *agent) exact(ctx context.Context) error {
	got, err := a.figures(ctx)
	if err != nil {
		return err
	}
	now := a.drone.Totals()
	var wrong []error
	for name, want := range map[string]int{
		"drone_build_count":    now.Builds,
		"drone_user_count":     now.Users,
		"drone_repo_count":     now.Repos,
		"drone_pending_builds": now.PendingBuilds,
		"drone_running_builds": now.RunningBuilds,
		"drone_pending_jobs":   now.PendingJobs,
		"drone_running_jobs":   now.RunningJobs,
		"drone_up":             1,
	} {
		if is, there := got[name]; !there || is != float64(want) {
			wrong = append(wrong, fmt.Errorf("%s is %v (there: %t), want %d", name, is, there, want))
		}
	}
	wrong = append(wrong, a.told.plus(got.finished()).differs(a.drone.ended()))
	return errors.Join(wrong...)
}

// right waits until the figures are right.
func (a *agent) right(t *testing.T) {
	t.Helper()
	await.Until(t, "the figures of "+a.name+" to be Drone's", func() error { return a.exact(t.Context()) })
}

// stays holds that the figures are right some polls later, too. They are cumulative over all processes: a build that
// was told twice at any time is one too many for ever.
func (a *agent) stays(t *testing.T) {
	t.Helper()
	a.drone.requests(t, 5)
	if err := a.exact(t.Context()); err != nil {
		t.Errorf("some polls later: %v", err)
	}
}

// again lets the agent's process be replaced by another one, which goes on exactly where that one was.
func (a *agent) again(t *testing.T, replace func()) {
	t.Helper()
	allAgain(t, []*agent{a}, replace)
}

// allAgain is again for several agents at once.
func allAgain(t *testing.T, agents []*agent, replace func()) {
	t.Helper()
	processes, told := make([]int, len(agents)), make([]tally, len(agents))
	for i, a := range agents {
		a.right(t)
		a.drone.requests(t, 2) // what was told is written down by then
		processes[i], told[i] = a.pid(t), a.drone.ended()
	}
	replace()
	for i, a := range agents {
		a.await(t, "active (running)")
		if a.pid(t) == processes[i] {
			t.Fatalf("%s has the same process", a.name)
		}
		a.told = told[i]
		a.right(t)
	}
}

// configure writes the configuration that the person left, with lines added to its sections: pairs of section and
// lines.
func (a *agent) configure(t *testing.T, pairs ...string) {
	t.Helper()
	text := a.base
	for i := 0; i < len(pairs); i += 2 {
		head := pairs[i] + ":\n"
		if !strings.Contains(text, head) {
			t.Fatalf("the configuration has no section %s:\n%s", pairs[i], text)
		}
		text = strings.Replace(text, head, head+pairs[i+1], 1)
	}
	a.write(t, a.config, "0644", text)
}

// reload is what the person does after a change. It waits until the change is in force.
func (a *agent) reload(t *testing.T) {
	t.Helper()
	mark := a.mark(t)
	a.run(t, "systemctl", "reload", a.name)
	a.said(t, mark, "configuration reloaded")
}
