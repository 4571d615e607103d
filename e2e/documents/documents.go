// Package documents reads the repository's Markdown as its readers see it on GitHub: the links, the headings that
// links can lead to, and the queries that are shown. Its test holds that every link leads somewhere.
package documents

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Page is a document.
type Page struct {
	// Name is its path from the repository's root.
	Name string
	// Anchors are what a link to a part of it may name.
	Anchors map[string]bool
	Links   []Link
	// Queries are the blocks of PromQL.
	Queries []Block
	// Configurations are the blocks of YAML.
	Configurations []Block
}

// Link is a link or an image.
type Link struct {
	Line   int
	Target string
}

// Block is a block of code.
type Block struct {
	// Line is that of its first line.
	Line int
	// Section is the anchor of the heading that it stands under.
	Section string
	Text    string
}

// Read reads every document of the repository below root.
func Read(t testing.TB, root string) []Page {
	t.Helper()
	var pages []Page
	for _, name := range Files(t, root, ".md") {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		page, err := parse(source)
		if err != nil {
			t.Fatalf("reading %s: %v", name, err)
		}
		page.Name = name
		pages = append(pages, page)
	}
	if len(pages) == 0 {
		t.Fatalf("there are no documents in %s", root)
	}
	return pages
}

// Files are those below root whose name ends so, save what was built and what tests are made of.
func Files(t testing.TB, root string, endings ...string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch base := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "bin" || name == "dist" || base == "testdata" || len(base) > 1 && base[0] == '.'):
			if path != root {
				return fs.SkipDir
			}
		case entry.Type().IsRegular():
			for _, ending := range endings {
				if strings.HasSuffix(base, ending) {
					names = append(names, filepath.ToSlash(name))
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("looking for files in %s: %v", root, err)
	}
	return names
}

// parse reads one document.
func parse(source []byte) (Page, error) {
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList))
	p := parsing{source: source, page: Page{Anchors: map[string]bool{}}}
	document := markdown.Parser().Parse(text.NewReader(source))
	err := ast.Walk(document, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			p.node(node)
		}
		return ast.WalkContinue, nil
	})
	return p.page, err
}

type parsing struct {
	source  []byte
	page    Page
	section string
}

func (p *parsing) node(node ast.Node) {
	switch n := node.(type) {
	case *ast.Heading:
		p.section = p.anchor(slug(p.text(n)))
	case *ast.Link:
		p.link(n.Pos(), string(n.Destination))
	case *ast.Image:
		p.link(n.Pos(), string(n.Destination))
	case *ast.AutoLink:
		p.link(n.Pos(), string(n.URL(p.source)))
	case *ast.RawHTML:
		p.html(n.Pos(), n.Segments.Value(p.source))
	case *ast.HTMLBlock:
		if lines := n.Lines(); lines.Len() > 0 {
			p.html(lines.At(0).Start, lines.Value(p.source))
		}
	case *ast.FencedCodeBlock:
		if n.Lines().Len() > 0 {
			p.block(n)
		}
	}
}

// anchor notes a heading's anchor; GitHub numbers those that are there already.
func (p *parsing) anchor(name string) string {
	free := name
	for i := 1; p.page.Anchors[free]; i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	p.page.Anchors[free] = true
	return free
}

func (p *parsing) link(position int, target string) {
	p.page.Links = append(p.page.Links, Link{p.line(position), target})
}

func (p *parsing) block(node *ast.FencedCodeBlock) {
	block := Block{
		Line: p.line(node.Lines().At(0).Start), Section: p.section, Text: string(node.Lines().Value(p.source)),
	}
	switch string(node.Language(p.source)) {
	case "promql":
		p.page.Queries = append(p.page.Queries, block)
	case "yaml":
		p.page.Configurations = append(p.page.Configurations, block)
	}
}

// html looks for links, images and anchors in a piece of HTML.
func (p *parsing) html(position int, code []byte) {
	attributes := regexp.MustCompile(`(?i)\s(href|src|srcset|id|name)\s*=\s*"([^"]*)"`)
	for _, found := range attributes.FindAllSubmatchIndex(code, -1) {
		attribute, value := strings.ToLower(string(code[found[2]:found[3]])), string(code[found[4]:found[5]])
		if attribute == "id" || attribute == "name" {
			p.page.Anchors[value] = true
			continue
		}
		p.link(position+found[4], value)
	}
}

// line is the number of the line of a byte.
func (p *parsing) line(position int) int {
	return 1 + bytes.Count(p.source[:max(0, min(position, len(p.source)))], []byte("\n"))
}

// text is what is read of a node.
func (p *parsing) text(node ast.Node) string {
	var out strings.Builder
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		switch n := child.(type) {
		case *ast.Text:
			out.Write(n.Value(p.source))
		case *ast.String:
			out.Write(n.Value)
		default:
			out.WriteString(p.text(n))
		}
	}
	return out.String()
}

// slug is the anchor that GitHub gives a heading: small letters, without punctuation, with hyphens for blanks.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}
