package secret_test

import (
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"drone-otel-agent/internal/secret"
)

func TestRedact(t *testing.T) {
	const odd = `pass "word"/ü+%`
	for _, tt := range []struct {
		text    string
		secrets []string
		want    string
	}{
		{"no user has the token " + word + ".", []string{word}, "no user has the token [redacted]."},
		{word + word, []string{word}, "[redacted][redacted]"},
		{"at /" + url.PathEscape(odd) + "?t=" + url.QueryEscape(odd), []string{odd}, "at /[redacted]?t=[redacted]"},
		{`malformed line "pass \"word\"/ü+%"`, []string{odd}, `malformed line "[redacted]"`},
		{"one two three", []string{"one", "three"}, "[redacted] two [redacted]"},
		{"nothing", []string{""}, "nothing"},
		{"nothing", nil, "nothing"},
	} {
		var secrets []secret.Text
		for _, one := range tt.secrets {
			secrets = append(secrets, secret.New(one))
		}
		if got := secret.Redact(tt.text, secrets...); got != tt.want {
			t.Errorf("%q without %q is %q, want %q", tt.text, tt.secrets, got, tt.want)
		}
	}
}

// FuzzRedact looks for the secret in what is left of a text that has it in several places.
func FuzzRedact(f *testing.F) {
	f.Add("before", word, "after")
	f.Add("", `a"b/ c`, "\x00")
	f.Add("[redacted", "]", "")
	f.Add("aaa", "aa", "a")
	f.Fuzz(func(t *testing.T, before, word, after string) {
		if len(word) < 12 || strings.Contains(word, "red") || strings.Contains(word, "act") {
			t.Skip("no token is so short, and a part of [redacted] comes back in it")
		}
		for _, form := range []string{word, url.PathEscape(word), url.QueryEscape(word)} {
			got := secret.Redact(before+form+after+form, secret.New(word))
			if strings.Contains(got, word) && !strings.ContainsAny(word, "[]") {
				t.Errorf("%q is in %q", word, got)
			}
		}
	})
}

// proxyChild is set in the process that TestOfProxy starts: net/http reads the variables once.
const proxyChild = "SECRET_TEST_PROXY_OF"

func TestOfProxy(t *testing.T) {
	if server := os.Getenv(proxyChild); server != "" {
		at, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range secret.OfProxy(at) {
			t.Log("has " + one.Reveal() + ".")
		}
		return
	}
	for _, tt := range []struct {
		server, variable string
		want             []string
	}{
		{"https://drone.test", "HTTPS_PROXY=http://me:s3cret@proxy.test:3128", []string{"s3cret", "bWU6czNjcmV0"}},
		{"http://drone.test", "http_proxy=http://me:a%20b@proxy.test", []string{"a b", "bWU6YSBi"}},
		{"https://drone.test", "HTTPS_PROXY=me:s3cret@proxy.test:3128", []string{"s3cret", "bWU6czNjcmV0"}},
		{"https://drone.test", "HTTPS_PROXY=socks5://t0ken@proxy.test", []string{"t0ken", "dDBrZW46"}},
		{"https://drone.test", "HTTPS_PROXY=socks5://gateway.test", nil},
		{"https://drone.test", "HTTP_PROXY=http://me:s3cret@proxy.test", nil},
		{"https://drone.test", "HTTPS_PROXY=http://me:s3%zzcret@proxy.test", nil}, // net/http ignores it
		{"https://127.0.0.1", "HTTPS_PROXY=http://me:s3cret@proxy.test", nil},
	} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOfProxy$", "-test.v")
		child.Env = []string{proxyChild + "=" + tt.server, tt.variable}
		out, err := child.CombinedOutput()
		if err != nil || strings.Count(string(out), "has ") != len(tt.want) {
			t.Fatalf("%s: %v, want %q\n%s", tt.variable, err, tt.want, out)
		}
		for _, want := range tt.want {
			if !strings.Contains(string(out), "has "+want+".") {
				t.Errorf("%s: no %q in\n%s", tt.variable, want, out)
			}
		}
	}
}
