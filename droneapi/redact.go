package droneapi

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"drone-otel-agent/internal/secret"
)

// redactError cuts secrets out of an error's text. What the error is stays to be found by errors.As and errors.Is.
func redactError(err error, secrets []secret.Text) error {
	text := err.Error()
	if clean := secret.Redact(text, secrets...); clean != text {
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
