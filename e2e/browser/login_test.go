//go:build browser

package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"drone-otel-agent/droneapi/dronetest"
)

// TestLogIn goes in and out as a person does, and tries what must not go in.
func TestLogIn(t *testing.T) {
	s := play(t, dronetest.Enterprise, "")
	b := open(t, s.site)
	b.visit("/")
	b.await("#door", "Drone user who is an admin or a machine user")
	if said := b.text("body"); strings.Contains(said, "octocat") || strings.Contains(said, "2.25.0") {
		b.t.Errorf("the door tells strangers %q", said)
	}
	for token, text := range map[string]string{
		strings.Repeat("0", 32): "Drone does not know this token", plainToken: "neither an admin nor a machine user",
	} {
		b.login(token)
		b.await("[role=alert]", text)
	}
	b.forgive("the server responded with a status of 401")
	b.forgive("the server responded with a status of 403")
	b.login(dronetest.DefaultToken)
	b.await("#status", "Builds stored")

	cookies := cookiesOf(b)
	if len(cookies) != 1 {
		t.Fatalf("cookies %v", cookies)
	}
	c := cookies[0]
	if !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || !c.Session ||
		strings.Contains(c.Value, dronetest.DefaultToken) {
		t.Errorf("the cookie is %+v", c)
	}
	if seen := eval[string](b, "document.cookie"); seen != "" {
		t.Errorf("scripts see the cookie %q", seen)
	}
	// A link from elsewhere, as in an alert, leads in.
	elsewhere := "data:text/html,<a id=it href='" + s.site + "/'>alert</a>"
	b.do(chromedp.Navigate(elsewhere), chromedp.Click(chromedp.CSS("#it"), chromedp.NodeVisible))
	b.await("#status", "Builds stored")
	b.do(chromedp.Click(chromedp.CSS("nav form button"), chromedp.NodeVisible))
	b.await("#door", "Token")
	b.visit("/metrics")
	b.await("body", "wants the bearer token")
	b.forgive("the server responded with a status of 401")
	if cookies := cookiesOf(b); len(cookies) != 0 {
		t.Errorf("after the logout there is %v", cookies)
	}
	if strings.Contains(s.agent.Log(), dronetest.DefaultToken) || strings.Contains(s.agent.Log(), c.Value) {
		t.Error("a secret is in the agent's log")
	}
}

func cookiesOf(b *tab) []*network.Cookie {
	b.t.Helper()
	return get(b, func(ctx context.Context, t *chromedp.Target) ([]*network.Cookie, error) {
		result, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
		return result.Cookies, err
	})
}
