package agent

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"drone-otel-agent/internal/secret"
)

// TestConfigKeys holds config.yaml against the struct: every key of one is a key of the other, and has a comment
// of its own or in the group it stands in.
func TestConfigKeys(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal(builtInConfig, &doc); err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	keysOf(doc.Content[0], "", written)
	declared := map[string]bool{}
	fieldsOf(reflect.TypeFor[file](), "", declared)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(declared)), slices.Sorted(maps.Keys(written))); diff != "" {
		t.Errorf("the struct's keys (-) and those of config.yaml (+) differ:\n%s", diff)
	}
	lines := strings.Split(string(builtInConfig), "\n")
	for i, line := range lines {
		key, _, found := strings.Cut(strings.TrimSpace(line), ":")
		if !found || strings.HasPrefix(key, "#") || selfEvident(key) {
			continue
		}
		above := i - 1
		for indented(lines[above]) == indented(line) && !strings.HasPrefix(strings.TrimSpace(lines[above]), "#") {
			above-- // a neighbour in the same group
		}
		if !strings.HasPrefix(strings.TrimSpace(lines[above]), "#") {
			t.Errorf("config.yaml:%d: %s: no comment says what it is", i+1, key)
		}
	}
}

// selfEvident are the sections, and the keys that the section's other comments explain.
func selfEvident(key string) bool {
	return slices.Contains([]string{"drone", "poll", "state", "metrics", "prometheus", "otlp", "tls", "auth", "path",
		"ca_file", "cert_file", "key_file", "insecure_skip_verify"}, key)
}

func indented(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func keysOf(n *yaml.Node, field string, out map[string]bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := join(field, n.Content[i].Value)
		out[name] = true
		if n.Content[i+1].Kind == yaml.MappingNode {
			keysOf(n.Content[i+1], name, out)
		}
	}
}

func fieldsOf(of reflect.Type, field string, out map[string]bool) {
	for i := range of.NumField() {
		f := of.Field(i)
		name := join(field, f.Tag.Get("yaml"))
		out[name] = true
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[secret.Text]() {
			fieldsOf(f.Type, name, out)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	env := map[string]string{"A": "a", "EMPTY": "", "REF": "${A}", "_x1": "x"}
	lookup := func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}
	for in, want := range map[string]string{
		"":                                "",
		"plain $A $ } {":                  "plain $A $ } {",
		"${A}":                            "a",
		"<${A}${A}>":                      "<aa>",
		"${_x1}":                          "x",
		"${EMPTY}":                        "",
		"${EMPTY:-b}":                     "b",
		"${NONE:-}":                       "",
		"${NONE:-a:-b}":                   "a:-b",
		"${NONE:-${A}}":                   "a",
		"${NONE:-${NONE:-${NONE:-deep}}}": "deep",
		"${A:-${NONE}}":                   "a",
		"${REF}":                          "${A}",
		"$${A}":                           "${A}",
		"$$${A}":                          "$${A}",
		"${NONE:-$${A}}":                  "${A}",
		"$${${A}":                         "${a",
	} {
		if got, err := expand(in, lookup); err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"${NONE}":          "the environment variable NONE is not set",
		"${A":              "${ without its }",
		"x${":              "${ without its }",
		"${NONE:-${A}":     "${ without its }",
		"${}":              "does not name an environment variable",
		"${1A}":            "does not name an environment variable",
		"${A B}":           "does not name an environment variable",
		"${A-b}":           "does not name an environment variable",
		"${ A }":           "does not name an environment variable",
		"${NONE:-${NONE}}": "the environment variable NONE is not set",
	} {
		if got, err := expand(in, lookup); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expand(%q) = %q, %v; want an error with %q", in, got, err, want)
		}
	}
}

// FuzzConfig: whatever is in the file, the parser ends without panic, and every problem is one printable line that
// names its place.
func FuzzConfig(f *testing.F) {
	for _, pattern := range []string{"testdata/config/bad/*.yaml", "testdata/config/good/*.yaml"} {
		for _, path := range glob(f, pattern) {
			f.Add(readText(f, path))
		}
	}
	f.Add(string(builtInConfig))
	f.Add("a: &a {b: *a}\n<<: *a\n? {}\n: *a")
	f.Add("drone: &d {tls: &t {x: *d}, token: *t}")
	lookup := func(name string) (string, bool) { return "v", name != "NONE" }
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := parseConfig("fuzz.yaml", []byte(text), lookup)
		if err == nil {
			if cfg == nil || cfg.watch.Interval < time.Second || cfg.drone.Server == nil || cfg.drone.Token == nil ||
				cfg.watch.Selection.Limit < 0 || !slices.IsSorted(cfg.metrics.Buckets) {
				t.Fatalf("no error, and no usable configuration: %+v", cfg)
			}
			return
		}
		var bad *ConfigError
		if !errors.As(err, &bad) || len(bad.Problems) == 0 {
			t.Fatalf("%T %v, want a ConfigError", err, err)
		}
		for _, p := range bad.Problems {
			placed := (p.File == "fuzz.yaml" || p.File == builtIn) && p.Line >= 1 || p.File == environment
			if !placed || p.Text == "" || strings.ContainsFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("problem %+v: %q", p, p.String())
			}
		}
	})
}
