// Package configdoc reads the built-in configuration as a document: its keys with their defaults, and the comments
// that explain them. What is written about the configuration for people is made of it.
package configdoc

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is what a configuration says of itself.
type Document struct {
	// Head are the lines of the comment at the file's head; an empty one ends a paragraph.
	Head []string
	// Entries are in the file's order.
	Entries []Entry
}

// Entry is what is said of one key, of several that share a comment, or of a whole mapping.
type Entry struct {
	Keys []Key
	// Text are the comment's lines.
	Text []string
}

// Key is a key with its default.
type Key struct {
	// Name has the names of the mappings that it is in before it, with dots: drone.timeout.
	Name string
	// Default is as it would be written; a mapping that has keys has none.
	Default string
}

// Read reads a configuration. A key without a comment shares that of the key before it in its mapping; the keys of a
// mapping that has no comments at all are as those of the last one of that name. It is an error where there is none.
func Read(text []byte) (Document, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return Document{}, err
	}
	if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
		return Document{}, errors.New("it is no mapping")
	}
	r := &reader{explained: map[string]string{}}
	if err := r.mapping("", file.Content[0]); err != nil {
		return Document{}, err
	}
	// yaml gives the comment at the head to the file where a blank line follows it, and else to the first key.
	return Document{Head: comment(file.HeadComment), Entries: r.entries}, nil
}

type reader struct {
	entries []Entry
	// explained are mappings by the last part of their name: one without comments is like an earlier one.
	explained map[string]string
}

// mapping reads the keys of one mapping.
func (r *reader) mapping(path string, node *yaml.Node) error {
	shared := false
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name, text := path+key.Value, comment(key.HeadComment)
		if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			if text != nil {
				r.entries = append(r.entries, Entry{[]Key{{Name: name}}, text})
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
			last.Keys = append(last.Keys, Key{name, shown})
			continue
		}
		if text, err = r.explain(name, text); err != nil {
			return err
		}
		r.entries = append(r.entries, Entry{[]Key{{name, shown}}, text})
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
