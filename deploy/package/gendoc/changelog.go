package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// debianChangelog makes Debian's changelog of CHANGELOG.md. What stands first there is in the package, whatever it is
// called.
func debianChangelog(text []byte, of release) ([]byte, error) {
	// [1.2.3] - 2006-01-02, or Unreleased; then its changes.
	version := regexp.MustCompile(`(?m)^## \[?([^] \n]+)\]?(?: - (\d{4}-\d{2}-\d{2}))?$`)
	found := version.FindAllSubmatchIndex(text, -1)
	if found == nil {
		return nil, errors.New("it has no version: a line that begins with ##")
	}
	var out bytes.Buffer
	for i, at := range found {
		name, date, end := of.version, of.date, len(text)
		if i > 0 {
			var err error
			name = string(text[at[2]:at[3]])
			if date, err = time.Parse(time.DateOnly, string(text[max(0, at[4]):max(0, at[5])])); err != nil {
				return nil, fmt.Errorf("reading the date of %s: %w", name, err)
			}
			out.WriteString("\n")
		}
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		fmt.Fprintf(&out, "drone-otel-agent (%s) unstable; urgency=medium\n\n", name)
		for _, change := range changes(string(text[at[1]:end])) {
			out.WriteString(change)
		}
		fmt.Fprintf(&out, "\n -- %s  %s\n", of.maintainer, date.Format(time.RFC1123Z))
	}
	return out.Bytes(), nil
}

// changes lays out what a version says: its kinds of changes in brackets, its items with stars.
func changes(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		item, isItem := strings.CutPrefix(line, "- ")
		kind, isKind := strings.CutPrefix(line, "### ")
		switch {
		case isKind:
			all = append(all, "  [ "+kind+" ]\n")
		case isItem:
			all = append(all, item)
		case strings.HasPrefix(line, "  ") && len(all) > 0:
			all[len(all)-1] += " " + strings.TrimSpace(line)
		}
	}
	for i, change := range all {
		if !strings.HasPrefix(change, "  [ ") {
			all[i] = wrap(change, "  * ", "    ")
		}
	}
	return all
}

// wrap breaks text into lines of Debian's width.
func wrap(text, first, next string) string {
	const width = 79
	var out strings.Builder
	line := first
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+1+len(word) > width {
			out.WriteString(line + "\n")
			line = next + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	return out.String() + line + "\n"
}
