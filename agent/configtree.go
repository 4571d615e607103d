package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// builtIn is how the embedded configuration is called in messages.
const builtIn = "built-in config.yaml"

// Problem is one mistake in a configuration.
type Problem struct {
	// File is the file's name, or "environment".
	File string
	// Line counts from 1; 0 where there is none.
	Line int
	// Field is the key, as drone.token; empty where the file as a whole is meant.
	Field string
	// Text says what is wrong and what to write instead.
	Text string
}

func (p Problem) String() string {
	out := p.File + ": "
	if p.Line > 0 {
		out = fmt.Sprintf("%s:%d: ", p.File, p.Line)
	}
	if p.Field != "" {
		out += p.Field + ": "
	}
	return out + p.Text
}

// ConfigError is every mistake of a configuration.
type ConfigError struct{ Problems []Problem }

func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// tree is a YAML document in which every node remembers the file it came from.
type tree struct {
	root     *yaml.Node
	files    map[*yaml.Node]string
	problems []Problem
}

// parseTree parses one document. An empty one is an empty mapping.
func parseTree(name string, raw []byte) *tree {
	t := &tree{files: map[*yaml.Node]string{}}
	decoder := yaml.NewDecoder(strings.NewReader(string(raw)))
	var doc, next yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		doc = yaml.Node{}
	case err != nil:
		t.problems = append(t.problems, syntaxProblem(name, err))
	case decoder.Decode(&next) == nil:
		t.problems = append(t.problems, Problem{File: name, Line: next.Line, Text: "a second document; one is enough"})
	}
	t.root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	if len(doc.Content) > 0 && doc.Content[0].Tag != "!!null" {
		t.root = doc.Content[0]
	}
	t.mark(name, t.root)
	if t.root.Kind != yaml.MappingNode {
		t.problem(t.root, "", "a mapping of keys belongs here (drone:, poll:, prometheus:, otlp:)")
		t.root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
		t.mark(name, t.root)
	}
	return t
}

// syntaxProblem takes the line out of the library's message.
func syntaxProblem(file string, err error) Problem {
	out := Problem{File: file, Line: 1, Text: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	if found := regexp.MustCompile(`^yaml: line (\d+): (.*)`).FindStringSubmatch(err.Error()); found != nil {
		_, _ = fmt.Sscanf(found[1], "%d", &out.Line)
		out.Text = "not YAML: " + found[2]
	}
	return out
}

func (t *tree) mark(file string, n *yaml.Node) {
	if t.files[n] != "" {
		return
	}
	t.files[n] = file
	for _, child := range n.Content {
		t.mark(file, child)
	}
	if n.Alias != nil {
		t.mark(file, n.Alias)
	}
}

func (t *tree) problem(n *yaml.Node, field, format string, args ...any) {
	t.problems = append(t.problems, Problem{
		File: t.files[n], Line: max(1, n.Line), Field: field, Text: fmt.Sprintf(format, args...),
	})
}

// overlay lays another tree over this one: mappings key by key, everything else as a whole.
func (t *tree) overlay(over *tree) {
	for n, file := range over.files {
		t.files[n] = file
	}
	t.problems = append(t.problems, over.problems...)
	t.overlayNode(t.root, over.root, "")
}

func (t *tree) overlayNode(base, over *yaml.Node, field string) {
	seen := map[string]int{}
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i], deref(over.Content[i+1])
		name := join(field, key.Value)
		if line, twice := seen[key.Value]; twice {
			t.problem(key, name, "the key is given twice, first in line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		at := find(base, key.Value)
		switch {
		case at < 0:
			base.Content = append(base.Content, key, value)
		case base.Content[at+1].Kind == yaml.MappingNode && value.Kind == yaml.MappingNode && len(base.Content[at+1].Content) > 0:
			t.overlayNode(base.Content[at+1], value, name)
		default:
			base.Content[at], base.Content[at+1] = key, value
		}
	}
}

// find returns the index of a key in a mapping, -1 where it is not there.
func find(mapping *yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

// readConfigFile reads a configuration file, whose size is bounded: it is written by hand.
func readConfigFile(path string) ([]byte, error) {
	const most = 1 << 20
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if info.IsDir() || info.Size() > most {
		return nil, fmt.Errorf("reading the configuration %s: a file of at most %d bytes is needed", path, most)
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return raw, nil
}
