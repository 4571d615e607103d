// Command gendoc writes docs/configuration.md from the built-in configuration: gendoc CONFIG FILE.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"log"
	"os"
	"strings"
	"text/template"

	"drone-otel-agent/internal/configdoc"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: gendoc CONFIG FILE")
	}
	text, err := os.ReadFile(os.Args[1]) //nolint:gosec // whoever generates says what
	if err == nil {
		text, err = document(text)
	}
	if err == nil {
		err = os.WriteFile(os.Args[2], text, 0o644) //nolint:gosec // a document that everybody may read
	}
	if err != nil {
		log.Fatalf("writing the documentation of the configuration: %v", err)
	}
}

//go:embed configuration.md.tmpl
var layout string

// document is the page: what people wrote, and the keys in between.
func document(config []byte) ([]byte, error) {
	read, err := configdoc.Read(config)
	if err != nil {
		return nil, err
	}
	page, err := template.New("page").Option("missingkey=error").Parse(layout)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]string{"head": quoted(read.Head), "keys": keys(read.Entries)})
	return out.Bytes(), err
}

// keys lays the entries out in a section with a table for each mapping at the top.
func keys(entries []configdoc.Entry) string {
	var out strings.Builder
	section := ""
	for _, entry := range entries {
		names, defaults := make([]string, len(entry.Keys)), make([]string, len(entry.Keys))
		for i, key := range entry.Keys {
			names[i] = code(key.Name)
			if key.Default != `""` {
				defaults[i] = code(key.Default)
			}
		}
		if top, _, _ := strings.Cut(entry.Keys[0].Name, "."); top != section {
			section = top
			fmt.Fprintf(&out, "\n### %s\n\n| key | default | |\n| --- | --- | --- |\n", section)
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n",
			strings.Join(names, "<br>"), strings.TrimSuffix(strings.Join(defaults, "<br>"), "<br>"), cell(entry.Text))
	}
	return out.String()
}

// cell is a comment in one line of a table. A line that ends a sentence ends there too: the next may be one of a list.
func cell(lines []string) string {
	var out strings.Builder
	for i, line := range lines {
		out.WriteString(words(line))
		switch {
		case i+1 == len(lines):
		case strings.HasSuffix(line, ".") || line == "":
			out.WriteString("<br>")
		default:
			out.WriteString(" ")
		}
	}
	return out.String()
}

// quoted is a comment as a quotation.
func quoted(lines []string) string {
	var out strings.Builder
	for _, line := range lines {
		out.WriteString(strings.TrimRight("> "+words(line), " ") + "\n")
	}
	return out.String()
}

// words escapes a line for Markdown. What looks like a name or a pattern is set as code.
func words(line string) string {
	const around = `"'().,;:`
	escape := strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "|", `\|`)
	all := strings.Split(line, " ")
	for i, word := range all {
		bare := strings.Trim(word, around)
		if !strings.ContainsAny(word, "[]") && (strings.ContainsAny(bare, "_*$") || strings.Contains(bare, "://")) {
			before, after, _ := strings.Cut(word, bare)
			all[i] = before + code(bare) + after
			continue
		}
		all[i] = escape.Replace(word)
	}
	return strings.Join(all, " ")
}

// code sets a text as code, in a table too; nothing stays nothing.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}
