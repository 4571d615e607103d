package statuspage

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// element tells whether the page has use for an element of that name.
func element(name string) bool {
	return slices.Contains([]string{
		"html", "head", "meta", "noscript", "title", "link", "style", "body", "main", "header", "nav", "section", "footer",
		"div", "h1", "h2", "h3", "small", "p", "a", "span", "time", "svg", "path", "table", "thead", "tbody", "tr", "th",
		"td", "form", "label", "input", "button", "script",
	}, name)
}

// harmless fails where a page does what no page of ours does: runs a script that is not ours, reaches out, or shows
// what cannot be seen. Builds may link to whatever begins with drone.
func harmless(tb testing.TB, page *Page, sent []byte, scripts int, drone string) {
	tb.Helper()
	ids := map[string]bool{}
	for n := range parse(tb, sent).Descendants() {
		if n.Type == html.CommentNode {
			tb.Errorf("a comment: %q", n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		if !element(n.Data) {
			tb.Errorf("an element <%s>", n.Data)
		}
		if n.Data == "script" {
			scripts--
		}
		if id := attribute(n, "id"); id != "" && ids[id] {
			tb.Errorf("the id %q is there twice", id)
		} else {
			ids[id] = true
		}
		for _, a := range n.Attr {
			harmlessAttribute(tb, n, a, drone)
		}
	}
	if scripts != 0 {
		tb.Errorf("%d scripts fewer than there should be", scripts)
	}
	for i, r := range string(sent) {
		if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
			tb.Errorf("an unseen character %U at %d", r, i)
		}
	}
	if !utf8.Valid(sent) {
		tb.Error("it is not UTF-8")
	}
	digests(tb, page, sent)
}

func harmlessAttribute(tb testing.TB, n *html.Node, a html.Attribute, drone string) {
	tb.Helper()
	switch {
	case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "src", a.Key == "srcset", a.Key == "formaction":
		tb.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
	case a.Key == "action":
		if !strings.HasPrefix(a.Val, "./") {
			tb.Errorf("a form goes to %q", a.Val)
		}
	case a.Key == "href" && n.Data == "link":
		if !strings.HasPrefix(a.Val, "data:image/svg+xml,") {
			tb.Errorf("a link to %q", a.Val)
		}
	case a.Key == "href":
		ours := strings.HasPrefix(a.Val, "./") || strings.HasPrefix(a.Val, drone) && n.Parent.Data == "th"
		scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(a.Val)), ":")
		runs := slices.Contains([]string{"javascript", "vbscript", "data"}, scheme)
		if (!ours || runs) && a.Val != "#ZgotmplZ" { // which is what html/template makes of what is no address
			tb.Errorf("a link to %q", a.Val)
		}
	case a.Key == "content" && attribute(n, "http-equiv") != "":
		if attribute(n, "http-equiv") != "refresh" || strings.Trim(a.Val, "0123456789") != "" {
			tb.Errorf("<meta http-equiv=%q content=%q>", attribute(n, "http-equiv"), a.Val)
		}
	}
}

// digests fails where the policy does not name the style and the script that are sent.
func digests(tb testing.TB, page *Page, sent []byte) {
	tb.Helper()
	for _, name := range []string{"style", "script"} {
		_, rest, found := bytes.Cut(sent, []byte("<"+name+">"))
		content, _, ended := bytes.Cut(rest, []byte("</"+name+">"))
		if !found && name == "script" {
			continue
		}
		sum := sha256.Sum256(content)
		if digest := name + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !ended ||
			!slices.Contains(strings.Split(page.Policy(), "; "), digest) {
			tb.Errorf("the policy %q has no %s", page.Policy(), digest)
		}
		for _, word := range []string{"url(", "@import", "@font-face", "http:", "https:", "//www", "eval(", "innerHTML"} {
			if bytes.Contains(content, []byte(word)) {
				tb.Errorf("the %s has %q", name, word)
			}
		}
	}
}

