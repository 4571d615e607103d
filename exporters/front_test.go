package exporters

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"drone-otel-agent/internal/secret"
)

// plainFront is a Front of single words.
type plainFront struct{}

func (plainFront) Page(w http.ResponseWriter, _ *http.Request, leave bool) {
	_, _ = io.WriteString(w, "the page")
	if leave {
		_, _ = io.WriteString(w, ", and the way out")
	}
}

func (plainFront) Document(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "the document")
}

func (plainFront) Door(w http.ResponseWriter, _ *http.Request, status int, said string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "the door: "+said)
}

func (plainFront) Policy() string { return "default-src 'none'; style-src 'sha256-x'" }

// browser is one as far as cookies and redirects go.
type browser struct {
	*http.Client

	t    *testing.T
	addr string
}

func newBrowser(t *testing.T, cfg ServerConfig) *browser {
	t.Helper()
	cfg.Front = plainFront{}
	_, addr := startServer(t, cfg, defaultLimits())
	client := newClient(t, nil)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Jar = jar
	return &browser{client, t, addr}
}

// login posts the form.
func (v *browser) login(token string, headers ...string) (*http.Response, string) {
	v.t.Helper()
	form := url.Values{"token": {token}}.Encode()
	headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	return do(v.t, v.Client, http.MethodPost, "http://"+v.addr+"/", strings.NewReader(form), headers...)
}

func (v *browser) sees(path string) (*http.Response, string) {
	v.t.Helper()
	return get(v.t, v.Client, "http://"+v.addr+path)
}

// wantPage fails where / does not show this.
func (v *browser) wantPage(status int, text string) {
	v.t.Helper()
	v.wantPageAt("/", status, text)
}

func (v *browser) wantPageAt(path string, status int, text string) {
	v.t.Helper()
	if resp, body := v.sees(path); resp.StatusCode != status || !strings.Contains(body, text) {
		v.t.Errorf("%s answers %d %q, want %d %q", path, resp.StatusCode, body, status, text)
	}
}

// cookie is the one that it has.
func (v *browser) cookie() *http.Cookie {
	v.t.Helper()
	cookies := v.Jar.Cookies(&url.URL{Scheme: "http", Host: v.addr})
	if len(cookies) != 1 {
		v.t.Fatalf("%d cookies", len(cookies))
	}
	return cookies[0]
}

