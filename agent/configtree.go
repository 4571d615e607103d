package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// How what is no file of the operator's is called in messages.
const (
	builtIn     = "built-in config.yaml"
	environment = "environment"
)

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
	// unread are the fields whose values could not be read; nothing more is to be said of them.
	unread map[string]bool
}

// parseTree parses one document. An empty one is an empty mapping.
func parseTree(name string, raw []byte) *tree {
	t := &tree{files: map[*yaml.Node]string{}, unread: map[string]bool{}}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	var doc, next yaml.Node
	err := decoder.Decode(&doc)
	if err == nil {
		if err = decoder.Decode(&next); err == nil {
			t.note(Problem{File: name, Line: max(1, next.Line), Text: "a second document; one is enough"})
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		t.note(syntaxProblem(name, raw, err))
	}
	t.root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	if len(doc.Content) > 0 && doc.Content[0].Tag != "!!null" {
		t.root = doc.Content[0]
	}
	t.mark(name, t.root)
	if t.root.Kind != yaml.MappingNode {
		sections := strings.ReplaceAll(keys(reflect.TypeFor[file]()), ",", ":,")
		t.problem(t.root, "", "a mapping of keys belongs here (%s:)", sections)
		t.root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
		t.mark(name, t.root)
	}
	return t
}

// syntaxProblem takes the line out of the library's message. It is a line off for some mistakes, or missing, so
// that in a file of a size that people write it is looked for.
func syntaxProblem(file string, raw []byte, err error) Problem {
	out := Problem{File: file, Line: 1, Text: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	if found := regexp.MustCompile(`^yaml: line (\d+): (.*)`).FindStringSubmatch(err.Error()); found != nil {
		_, _ = fmt.Sscanf(found[1], "%d", &out.Line)
		out.Line, out.Text = max(1, out.Line), "not YAML: "+found[2]
	}
	if strings.Contains(out.Text, "unknown anchor") {
		// The library names it, and it may be a token that happens to begin with an asterisk.
		out.Text = "not YAML: unknown anchor referenced (a text that begins with * is written in quotes)"
	}
	const mostLines, mostBytes = 500, 32 << 10
	if lines := bytes.SplitAfter(raw, []byte("\n")); len(lines) <= mostLines && len(raw) <= mostBytes {
		out.Line = brokenLine(lines)
	}
	return out
}

// brokenLine returns where what cannot be parsed begins, counted from 1: after the longest beginning of the
// file that can.
func brokenLine(lines [][]byte) int {
	for n := len(lines) - 1; n > 0; n-- {
		decoder := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines[:n], nil)))
		err := error(nil)
		for err == nil {
			err = decoder.Decode(new(yaml.Node))
		}
		if errors.Is(err, io.EOF) {
			return n + 1
		}
	}
	return 1
}

func (t *tree) mark(file string, n *yaml.Node) {
	if _, marked := t.files[n]; marked {
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
	t.note(Problem{File: t.files[n], Line: max(1, n.Line), Field: field, Text: fmt.Sprintf(format, args...)})
}

// unreadable is a problem after which the field has no value.
func (t *tree) unreadable(n *yaml.Node, field, format string, args ...any) {
	t.unread[field] = true
	t.problem(n, field, format, args...)
}

// note takes a problem that was not there yet.
func (t *tree) note(p Problem) {
	p.Field, p.Text = presentable(p.Field), presentable(p.Text)
	if !slices.Contains(t.problems, p) {
		t.problems = append(t.problems, p)
	}
}

// tokenLike is what a message never repeats: a token may have ended up in the place of a key, of another
// value or of a file's name. Drone's have 32 such characters.
var tokenLike = regexp.MustCompile(`[0-9A-Za-z]{24,}`)

// presentable makes a text of the operator's fit for a log: in one line, without what may be a token.
func presentable(text string) string {
	text = tokenLike.ReplaceAllString(strings.ToValidUTF8(text, "?"), "[redacted]")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
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
		if at < 0 {
			base.Content = append(base.Content, key, value)
			continue
		}
		section := base.Content[at+1].Kind == yaml.MappingNode
		switch {
		case section && value.ShortTag() == "!!null":
			// Nothing is in it, as where every line of it is commented out.
		case section && value.Kind == yaml.MappingNode && len(base.Content[at+1].Content) > 0:
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
