// Package secret holds tokens so that they cannot be printed by accident: not by fmt with any verb, not
// inside a struct, not by slog, not by an encoder. The only way to the text is [Text.Reveal].
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every printer shows in place of a secret.
const redacted = "[redacted]"

// Text is a secret. The zero value is the empty secret.
//
// The text sits behind a function: fmt reads the unexported fields of a struct without asking their
// methods, and of a function it can show no more than an address.
type Text struct {
	reveal func() string
}

// New wraps text.
func New(text string) Text {
	return Text{reveal: func() string { return text }}
}

// Reveal returns the secret itself, for the one place that sends or compares it.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// Empty tells whether there is no secret at all.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Digest is the SHA-256 of the secret: what caches and comparisons use in its place.
func (t Text) Digest() [sha256.Size]byte { return sha256.Sum256([]byte(t.Reveal())) }

// Equal compares in constant time, by digest, so that neither content nor length can be measured.
func (t Text) Equal(other Text) bool {
	a, b := t.Digest(), other.Digest()
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Format redacts for every verb of fmt.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String redacts.
func (t Text) String() string { return redacted }

// LogValue redacts for slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText redacts for encoders (JSON, YAML).
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }
