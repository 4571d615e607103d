package configdoc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := Read([]byte(`# The head.
#
# It goes on.

server:
  # Where.
  # In full.
  address: ${SERVER}
  # How fast, and how much at once.
  rate: 1s
  most: 4
  # Files.
  tls:
    # Trusted.
    ca: ""
    key: ""
client:
  tls:
    ca: ""
    key: ""
  # None.
  headers: {}
`))
	want := Document{
		Head: []string{"The head.", "", "It goes on."},
		Entries: []Entry{
			{[]Key{{"server.address", "${SERVER}"}}, []string{"Where.", "In full."}},
			{[]Key{{"server.rate", "1s"}, {"server.most", "4"}}, []string{"How fast, and how much at once."}},
			{[]Key{{"server.tls", ""}}, []string{"Files."}},
			{[]Key{{"server.tls.ca", `""`}, {"server.tls.key", `""`}}, []string{"Trusted."}},
			{[]Key{{"client.tls.ca", `""`}, {"client.tls.key", `""`}}, []string{"As under server.tls."}},
			{[]Key{{"client.headers", "{}"}}, []string{"None."}},
		},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestReadMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: 1\n":                      "a: it has no comment",
		"# A.\na: {}\nb:\n  c: 1\n":   "b.c: it has no comment",
		"- 1\n":                       "no mapping",
		"a: [\n":                      "did not find",
		"# A.\na: 1\nb:\n  a: true\n": "b.a: it has no comment",
	} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", text, err, want)
		}
	}
}
