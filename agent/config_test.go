package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testToken is what the bad configurations have in right and in wrong places, and no message repeats.
const testToken = "fe8c402a51e6629aa1f43a4234afee81"

// header collects the comments of one kind at the beginning of a configuration, as "# want: …".
func header(t *testing.T, raw, kind string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(raw) {
		if !strings.HasPrefix(line, "# ") {
			break
		}
		if text, found := strings.CutPrefix(line, "# "+kind+": "); found {
			out = append(out, strings.TrimRight(text, "\n"))
		}
	}
	return out
}

// prepare sets the environment that a configuration's comments ask for, "# env: NAME=value" and
// "# unset: NAME", over the two variables that are enough to run, and without any other.
func prepare(t *testing.T, raw string) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "OTEL_") || strings.HasPrefix(name, "DRONE_") || name == "STATE_DIRECTORY" {
			unset(t, name)
		}
	}
	t.Setenv("DRONE_SERVER", "https://drone.example.com")
	t.Setenv("DRONE_TOKEN", testToken)
	for _, pair := range header(t, raw, "env") {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	for _, name := range header(t, raw, "unset") {
		unset(t, name)
	}
}

// unset takes a variable away for the time of the test.
func unset(t *testing.T, name string) {
	t.Helper()
	t.Setenv(name, "") // puts it back afterwards
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

func readText(t testing.TB, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	return paths
}

// TestBadConfig loads every configuration of the corpus. Each says in its first lines which messages it
// wants, without the file's name.
func TestBadConfig(t *testing.T) {
	for _, path := range glob(t, "testdata/config/bad/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			raw := readText(t, path)
			prepare(t, raw)
			_, err := LoadConfig(path, os.LookupEnv)
			var bad *ConfigError
			if !errors.As(err, &bad) {
				t.Fatalf("loading: %v; want a ConfigError", err)
			}
			var got []string
			for _, line := range strings.Split(err.Error(), "\n") {
				got = append(got, strings.TrimPrefix(line, path+":"))
			}
			if diff := cmp.Diff(header(t, raw, "want"), got); diff != "" {
				t.Errorf("want (-) and got (+) differ:\n%s", diff)
			}
			for _, secret := range []string{testToken, testToken[:24], "hunter2"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the message holds the token %s:\n%v", secret, err)
				}
			}
			ordered(t, bad.Problems)
		})
	}
}

// ordered fails the test where the problems of one file are not in the order of its lines.
func ordered(t *testing.T, problems []Problem) {
	t.Helper()
	if !slices.IsSortedFunc(problems, func(a, b Problem) int {
		if a.File != b.File {
			return 0
		}
		return a.Line - b.Line
	}) {
		t.Errorf("not in the order of lines: %v", problems)
	}
}
