package secret

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Redact cuts secrets out of a text that came from elsewhere: a server can echo what it was sent, in a message, in an
// address, in a line that net/http does not understand and quotes.
func Redact(text string, secrets ...Text) string {
	for _, one := range secrets {
		word := one.Reveal()
		if word == "" {
			continue
		}
		quoted := strings.Trim(strconv.Quote(word), `"`)
		for _, form := range []string{word, url.PathEscape(word), url.QueryEscape(word), quoted} {
			text = strings.ReplaceAll(text, form, redacted)
		}
	}
	return text
}

// OfProxy returns the credential that goes to the proxy in front of a server, in every form it may come back in. The
// proxy is the one that the standard variables (HTTPS_PROXY and the like) name.
func OfProxy(server *url.URL) []Text {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: server})
	if err != nil || proxy == nil || proxy.User == nil {
		return nil
	}
	user := proxy.User.Username()
	password, given := proxy.User.Password()
	out := []Text{New(base64.StdEncoding.EncodeToString([]byte(user + ":" + password)))}
	if !given {
		return append(out, New(user)) // a token in the user's place
	}
	return append(out, New(password))
}
