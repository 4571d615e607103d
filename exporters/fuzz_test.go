package exporters

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"drone-otel-agent/internal/secret"
)

// FuzzRequest gives the server any request. What it answers is one of the answers there are, repeats nothing of the
// credential, lets nobody in who has none, and Drone is asked only about what can be sent to it in a header.
func FuzzRequest(f *testing.F) {
	for _, authorization := range []string{
		"", "Bearer " + theToken, "bearer  " + theToken + " ", "Basic " + theToken, theToken, "Bearer", "Bearer \x00\x7f",
		"Bearer ä" + theToken, "Bearer " + strings.Repeat("x", maxToken+1), "Bearer a\r\nX: y",
	} {
		f.Add(http.MethodGet, "/metrics", authorization, "")
		f.Add(http.MethodPost, "/-/reload", authorization, "x")
		f.Add(http.MethodGet, "/", authorization, "")
		f.Add(http.MethodGet, StatusPath, authorization, "")
	}
	for _, form := range []string{
		"token=" + theToken, "token=%20" + theToken + "%0a", "token=x&token=" + theToken, "token=%", "token=%00", "=", "&&",
	} {
		f.Add(http.MethodPost, "/", "", form)
		f.Add(http.MethodPost, LogoutPath, "", form)
	}
	for _, path := range []string{
		"", "*", "/", "/-/ready", "//metrics", "/metrics/", "/%6detrics", "/metrics?x=" + theToken,
	} {
		f.Add(http.MethodHead, path, "Bearer "+theToken, strings.Repeat("x", 2000))
	}
	f.Fuzz(func(t *testing.T, method, path, authorization, body string) {
		ask := func(_ context.Context, token secret.Text) (Decision, error) {
			text := token.Reveal()
			if text == "" || !wellFormed(token) || strings.ContainsAny(text, " \r\n") {
				t.Errorf("Drone is asked about %q", text)
			}
			if text == theToken {
				return Allowed, nil
			}
			return Unknown, nil
		}
		guard, err := NewDroneGuard(ask, DroneGuardOptions{})
		if err != nil {
			t.Fatal(err)
		}
		served := false
		handler, err := routes(ServerConfig{
			MetricsPath: "/metrics", Guard: guard, Ready: func() bool { return true },
			Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }),
			Front:   watchedFront{served: &served},
			Reload: func(context.Context) ([]string, error) {
				served = true
				return nil, nil
			},
		}, defaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		content := io.NopCloser(strings.NewReader(body)) // of a length that is not known
		req, err := http.NewRequestWithContext(t.Context(), method, "http://agent.test", content)
		if err != nil {
			t.Skip("no such method")
		}
		req.URL.Path, _, _ = strings.Cut(path, "?")
		req.ContentLength, req.RequestURI = -1, path
		req.Header["Authorization"] = []string{authorization}
		req.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, req)
		if known := []int{200, 303, 400, 401, 404, 405, 413}; !slices.Contains(known, answer.Code) {
			t.Errorf("status %d", answer.Code)
		}
		if answer.Header().Get("Location") == "./" && !strings.Contains(body, theToken) {
			t.Errorf("%q was logged in", body)
		}
		if _, said, _ := strings.Cut(authorization, " "); len(said) > 11 && strings.Contains(answer.Body.String(), said) {
			t.Errorf("the credential is in the answer: %s", answer.Body)
		}
		if served && !strings.HasSuffix(strings.TrimRight(authorization, " "), " "+theToken) {
			t.Errorf("%q was let in", authorization)
		}
	})
}

// watchedFront notes that somebody was let in.
type watchedFront struct {
	plainFront

	served *bool
}

func (f watchedFront) Page(http.ResponseWriter, *http.Request, bool) { *f.served = true }

func (f watchedFront) Document(http.ResponseWriter, *http.Request) { *f.served = true }
