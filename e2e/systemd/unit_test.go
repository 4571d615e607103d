//go:build systemd

package systemd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"drone-otel-agent/e2e/await"
)

// unit is a unit of systemd's on a host.
type unit struct {
	*host
	name string
}

// show gives a property of the unit.
func (u unit) show(t testing.TB, property string) string {
	t.Helper()
	return u.run(t, "systemctl", "show", "--value", "--property="+property, u.name)
}

// number gives a property that is a number.
func (u unit) number(t testing.TB, property string) int {
	t.Helper()
	text := u.show(t, property)
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s of %s is %q, want a number", property, u.name, text)
	}
	return n
}

// pid is the process id of the agent, inside the container.
func (u unit) pid(t testing.TB) int {
	t.Helper()
	pid := u.number(t, "MainPID")
	if pid == 0 {
		t.Fatalf("%s has no process; it is %s", u.name, u.state(t))
	}
	return pid
}

func (u unit) state(t testing.TB) string {
	t.Helper()
	return u.show(t, "ActiveState") + " (" + u.show(t, "SubState") + ")"
}

// await waits until the unit is in a state, such as "active (running)".
func (u unit) await(t *testing.T, state string) {
	t.Helper()
	await.Until(t, u.name+" to be "+state, func() error {
		if is := u.state(t); is != state {
			return fmt.Errorf("it is %s", is)
		}
		return nil
	})
}

// proc reads a file of the agent's below /proc.
func (u unit) proc(t *testing.T, file string) string {
	t.Helper()
	return u.run(t, "cat", fmt.Sprintf("/proc/%d/%s", u.pid(t), file))
}

// setting adds lines to the unit's [Service] section until the end of the test.
func (u unit) setting(t *testing.T, lines string) {
	t.Helper()
	u.dropIn(t, "[Service]\n"+lines)
}

// dropIn lays a file over the unit until the end of the test. It is for the next start of the unit.
func (u unit) dropIn(t *testing.T, text string) {
	t.Helper()
	folder := "/run/systemd/system/" + u.name + ".d"
	u.write(t, folder+"/e2e.conf", "0644", text)
	u.run(t, "systemctl", "daemon-reload")
	t.Cleanup(func() {
		u.afterwards(t, "rm", "-r", folder)
		u.afterwards(t, "systemctl", "daemon-reload")
	})
}

// entry is an entry of the journal.
type entry struct {
	Message  text   `json:"MESSAGE"`
	Priority string `json:"PRIORITY"`
	// Identifier is drone-otel-agent for the agent's own lines, and systemd for what systemd says about the unit.
	Identifier string `json:"SYSLOG_IDENTIFIER"`
	Cursor     string `json:"__CURSOR"`
}

// text is a field of the journal: one that is not plain text is written as a list of bytes.
type text string

func (x *text) UnmarshalJSON(raw []byte) error {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		*x = text(plain)
		return nil
	}
	var numbers []int
	if err := json.Unmarshal(raw, &numbers); err != nil {
		return fmt.Errorf("reading a field of the journal: %w", err)
	}
	var bytes []byte
	for _, n := range numbers {
		bytes = append(bytes, byte(n))
	}
	*x = text(bytes)
	return nil
}

// now is a place in the journal: what comes after it is news.
type now string

// mark is the end of the journal.
func (u unit) mark(t *testing.T) now {
	t.Helper()
	u.run(t, "journalctl", "--sync")
	output := u.run(t, "journalctl", "--lines=1", "--output=json", "--output-fields=MESSAGE")
	var last entry
	if err := json.Unmarshal([]byte(output), &last); err != nil {
		t.Fatalf("reading the end of the journal: %v\n%s", err, output)
	}
	return now(last.Cursor)
}

// journal gives what the journal has about the unit, the agent's lines and systemd's; all of it, or since a mark.
func (u unit) journal(t testing.TB, since ...now) []entry {
	t.Helper()
	args := []string{"journalctl", "--unit=" + u.name, "--output=json"}
	for _, mark := range since {
		args = append(args, "--after-cursor="+string(mark))
	}
	var entries []entry
	for line := range strings.Lines(u.run(t, args...)) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("reading the journal: %v\n%s", err, line)
		}
		entries = append(entries, e)
	}
	return entries
}

// said waits until the journal has an entry since the mark that contains the words, and gives the first one.
func (u unit) said(t *testing.T, since now, words ...string) entry {
	t.Helper()
	var found entry
	await.Until(t, fmt.Sprintf("%q in the journal of %s", words, u.name), func() error {
		entries := u.journal(t, since)
		var all strings.Builder
		for _, e := range entries {
			if hasAll(string(e.Message), words) {
				found = e
				return nil
			}
			all.WriteString(string(e.Message) + "\n")
		}
		return errors.New("it has only\n" + all.String())
	})
	return found
}

func hasAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// logOnFailure shows the unit's journal where the test has failed.
func (u unit) logOnFailure(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal of %s:\n%s", u.name, u.afterwards(t,
				"journalctl", "--unit="+u.name, "--output=short-precise", "--lines=60"))
		}
	})
}

// lasts holds that the same process runs on for a time.
func (u unit) lasts(t *testing.T, how time.Duration, while func()) {
	t.Helper()
	pid, restarts, start := u.pid(t), u.number(t, "NRestarts"), time.Now()
	while()
	await.Until(t, how.String()+" to pass", func() error {
		if left := how - time.Since(start); left > 0 {
			return fmt.Errorf("%s are left", left)
		}
		return nil
	})
	if is, n := u.pid(t), u.number(t, "NRestarts"); is != pid || n != restarts {
		t.Errorf("%s was restarted: process %d, want %d; %d restarts, want %d", u.name, is, pid, n, restarts)
	}
}
