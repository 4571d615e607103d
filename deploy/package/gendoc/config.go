package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// configSections reads the built-in configuration: the comment at its head, and its keys with theirs.
func configSections(text []byte) (map[string]string, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no mapping")
	}
	top := file.Content[0]
	r := &reader{explained: map[string]string{}}
	if err := r.mapping("", top); err != nil {
		return nil, err
	}
	// yaml gives the comment at the head to the file where a blank line follows it, and else to the first key.
	return map[string]string{"head": lines(comment(file.HeadComment)), "keys": r.page()}, nil
}

// entry is what the manual says of one key, or of several that share a comment.
type entry struct {
	keys []string // drone.timeout: 30s
	text []string // lines
}

type reader struct {
	entries []entry
	// explained are mappings by the last part of their name: one without comments is like an earlier one.
	explained map[string]string
}

// mapping reads the keys of one mapping. A key without a comment shares that of the key before it.
func (r *reader) mapping(path string, node *yaml.Node) error {
	shared := false
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name, text := path+key.Value, comment(key.HeadComment)
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			if text != nil {
				r.entries = append(r.entries, entry{[]string{name}, text})
			}
			if err := r.mapping(name+".", value); err != nil {
				return err
			}
			shared = false
			continue
		}
		shown, err := shown(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if text == nil && shared {
			last := &r.entries[len(r.entries)-1]
			last.keys = append(last.keys, name+": "+shown)
			continue
		}
		if text, err = r.explain(name, text); err != nil {
			return err
		}
		r.entries = append(r.entries, entry{[]string{name + ": " + shown}, text})
		shared = true
	}
	return nil
}

// explain gives the text of a key, or refers to the mapping of the same name that has it.
func (r *reader) explain(name string, text []string) ([]string, error) {
	parts := strings.Split(name, ".")
	mapping := strings.Join(parts[:len(parts)-1], ".")
	last := parts[max(0, len(parts)-2)]
	if text != nil {
		r.explained[last] = mapping
		return text, nil
	}
	earlier, found := r.explained[last]
	if !found {
		return nil, fmt.Errorf("%s: it has no comment, and there is no key before it that has one", name)
	}
	return []string{"As under " + earlier + "."}, nil
}

// shown is a default as it would be written.
func shown(value *yaml.Node) (string, error) {
	if value.Kind == yaml.MappingNode {
		value.Style = yaml.FlowStyle
	}
	text, err := yaml.Marshal(value)
	return strings.TrimSpace(string(text)), err
}

// comment gives the lines of a comment, or nil.
func comment(text string) []string {
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	for i, line := range all {
		all[i] = strings.TrimSpace(strings.TrimPrefix(line, "#"))
	}
	return all
}

// lines lays a comment out. A line that ends a sentence ends there too: the next may be one of a list.
func lines(all []string) string {
	var out strings.Builder
	for i, line := range all {
		if line == "" {
			out.WriteString(".PP\n")
			continue
		}
		out.WriteString(roff(line) + "\n")
		if i+1 < len(all) && all[i+1] != "" && strings.HasSuffix(line, ".") {
			out.WriteString(".br\n")
		}
	}
	return out.String()
}

// page lays the entries out as a list.
func (r *reader) page() string {
	var out strings.Builder
	for _, e := range r.entries {
		requests := slices.Repeat([]string{".TQ"}, len(e.keys))
		requests[0] = ".TP"
		for i, key := range e.keys {
			fmt.Fprintf(&out, "%s\n\\fB%s\\fR\n", requests[i], roff(key))
		}
		out.WriteString(lines(e.text))
	}
	return out.String()
}
