package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/agent"
	"drone-otel-agent/internal/configdoc"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentIsUpToDate(t *testing.T) {
	want, err := document([]byte(read(t, "../config.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), read(t, "../../docs/configuration.md")); diff != "" {
		t.Errorf("docs/configuration.md is not what go generate ./agent makes of it (-made +there):\n%s", diff)
	}
}

// defaults are the keys that have one, and the default.
func defaults(t *testing.T) map[string]string {
	t.Helper()
	config, err := configdoc.Read([]byte(read(t, "../config.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range config.Entries {
		for _, key := range entry.Keys {
			if key.Default != "" {
				all[key.Name] = key.Default
			}
		}
	}
	return all
}

// Every key of the configuration is in the table with its default.
func TestEveryKeyIsThere(t *testing.T) {
	page := read(t, "../../docs/configuration.md")
	for name, value := range defaults(t) {
		row := regexp.MustCompile(`(?m)^\| (.*<br>)?` + "`" + regexp.QuoteMeta(name) + "`" + `(<br>.*)? \| (.*) \| .+ \|$`)
		found := row.FindStringSubmatch(page)
		if found == nil || value != `""` && !strings.Contains(found[3], "`"+value+"`") {
			t.Errorf("%s: %s has no row with it: %q", name, value, found)
		}
	}
}

// The README's choice of keys is of keys that there are, with their defaults.
func TestReadmeNamesKeys(t *testing.T) {
	all := defaults(t)
	row := "(?m)^\\| `((?:drone|poll|state|metrics|prometheus|otlp)\\.[a-z0-9_.]+)` \\| (?:`(.*?)`)? ?\\| "
	rows := regexp.MustCompile(row).FindAllStringSubmatch(read(t, "../../README.md"), -1)
	if len(rows) < 10 {
		t.Errorf("README.md has %d keys, want more", len(rows))
	}
	for _, row := range rows {
		value, known := all[row[1]]
		if !known || value != row[2] && (value != `""` || row[2] != "") {
			t.Errorf("README.md says %s: %s; it is %s (%t)", row[1], row[2], value, known)
		}
	}
}

// The agent loads every piece of its configuration that the documents show.
func TestConfigurationsLoad(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, page := range append(pages, "../../README.md") {
		blocks := regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```").FindAllStringSubmatch(read(t, page), -1)
		for _, block := range blocks {
			if !regexp.MustCompile(`^ *(drone|poll|state|metrics|prometheus|otlp):`).MatchString(block[1]) {
				continue
			}
			loaded++
			text := strings.ReplaceAll(block[1], "NAME", "name")
			text = regexp.MustCompile(`token_file: .*`).ReplaceAllString(text, "token_file: "+token)
			if !strings.Contains(text, "drone:") { // it is shown as a part of one that has this
				text += "drone: {server: \"https://drone.example.com\", token: token}\n"
			}
			if _, err := agent.ParseConfig(page, text); err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
		}
	}
	if loaded < 3 {
		t.Errorf("only %d configurations were found", loaded)
	}
}

func TestWords(t *testing.T) {
	for line, want := range map[string]string{
		`Plain words, and a 5.`:               `Plain words, and a 5.`,
		`Globs, as "org/*"; "*" alone.`:       "Globs, as \"`org/*`\"; \"`*`\" alone.",
		`${NAME} and $${, see a_b.`:           "`${NAME}` and `$${`, see `a_b`.",
		`The receiver: http://host:4317 (so)`: "The receiver: `http://host:4317` (so)",
		`Labels: [pool, a_b].`:                `Labels: \[pool, a\_b].`,
		`a|b <c>`:                             `a\|b \<c>`,
	} {
		if got := words(line); got != want {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}