// TestLogin goes in by the form, sees what there is, and goes out.
func TestLogin(t *testing.T) {
	_, logger := newLogbook(t)
	v := newBrowser(t, ServerConfig{Guard: tokenGuardOf(t), Logger: logger, Identity: "http://drone.test"})
	v.wantPage(200, "the door: This endpoint wants the bearer token")

	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, _ := v.login(" " + theToken + "\n")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "./" {
		t.Fatalf("status %d, location %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	set := resp.Header.Values("Set-Cookie")
	if len(set) != 1 {
		t.Fatalf("cookies %q", set)
	}
	for _, part := range []string{"; Path=/", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(set[0], part) {
			t.Errorf("the cookie %s is not%s", set[0], part)
		}
	}
	for _, part := range []string{"Secure", "Max-Age", "Expires", "Domain", theToken} {
		if strings.Contains(set[0], part) {
			t.Errorf("the cookie %s has %s", set[0], part)
		}
	}
	v.CheckRedirect = nil
	v.wantPage(200, "the page, and the way out")
	for path, text := range map[string]string{"/api/v1/status": "the document", "/metrics": "the metrics"} {
		if resp, body := v.sees(path); resp.StatusCode != 200 || body != text {
			t.Errorf("%s answers %d %q to somebody who has logged in", path, resp.StatusCode, body)
		}
	}
	before := v.cookie().Value
	if resp, body := v.login(theToken); resp.StatusCode != 200 || !strings.HasPrefix(body, "the page") {
		t.Errorf("a second login: %d %q", resp.StatusCode, body)
	}
	if v.cookie().Value == before {
		t.Error("the second login has the session of the first")
	}
	stolen := &http.Cookie{Name: v.cookie().Name, Value: v.cookie().Value}

	resp, body := do(t, v.Client, http.MethodPost, "http://"+v.addr+LogoutPath, nil)
	if resp.StatusCode != 200 || !strings.HasPrefix(body, "the door") {
		t.Errorf("after the logout: %d %q", resp.StatusCode, body)
	}
	if left := v.Jar.Cookies(&url.URL{Scheme: "http", Host: v.addr}); len(left) != 0 {
		t.Errorf("the logout leaves %v", left)
	}
	for _, old := range []string{stolen.Value, before} {
		_, body := get(t, newClient(t, nil), "http://"+v.addr+"/", "Cookie", stolen.Name+"="+old)
		if !strings.HasPrefix(body, "the door") {
			t.Errorf("a session that has ended shows %q", body)
		}
	}
}

// TestLoginRefused tries what must not go in.
func TestLoginRefused(t *testing.T) {
	guard := must(NewDroneGuard(func(_ context.Context, token secret.Text) (Decision, error) {
		switch token.Reveal() {
		case "plain":
			return Forbidden, nil
		case "away":
			return Unknown, io.ErrUnexpectedEOF
		}
		return Unknown, nil
	}, DroneGuardOptions{StrangersBurst: 4}))
	logs, logger := newLogbook(t)
	v := newBrowser(t, ServerConfig{Guard: guard, Logger: logger})
	for _, tc := range []struct {
		name, token, text string
		headers           []string
		status            int
	}{
		{name: "nobody's", token: "nobody", status: 401, text: "Drone does not know this token."},
		{name: "a plain user's", token: "plain", status: 403, text: "neither an admin nor a machine user"},
		{name: "while Drone is away", token: "away", status: 503, text: "Drone does not answer"},
		{name: "none", token: "", status: 400, text: "no token in the form"},
		{name: "spaces", token: " \t ", status: 400, text: "no token in the form"},
		{name: "huge", token: strings.Repeat("x", 20<<10), status: 400, text: "too long"},
		{name: "too long for a token", token: strings.Repeat("x", maxToken+1), status: 401, text: "no token of Drone"},
		{name: "another site's", token: theToken, status: 403, text: "another site",
			headers: []string{"Origin", "http://evil.test"}},
		{name: "a site beside", token: theToken, status: 403, text: "another site",
			headers: []string{"Sec-Fetch-Site", "same-site"}},
		{name: "one more of nobody's", token: "nobody1", status: 401, text: "does not know"},
		{name: "too many", token: "nobody2", status: 429, text: "Too many tokens"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := v.login(tc.token, tc.headers...)
			if resp.StatusCode != tc.status || !strings.Contains(body, "the door") || !strings.Contains(body, tc.text) {
				t.Errorf("%d %q, want %d and %q", resp.StatusCode, body, tc.status, tc.text)
			}
			if resp.Header.Get("Set-Cookie") != "" {
				t.Error("there is a cookie")
			}
			if (resp.Header.Get("Retry-After") != "") != (tc.status == 503 || tc.status == 429) {
				t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
			}
		})
	}
	v.wantPage(200, "the door")
	if strings.Contains(logs.String(), "nobody1") {
		t.Errorf("a token that was tried is in the log:\n%s", logs)
	}
}

// TestLoginFromHere is a browser's: on plain HTTP it says Origin alone, else Sec-Fetch-Site too.
func TestLoginFromHere(t *testing.T) {
	v := newBrowser(t, ServerConfig{Guard: tokenGuardOf(t)})
	for _, headers := range [][]string{
		{"Origin", "http://" + v.addr},
		{"Origin", "http://" + v.addr, "Sec-Fetch-Site", "same-origin"},
		{"Sec-Fetch-Site", "none"},
	} {
		if resp, body := v.login(theToken, headers...); resp.StatusCode != 200 || !strings.HasPrefix(body, "the page") {
			t.Errorf("%q: %d %q", headers, resp.StatusCode, body)
		}
	}
}

// TestOpenFront: where anyone may read, nobody has to log in, and nobody can.
func TestOpenFront(t *testing.T) {
	_, logger := newLogbook(t)
	v := newBrowser(t, ServerConfig{Guard: OpenGuard(), Logger: logger})
	if _, body := v.sees("/"); body != "the page" {
		t.Errorf("/ shows %q", body)
	}
	if resp, body := v.login(theToken); resp.StatusCode != 200 || body != "the page" {
		t.Errorf("a login: %d %q", resp.StatusCode, body)
	}
	if cookies := v.Jar.Cookies(&url.URL{Scheme: "http", Host: v.addr}); len(cookies) != 0 {
		t.Errorf("a login leaves %v", cookies)
	}
}

// TestSessionReloadsNothing: what changes something wants the token itself, which no other site's page can send.
func TestSessionReloadsNothing(t *testing.T) {
	reloaded := false
	v := newBrowser(t, ServerConfig{
		Guard:  tokenGuardOf(t),
		Reload: func(context.Context) ([]string, error) { reloaded = true; return nil, nil },
	})
	v.login(theToken)
	v.wantPage(200, "the page")
	resp, body := do(t, v.Client, http.MethodPost, "http://"+v.addr+"/-/reload", nil)
	if resp.StatusCode != 401 || reloaded {
		t.Errorf("%d %q, reloaded %v", resp.StatusCode, body, reloaded)
	}
	resp, _ = do(t, v.Client, http.MethodPost, "http://"+v.addr+LogoutPath, nil, "Origin", "http://evil.test")
	if resp.StatusCode != 403 {
		t.Errorf("a logout from another site answers %d", resp.StatusCode)
	}
	v.wantPage(200, "the page")
}

// TestTokenIsTakenFromNowhereElse: not from a URL, where it would be in logs and histories.
func TestTokenIsTakenFromNowhereElse(t *testing.T) {
	v := newBrowser(t, ServerConfig{Guard: tokenGuardOf(t)})
	for _, query := range []string{"?token=" + theToken, "?access_token=" + theToken} {
		v.wantPageAt("/"+query, 200, "the door")
		resp, body := do(t, v.Client, http.MethodPost, "http://"+v.addr+"/"+query, strings.NewReader(""),
			"Content-Type", "application/x-www-form-urlencoded")
		if resp.StatusCode != 400 || !strings.Contains(body, "no token in the form") {
			t.Errorf("POST /%s: %d %q", query, resp.StatusCode, body)
		}
	}
	if resp, _ := do(t, v.Client, http.MethodGet, "http://"+v.addr+LogoutPath, nil); resp.StatusCode != 405 {
		t.Errorf("GET %s answers %d", LogoutPath, resp.StatusCode)
	}
	resp, body := do(t, v.Client, http.MethodGet, "http://"+v.addr+"/", strings.NewReader(strings.Repeat("x", 2<<10)))
	if resp.StatusCode != 413 {
		t.Errorf("a page that is asked for with a body: %d %q", resp.StatusCode, body)
	}
	// A mistake in the URL is not the token's.
	resp, body = do(t, v.Client, http.MethodPost, "http://"+v.addr+"/?a;b", strings.NewReader("token="+theToken),
		"Content-Type", "application/x-www-form-urlencoded")
	if resp.StatusCode != 200 || !strings.HasPrefix(body, "the page") {
		t.Errorf("POST /?a;b: %d %q", resp.StatusCode, body)
	}
	// Who says who he is, is nobody else, whatever his browser remembers.
	resp, body = get(t, v.Client, "http://"+v.addr+"/", "Authorization", "Bearer nobody")
	if resp.StatusCode != 401 || !strings.HasPrefix(body, "the door") {
		t.Errorf("another token in a session: %d %q", resp.StatusCode, body)
	}
	// Browsers that are told to send no referrer send no origin either.
	if policy := resp.Header.Get("Referrer-Policy"); policy != "same-origin" {
		t.Errorf("the referrer policy is %q", policy)
	}
}

// TestPagesTakeTurns: pages are put together so many at a time, and do not keep scrapes waiting.
func TestPagesTakeTurns(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	lim := defaultLimits()
	lim.scrapes, lim.patience = 1, time.Millisecond
	_, addr := startServer(t, ServerConfig{Front: slowFront{entered: entered, leave: leave}}, lim)
	client := newClient(t, nil)
	slow := make(chan int, 1)
	go func() {
		resp, err := client.Get("http://" + addr + "/")
		if err != nil {
			slow <- 0
			return
		}
		_ = resp.Body.Close()
		slow <- resp.StatusCode
	}()
	<-entered
	for path, want := range map[string]int{"/": 503, StatusPath: 503, "/metrics": 200} {
		if resp, _ := get(t, client, "http://"+addr+path); resp.StatusCode != want {
			t.Errorf("while a page is put together %s answers %d, want %d", path, resp.StatusCode, want)
		}
	}
	close(leave)
	if status := <-slow; status != 200 {
		t.Errorf("the page itself answers %d", status)
	}
}

// slowFront takes its time for the first page.
type slowFront struct {
	plainFront

	entered, leave chan struct{}
}

func (f slowFront) Page(w http.ResponseWriter, r *http.Request, leave bool) {
	f.entered <- struct{}{}
	<-f.leave
	f.plainFront.Page(w, r, leave)
}
