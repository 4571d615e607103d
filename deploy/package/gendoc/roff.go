package main

import (
	"bufio"
	"bytes"
	"strings"
)

// roff escapes text for a manual page. A hyphen stays what was typed: it can be copied into a shell.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// helpSections cuts kingpin's own manual page, which does not escape its text, into its sections.
func helpSections(help []byte) map[string]string {
	sections := map[string]string{}
	var name string
	lines := bufio.NewScanner(bytes.NewReader(help))
	for lines.Scan() {
		line := lines.Text()
		if title, found := strings.CutPrefix(line, ".SH "); found {
			name = strings.Trim(title, `"`)
			continue
		}
		if !strings.HasPrefix(line, ".") {
			text, bold := strings.CutPrefix(line, `\fB`)
			text = roff(strings.TrimSuffix(text, `\fR`))
			if bold {
				text = `\fB` + text + `\fR`
			}
			line = text
		}
		if line != "" { // a blank line is a paragraph, which TP and SS make themselves
			sections[name] += line + "\n"
		}
	}
	return sections
}
