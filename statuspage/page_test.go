package statuspage

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const refusal = "Drone does not know this token.\nIt may have been changed: look at your account page."

// TestGoldenPage holds every page that there is, so that a change of what people see is seen.
func TestGoldenPage(t *testing.T) {
	golden(t, "full.html", pageOf(t, fullStatus()).seen(t, true))
	golden(t, "troubled.html", pageOf(t, troubledStatus()).seen(t, false))
	golden(t, "unknown.html", pageOf(t, unknownStatus()).seen(t, false))
	golden(t, "door.html", pageOf(t, fullStatus()).door(t, http.StatusOK, "Your own token of Drone does."))
	golden(t, "refused.html", pageOf(t, fullStatus()).door(t, http.StatusUnauthorized, refusal))
}

func TestGoldenDocument(t *testing.T) {
	golden(t, "full.json", pageOf(t, fullStatus()).document(t))
	golden(t, "unknown.json", pageOf(t, unknownStatus()).document(t))
	none := unknownStatus()
	none.Queue, none.Builds, none.Failures = []Platform{}, &Builds{Open: []Build{}}, []Failure{}
	document := string(pageOf(t, none).document(t))
	for _, want := range []string{`"queue": [],`, `"open": []`, `"default_branch_failures": []`, `"repositories": null,`} {
		if !strings.Contains(document, want) {
			t.Errorf("the document has no %s:\n%s", want, document)
		}
	}
}

// TestDocumentIsReadBack sees that the names of the fields can be read by programs as they are written.
func TestDocumentIsReadBack(t *testing.T) {
	document := pageOf(t, fullStatus()).document(t)
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	var read Status
	if err := decoder.Decode(&read); err != nil {
		t.Fatal(err)
	}
	if again := pageOf(t, read).document(t); !bytes.Equal(again, document) {
		t.Errorf("read and written again:\n%s\nwas:\n%s", again, document)
	}
	if bytes.Contains(document, []byte(`\u003c`)) || !bytes.HasSuffix(document, []byte("}\n")) {
		t.Error("its text is escaped for a page of HTML, or it does not end with its line")
	}
}

// TestNothingKnown sees that nothing is a zero that means "don't know", and that nothing known is not called none.
func TestNothingKnown(t *testing.T) {
	for name, status := range map[string]Status{"empty": {Time: statusTime}, "before the first poll": unknownStatus()} {
		said := text(parse(t, pageOf(t, status).seen(t, false)))
		if found := regexp.MustCompile(`(?m)^.*\b0\b.*$`).FindString(said); found != "" {
			t.Errorf("%s: a zero in %q", name, found)
		}
		for _, word := range []string{"None", "ok", "always", "24855"} {
			if strings.Contains(said, word) {
				t.Errorf("%s: the page says %q:\n%s", name, word, said)
			}
		}
		if got, want := strings.Count(strings.ToLower(said), "not known"), max(1, len(status.Figures))+3; got != want {
			t.Errorf("%s: the page says %d times that something is not known, want %d:\n%s", name, got, want, said)
		}
	}
	none := unknownStatus()
	none.Queue, none.Builds, none.Failures = []Platform{}, &Builds{}, []Failure{}
	said := text(parse(t, pageOf(t, none).seen(t, false)))
	for _, want := range []string{"No job has waited", "None.", "None was seen"} {
		if !strings.Contains(said, want) {
			t.Errorf("with empty lists the page does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "Not known.") {
		t.Errorf("empty lists are called not known:\n%s", said)
	}
}

// TestHealth looks at what each card says, at the level that gives it its colour.
func TestHealth(t *testing.T) {
	cases := []struct {
		name   string
		status func() Status
		want   map[string]string
	}{
		{"all is known", fullStatus, map[string]string{
			"Drone": "ok: answers", "Data": "ok: 4 s old", "Push over OTLP": "warn: is taken in part",
			"Configuration": "warn: refused",
		}},
		{"all is away", troubledStatus, map[string]string{
			"Drone": "bad: does not answer as it should", "Data": "bad: 10 min old", "Push over OTLP": "bad: is not taken",
			"Configuration": "warn: refused",
		}},
		{"not begun", unknownStatus, map[string]string{
			"Drone": "off: not asked yet", "Data": "off: none yet", "Push over OTLP": "off: not tried yet",
		}},
		{"fresh enough", func() Status {
			s := troubledStatus()
			s.Drone.Stale, s.Push, s.Agent.ConfigurationRefused = false, Push{State: "off"}, false
			return s
		}, map[string]string{
			"Drone": "bad: does not answer as it should", "Data": "warn: 10 min old", "Push over OTLP": "off: off",
		}},
		{"well", func() Status {
			s := fullStatus()
			s.Push.Rejected, s.Agent.ConfigurationRefused = "", false
			return s
		}, map[string]string{"Drone": "ok: answers", "Data": "ok: 4 s old", "Push over OTLP": "ok: is taken"}},
	}
	for _, c := range cases {
		got := map[string]string{}
		for n := range parse(t, pageOf(t, c.status()).seen(t, false)).Descendants() {
			level, card := strings.CutPrefix(attribute(n, "class"), "card ")
			if !card {
				continue
			}
			lines := strings.Split(text(n), "\n")
			got[lines[0]] = level + ": " + lines[1]
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for name, want := range c.want {
			if got[name] != want {
				t.Errorf("%s: the card %s says %q, want %q", c.name, name, got[name], want)
			}
		}
	}
}

// attribute is that of an element, empty where it has none of that name.
func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func parse(tb testing.TB, page []byte) *html.Node {
	tb.Helper()
	root, err := html.ParseWithOptions(bytes.NewReader(page), html.ParseOptionEnableScripting(false))
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// text is what is seen, a line for each piece of it.
func text(root *html.Node) string {
	var out []string
	for n := range root.Descendants() {
		if n.Type != html.TextNode || n.Parent.Data == "style" || n.Parent.Data == "script" {
			continue
		}
		if line := strings.TrimSpace(n.Data); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}
