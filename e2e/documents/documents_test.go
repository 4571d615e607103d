package documents

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// pages are the documents by name.
type pages map[string]Page

func read(t *testing.T) pages {
	t.Helper()
	all := pages{}
	for _, page := range Read(t, root) {
		all[page.Name] = page
	}
	return all
}

// wrong tells what is wrong with a link that stands in a file, or nothing.
func (all pages) wrong(from, target string) string {
	address, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case address.Scheme != "" || address.Host != "":
		if address.Scheme != "https" || address.Host == "" {
			return "it is neither a path nor an https:// address"
		}
		return ""
	case strings.HasPrefix(address.Path, "/"):
		return "a path has to begin where the file is"
	}
	name := from
	if address.Path != "" {
		name = path.Join(path.Dir(from), address.Path)
	}
	if strings.HasPrefix(name, "../") {
		return "it leads out of the repository"
	}
	if _, err := os.Stat(filepath.Join(root, name)); err != nil {
		return "there is no " + name
	}
	if address.Fragment == "" {
		return ""
	}
	if page, is := all[name]; !is || !page.Anchors[address.Fragment] {
		return fmt.Sprintf("%s has no heading for #%s", name, address.Fragment)
	}
	return ""
}

// Every link in every document leads to a file or a heading that there is. Addresses elsewhere are not asked.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all, links := read(t), 0
	for _, page := range all {
		for _, link := range page.Links {
			links++
			if wrong := all.wrong(page.Name, link.Target); wrong != "" {
				t.Errorf("%s:%d: the link to %s: %s", page.Name, link.Line, link.Target, wrong)
			}
		}
	}
	if len(all) < 15 || links < 130 {
		t.Errorf("%d documents with %d links were found, want more", len(all), links)
	}
}

// What speaks of a document elsewhere (the alerts' runbook_url, the dashboards, manual pages, comments) names one that
// there is, and a heading in it.
func TestMentionsLeadSomewhere(t *testing.T) {
	t.Parallel()
	mention := regexp.MustCompile(`\bdocs/[A-Za-z0-9-]+\.md(?:#[A-Za-z0-9_-]+)?`)
	all, seen := read(t), map[string]int{}
	for _, name := range Files(t, root, ".yaml", ".json", ".go", ".tmpl", ".sh", "Makefile") {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(source), "\n") {
			for _, target := range mention.FindAllString(line, -1) {
				seen[path.Ext(name)]++
				if wrong := all.wrong("README.md", target); wrong != "" {
					t.Errorf("%s:%d: %s: %s", name, number+1, target, wrong)
				}
			}
		}
	}
	if seen[".yaml"] < 30 || seen[".go"] == 0 {
		t.Errorf("only so many mentions of documents were found: %v", seen)
	}
}

// The index has every page of its folder.
func TestIndexHasEveryPage(t *testing.T) {
	t.Parallel()
	all := read(t)
	for name := range all {
		listed := func(link Link) bool { return "docs/"+link.Target == name }
		if path.Dir(name) == "docs" && name != "docs/README.md" && !slices.ContainsFunc(all["docs/README.md"].Links, listed) {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

// The tests above can fail.
func TestParse(t *testing.T) {
	t.Parallel()
	const source = "# One `two_three`: four?\n\nSee [here](a.md#b)\nand ![there](b.png).\n\n## Again\n\n## Again\n\n" +
		"| a | b |\n| --- | --- |\n| 1 | [cell](c.md) and `[code](no.md)` |\n\n<img src=\"d.png\">\n\nA [reference][r] " +
		"<https://e.example>.\n\n```promql\nup\n  == 0\n```\n\n```yaml\n[no](no.md)\n```\n\n<p\nid=\"f\"><a\n" +
		"href=\"g.md\">g</a></p>\n\n[r]: h.md\n"
	page, err := parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	links := []Link{
		{3, "a.md#b"}, {4, "b.png"}, {12, "c.md"}, {14, "d.png"}, {16, "h.md"}, {16, "https://e.example"}, {29, "g.md"},
	}
	if !slices.Equal(page.Links, links) {
		t.Errorf("the links are %v, want %v", page.Links, links)
	}
	for _, anchor := range []string{"one-two_three-four", "again", "again-1", "f"} {
		if !page.Anchors[anchor] {
			t.Errorf("there is no anchor %s in %v", anchor, page.Anchors)
		}
	}
	if want := []Block{{19, "again-1", "up\n  == 0\n"}}; !slices.Equal(page.Queries, want) {
		t.Errorf("the queries are %v, want %v", page.Queries, want)
	}
	if want := []Block{{24, "again-1", "[no](no.md)\n"}}; !slices.Equal(page.Configurations, want) {
		t.Errorf("the configurations are %v, want %v", page.Configurations, want)
	}
}

func TestWrongLinksAreFound(t *testing.T) {
	t.Parallel()
	all := read(t)
	for target, want := range map[string]string{
		"runbook.md":                "",
		"runbook.md#droneagentdown": "",
		"../README.md":              "",
		"#droneagentdown":           "",
		"https://docs.drone.io/x":   "",
		"runbook.md#no-such":        "has no heading",
		"#no-such":                  "has no heading",
		"../deploy/tls/web.yaml#l1": "has no heading",
		"no-such.md":                "there is no",
		"../../elsewhere":           "out of the repository",
		"/etc/passwd":               "begin where the file is",
		"http://docs.drone.io":      "neither",
		"https://":                  "neither",
		"%zz":                       "invalid",
	} {
		if got := all.wrong("docs/runbook.md", target); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
