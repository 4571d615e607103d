package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"drone-otel-agent/agent"
	"drone-otel-agent/droneapi/dronetest"
)

// TestMain lets the test binary be the agent where a script asks for it: the scripts run the real main in a
// process of its own.
func TestMain(m *testing.M) {
	testscript.Main(waiting{m}, map[string]func(){program: main})
}

// waiting runs more tests at once than there are processors, unless it is told how many: scripts wait for polls
// most of their time. It fails where a test leaves a goroutine behind.
type waiting struct{ *testing.M }

func (m waiting) Run() int {
	flag.Parse()
	explicit := false
	flag.Visit(func(f *flag.Flag) { explicit = explicit || f.Name == "test.parallel" })
	if !explicit {
		_ = flag.Set("test.parallel", "8")
	}
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// The tokens that scripts use. None may be in anything that the agent writes or serves.
const (
	plainToken = "token-of-user0001" // of a user who is neither an administrator nor a machine
	wrongToken = "0123456789abcdef0123456789abcdef"
)

// TestScripts runs testdata/script/*.txtar. What stands in them beside testscript's own commands is in
// scriptcommands_test.go.
func TestScripts(t *testing.T) {
	testscript.RunT(scriptT{T: t}, testscript.Params{
		Dir:                "testdata/script",
		Setup:              setup,
		Cmds:               commands(),
		RequireUniqueNames: true,
	})
}

// scriptT shows every log to the search for tokens. A log holds what all commands of the script printed.
type scriptT struct{ *testing.T }

func (t scriptT) Verbose() bool { return true }

func (t scriptT) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(sub *testing.T) { f(scriptT{T: sub}) })
}

func (t scriptT) Log(args ...any) {
	t.Helper()
	text := fmt.Sprint(args...)
	t.T.Log(text)
	if token := leaked(text, nil); token != "" {
		t.Errorf("the token %s is in what the script's commands printed", token)
	}
}

// leaked returns the first of the tokens that a text holds.
func leaked(text string, more []string) string {
	for _, token := range append([]string{dronetest.DefaultToken, plainToken, wrongToken}, more...) {
		if strings.Contains(text, token) {
			return token
		}
	}
	return ""
}

func TestLeaked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Authorization: Bearer " + dronetest.DefaultToken + "\n": dronetest.DefaultToken,
		"a " + plainToken:             plainToken,
		"own=s3cret":                  "s3cret",
		"[redacted] token-of-user000": "",
	} {
		if got := leaked(text, []string{"s3cret"}); got != want {
			t.Errorf("leaked(%q) = %q, want %q", text, got, want)
		}
	}
}

// script is what the commands of one script share.
type script struct {
	drone     *fakeDrone
	collector *fakeCollector

	mu sync.Mutex
	// secrets are the texts that the script put into files, and where; they belong there.
	secrets []string
	places  []string
}

type scriptKey struct{}

func setup(env *testscript.Env) error {
	s := &script{}
	env.Values[scriptKey{}] = s
	archive, err := files(env.WorkDir)
	if err != nil {
		return err
	}
	s.places = archive
	env.Defer(func() {
		s.drone.stop()
		s.collector.stop()
		if err := s.search(env.WorkDir); err != nil {
			env.T().Fatal(err)
		}
	})
	return nil
}

func files(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	})
	return out, err
}

// search looks for tokens in every file that the script's commands have written, logs above all.
func (s *script) search(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	written, err := files(dir)
	if err != nil {
		return err
	}
	for _, path := range written {
		if slices.Contains(s.places, path) {
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if token := leaked(string(raw), s.secrets); token != "" {
			return fmt.Errorf("the token %s is in %s", token, filepath.Base(path))
		}
	}
	return nil
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	reason := errors.New("the reason")
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing happened", nil, exitOK},
		{"stopped before it was done", context.Canceled, exitFailed},
		{"failed while running", reason, exitFailed},
		{"cannot be done as configured", fmt.Errorf("x: %w", &agent.UsageError{Err: reason}), exitUsage},
		{"token refused", fmt.Errorf("x: %w", &agent.RefusedError{Err: reason}), exitRefused},
	} {
		var stderr strings.Builder
		if got := exitCode(tt.err, &stderr); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.name, got, tt.want)
		}
		if silent := stderr.Len() == 0; silent != (tt.want == exitOK) {
			t.Errorf("%s: stderr %q", tt.name, stderr.String())
		}
	}
}
