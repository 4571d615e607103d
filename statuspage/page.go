package statuspage

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"unicode"
)

//go:embed page.html.tmpl
var pageText string

//go:embed page.css
var styleText string

//go:embed page.js
var scriptText string

// Config is what a [Page] is made of.
type Config struct {
	// Source tells the status now. It must not block, and may be called many times at once.
	Source func() Status
	// Paths are where the server has what the page links to, each with its slash in front. The links are relative, so
	// that the server may be behind a prefix.
	Paths Paths
	// Version is the agent's own. It is shown to those, too, who may not read.
	Version string
}

// Paths are paths of the server's.
type Paths struct{ Metrics, Document, Logout, Healthy, Ready string }

// Page is the status page. All methods may be called many times at once.
type Page struct {
	cfg      Config
	template *template.Template
	policy   string
}

// New makes a Page. An error is a mistake in this package.
func New(cfg Config) (*Page, error) {
	text := strings.NewReplacer("{{style}}", styleText, "{{script}}", scriptText).Replace(pageText)
	parsed, err := template.New("page").Funcs(template.FuncMap{
		"relative": func(path string) string { return "." + path },
	}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the status page: %w", err)
	}
	p := &Page{cfg: cfg, template: parsed}
	// What is hashed is what is sent: the template takes comments out.
	sent, err := p.render(p.outside(http.StatusOK, ""))
	if err != nil {
		return nil, err
	}
	inside, err := p.render(p.inside(&Status{}, false))
	if err != nil {
		return nil, err
	}
	p.policy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; connect-src 'self'; " +
		"img-src data:; style-src " + digest(sent, "style") + "; script-src " + digest(inside, "script")
	return p, nil
}

// digest is that of the one element of this name, as a source of a Content-Security-Policy.
func digest(page []byte, element string) string {
	_, rest, _ := bytes.Cut(page, []byte("<"+element+">"))
	content, _, _ := bytes.Cut(rest, []byte("</"+element+">"))
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Policy is the Content-Security-Policy under which the page works, and nothing else does.
func (p *Page) Policy() string { return p.policy }

// Page answers with the status. leave tells that the reader can log out.
func (p *Page) Page(w http.ResponseWriter, _ *http.Request, leave bool) {
	status := p.cfg.Source()
	p.write(w, http.StatusOK, p.inside(&status, leave))
}

// Door answers somebody who may not read the status with what this is and a form that posts a field named token to
// where it is. said is which token is wanted where the status is 200, and else why the one that was given does not do.
func (p *Page) Door(w http.ResponseWriter, _ *http.Request, status int, said string) {
	p.write(w, status, p.outside(status, said))
}

// Document answers with the status as JSON.
func (p *Page) Document(w http.ResponseWriter, _ *http.Request) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(p.cfg.Source()); err != nil {
		http.Error(w, "the status cannot be put into JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(out.Bytes())
}

func (p *Page) write(w http.ResponseWriter, status int, view *view) {
	body, err := p.render(view)
	if err != nil {
		http.Error(w, "the page cannot be put together: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (p *Page) render(view *view) ([]byte, error) {
	var out bytes.Buffer
	if err := p.template.Execute(&out, view); err != nil {
		return nil, fmt.Errorf("rendering the status page: %w", err)
	}
	return bytes.Map(visible, out.Bytes()), nil
}

// visible takes out of a page what nobody sees and what makes other text look like what it is not: control characters,
// and those that turn the direction of writing.
func visible(r rune) rune {
	if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
		return unicode.ReplacementChar
	}
	return r
}
