package main

import (
	"fmt"
	"slices"
	"strings"

	"drone-otel-agent/internal/configdoc"
)

// configSections reads the built-in configuration: the comment at its head, and its keys with theirs.
func configSections(text []byte) (map[string]string, error) {
	document, err := configdoc.Read(text)
	if err != nil {
		return nil, err
	}
	return map[string]string{"head": lines(document.Head), "keys": keys(document.Entries)}, nil
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

// keys lays the entries out as a list.
func keys(entries []configdoc.Entry) string {
	var out strings.Builder
	for _, entry := range entries {
		requests := slices.Repeat([]string{".TQ"}, len(entry.Keys))
		requests[0] = ".TP"
		for i, key := range entry.Keys {
			tag := key.Name
			if key.Default != "" {
				tag += ": " + key.Default
			}
			fmt.Fprintf(&out, "%s\n\\fB%s\\fR\n", requests[i], roff(tag))
		}
		out.WriteString(lines(entry.Text))
	}
	return out.String()
}
