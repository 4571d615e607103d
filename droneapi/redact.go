package droneapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"drone-otel-agent/internal/secret"
)

// redact cuts a token out of a text that came from elsewhere: a server can echo what it was sent, in a message,
// in an address, in a line that net/http does not understand and quotes.
func redact(text string, token secret.Text) string {
	word := token.Reveal()
	if word == "" {
		return text
	}
	quoted := strings.Trim(strconv.Quote(word), `"`)
	for _, form := range []string{word, url.PathEscape(word), url.QueryEscape(word), quoted} {
		text = strings.ReplaceAll(text, form, token.String())
	}
	return text
}

// redactError does the same for an error's text. What the error is stays to be found by errors.As and errors.Is.
func redactError(err error, token secret.Text) error {
	text := err.Error()
	if clean := redact(text, token); clean != text {
		return &redactedError{text: clean, err: err}
	}
	return err
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// redactLocation leaves of an answer's Location the address alone, without the query and the user information,
// which may hold a token. One that cannot be read goes: http.Client would quote it in an error.
func redactLocation(header http.Header, asked *url.URL) {
	said := header.Get("Location")
	if said == "" {
		return
	}
	to, err := asked.Parse(said)
	if err != nil {
		header.Del("Location")
		return
	}
	to = &url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path, RawPath: to.RawPath}
	header.Set("Location", to.String())
}

// clip bounds what of a stranger's text goes into an error, and leaves out what could steer a terminal.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
