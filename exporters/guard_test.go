package exporters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/internal/secret"
)

// fixedGuard always answers the same, and remembers the token.
type fixedGuard struct {
	answer Answer
	got    *string
}

func (g fixedGuard) Decide(_ context.Context, token secret.Text) Answer {
	if g.got != nil {
		*g.got = token.Reveal()
	}
	return g.answer
}

// open is what a guard that lets in leads to.
var open = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the metrics")) })

func TestProtect(t *testing.T) {
	type response struct {
		status                       int
		challenge, retryAfter, wants string
	}
	for _, tc := range []struct {
		name   string
		answer Answer
		want   response
	}{
		{"allowed", Answer{Decision: Allowed}, response{200, "", "", "the metrics"}},
		{"missing", Answer{Decision: Missing, Message: "give one"},
			response{401, `Bearer realm="drone-otel-agent"`, "", "give one\n"}},
		{"unknown", Answer{Decision: Unknown, Message: "not that"},
			response{401, `Bearer realm="drone-otel-agent", error="invalid_token"`, "", "not that\n"}},
		{"forbidden", Answer{Decision: Forbidden, Message: "not you"},
			response{403, `Bearer realm="drone-otel-agent", error="insufficient_scope"`, "", "not you\n"}},
		{"undecidable", Answer{Decision: Undecidable, Message: "later", RetryAfter: 9100 * time.Millisecond},
			response{503, "", "10", "later\n"}},
		{"too many", Answer{Decision: TooMany, Message: "slowly", RetryAfter: time.Second},
			response{429, "", "1", "slowly\n"}},
		{"no decision", Answer{}, response{401, `Bearer realm="drone-otel-agent", error="invalid_token"`, "", "\n"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, logger := newLogbook(t)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
			r.Header.Set("Authorization", "Bearer "+theToken)
			w := httptest.NewRecorder()
			protect(fixedGuard{answer: tc.answer}, open, newRefusals(logger), bearerToken).ServeHTTP(w, r)
			got := response{w.Code, w.Header().Get("WWW-Authenticate"), w.Header().Get("Retry-After"), w.Body.String()}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(response{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBearerToken(t *testing.T) {
	for _, tc := range []struct {
		name    string
		url     string
		headers []string
		want    string
	}{
		{"none", "/metrics", nil, ""},
		{"bearer", "/metrics", []string{"Bearer abc"}, "abc"},
		{"any case", "/metrics", []string{"bEARER abc"}, "abc"},
		{"more spaces", "/metrics", []string{"Bearer   abc "}, "abc"},
		{"another scheme", "/metrics", []string{"Basic abc"}, ""},
		{"a scheme that begins like it", "/metrics", []string{"Bearers abc"}, ""},
		{"no scheme", "/metrics", []string{"abc"}, ""},
		{"nothing after the scheme", "/metrics", []string{"Bearer"}, ""},
		{"two headers", "/metrics", []string{"Bearer abc", "Bearer def"}, ""},
		{"in the URL", "/metrics?access_token=abc", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tc.url, nil)
			r.Header["Authorization"] = tc.headers
			var got string
			protect(fixedGuard{got: &got}, open, newRefusals(nil), bearerToken).ServeHTTP(httptest.NewRecorder(), r)
			if got != tc.want {
				t.Errorf("token %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRefusalsAreLoggedNowAndThen(t *testing.T) {
	logs, logger := newLogbook(t)
	refusing := fixedGuard{answer: Answer{Decision: Unknown, Message: "no"}}
	handler := protect(refusing, open, newRefusals(logger), bearerToken)
	for range 5 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	}
	if lines := logs.loud(t); len(lines) != 1 || strings.Count(logs.String(), "was refused") != 5 {
		t.Errorf("logged\n%s", logs)
	}
}

func TestOpenGuard(t *testing.T) {
	for _, token := range []string{"", theToken} {
		if got := OpenGuard().Decide(t.Context(), secret.New(token)); got != (Answer{Decision: Allowed}) {
			t.Errorf("answer %+v", got)
		}
	}
}

// brokenSource cannot be read while err is set.
type brokenSource struct {
	err  error
	text string
}

func (s *brokenSource) Get() (secret.Text, error) { return secret.New(s.text), s.err }

func hexDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestTokenGuard(t *testing.T) {
	logs, logger := newLogbook(t)
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, "from-file\n")
	source := &brokenSource{text: "from-source"}
	guard, err := NewTokenGuard(
		[]secret.Source{source, secret.NewFile(file), secret.Static(secret.Text{})},
		[]string{hexDigest(theToken), strings.ToUpper(hexDigest("older"))}, logger)
	if err != nil {
		t.Fatal(err)
	}
	decide := func(token string) Decision {
		t.Helper()
		answer := guard.Decide(t.Context(), secret.New(token))
		if strings.Contains(answer.Message, theToken) || (answer.Message == "") != (answer.Decision == Allowed) {
			t.Errorf("%q: message %q", token, answer.Message)
		}
		return answer.Decision
	}
	for token, want := range map[string]Decision{
		"": Missing, "from-source": Allowed, "from-file": Allowed, theToken: Allowed, "older": Allowed,
		"x": Unknown, "from-fil": Unknown, "from-file2": Unknown, "FROM-FILE": Unknown,
		hexDigest(theToken): Unknown, "two words": Unknown, "umläut": Unknown,
		strings.Repeat("x", maxToken): Unknown, strings.Repeat("x", maxToken+1): Unknown,
	} {
		if got := decide(token); got != want {
			t.Errorf("%.40q: decision %d, want %d", token, got, want)
		}
	}
	// The file changes: mv over it, as people and Kubernetes do.
	writeFile(t, file+".new", "rotated")
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	if got := []Decision{decide("rotated"), decide("from-file")}; !cmp.Equal(got, []Decision{Allowed, Unknown}) {
		t.Errorf("after the rotation: %v", got)
	}
	// A source that breaks costs those who need it, and a line.
	source.err = errors.New("reading the token file: gone")
	if got := []Decision{decide("rotated"), decide("from-source"), decide("x")}; !cmp.Equal(got,
		[]Decision{Allowed, Undecidable, Undecidable}) {
		t.Errorf("with a broken source: %v", got)
	}
	source.err = nil
	if got := decide("from-source"); got != Allowed {
		t.Errorf("with the source whole again: %v", got)
	}
	if lines := logs.loud(t); len(lines) != 2 || !strings.HasPrefix(lines[0], "ERROR a token that guards") {
		t.Errorf("logged %q", lines)
	}
}

func TestNewTokenGuardRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		digests []string
		want    string
	}{
		{"nothing", nil, "there is neither a token nor a digest"},
		{"no hex", []string{hexDigest("x"), "zz"}, "token digest 2: 64 hex digits are needed"},
		{"the token itself", []string{theToken}, "token digest 1: 64 hex digits are needed"},
	} {
		_, err := NewTokenGuard(nil, tc.digests, nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(fmt.Sprint(err), theToken) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}