// TestPagesStandAlone looks at every page for what reaches out of it, and at the policy for what it lets.
func TestPagesStandAlone(t *testing.T) {
	for name, status := range map[string]Status{
		"full": fullStatus(), "troubled": troubledStatus(), "unknown": unknownStatus(), "empty": {},
	} {
		t.Run(name, func(t *testing.T) {
			page := pageOf(t, status)
			for _, leave := range []bool{true, false} {
				sent := page.seen(t, leave)
				harmless(t, page, sent, 1, status.Drone.Server)
				if bytes.Contains(sent, []byte(`action="./-/logout"`)) != leave {
					t.Errorf("whoever came by a session, which is %v, has another way out", leave)
				}
			}
			harmless(t, page, page.door(t, http.StatusOK, "Any."), 0, "")
			harmless(t, page, page.door(t, http.StatusForbidden, refusal), 0, "")
		})
	}
	policy := strings.Split(pageOf(t, Status{}).Policy(), "; ")
	for _, want := range []string{
		"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'", "connect-src 'self'",
		"img-src data:",
	} {
		if !slices.Contains(policy, want) {
			t.Errorf("the policy %q has no %s", policy, want)
		}
	}
	if len(policy) != 8 || strings.Contains(strings.Join(policy, " "), "unsafe") {
		t.Errorf("the policy %q has more than it should", policy)
	}
}

// hostile is the status of a server where every text is this one.
func hostile(said, url string) Status {
	n := int64(1)
	trouble := &Trouble{Error: said, Cure: said, Since: statusTime}
	return Status{
		Time: statusTime, Agent: Agent{Version: said, Started: statusTime, PollInterval: 15},
		Drone: Drone{Server: said, Version: said, Edition: said, Up: to(false), Trouble: trouble},
		Push:  Push{State: "away", Endpoint: said, Trouble: trouble, Rejected: said},
		Figures: []Figure{
			{Name: said, Value: &n, History: []Point{{Time: time.Time{}, Value: &n}, {Time: statusTime, Value: &n}}},
		},
		Queue: []Platform{{OS: said, Arch: said, Type: said, Labels: map[string]string{said: said, "a": said}}},
		Builds: &Builds{Total: 2, Open: []Build{{
			Repository: said, Number: &n, URL: url, State: BuildState(said), Platforms: []string{said}, Machines: []string{said},
		}}},
		Failures: []Failure{{Repository: said, Number: n, URL: url, Status: said, Finished: statusTime}},
	}
}

// TestHostileText shows what strangers may have written: whoever makes a repository or a runner chooses its name, and
// whoever stands in front of Drone what is in its answers.
func TestHostileText(t *testing.T) {
	for _, said := range []string{
		`<script>alert(1)</script>`, `</script><script>alert(1)</script>`, `</style><img src=x onerror=alert(1)>`,
		`"><svg onload=alert(1)>`, `' onmouseover='alert(1)`, `" autofocus onfocus="alert(1)`, "`${alert(1)}`",
		`javascript:alert(1)`, `</title><base href=//evil.test>`, `<!-- `, `{{.Paths}}`,
		"\u202egnp.exe\u2066", "a\x00\x07\x1b[2Jb", "\u0085\u009b", "\xff\xfe", "&lt;b&gt;&#60;", `]]>`,
		"one\r\ntwo\u2028three",
		strings.Repeat("very-long/", 500),
	} {
		for _, url := range []string{
			said, "javascript:alert(1)", " JaVaScRiPt:alert(1)", "java\tscript:alert(1)",
			"data:text/html,<script>alert(1)</script>",
			"vbscript:x", `https://drone.test/"onclick="x`, "",
		} {
			page := pageOf(t, hostile(said, url))
			sent := page.seen(t, true)
			harmless(t, page, sent, 1, "")
			name := strings.ToValidUTF8(strings.Map(visible, said), "\ufffd") + " #1"
			if !strings.Contains(text(parse(t, sent)), name) {
				t.Errorf("%.40q is not shown", said)
			}
			harmless(t, page, page.door(t, http.StatusUnauthorized, said), 0, "")
			if document := page.document(t); !json.Valid(document) {
				t.Errorf("%.40q: %s", said, document)
			}
		}
	}
}
