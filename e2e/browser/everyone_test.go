//go:build browser

package browser

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
)

// TestForEveryone has axe-core look at every page in every look, and makes the pictures.
func TestForEveryone(t *testing.T) {
	s := play(t, dronetest.Enterprise, `
metrics: {queue_labels: [size]}
otlp: {endpoint: "http://127.0.0.1:9", interval: 1s}
`)
	s.live(t)
	s.awaitAll(t)
	s.agent.AwaitLine(t, "does not take the metrics")
	b := open(t, s.site)
	everyLook := func(page string) {
		for _, l := range looks {
			t.Run(page+" "+l.name, func(t *testing.T) {
				b.t = t
				b.wear(l)
				b.keep(page + "-" + l.name)
				b.wantAccessible()
				if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > l.width {
					t.Errorf("the page is %d wide in a window of %d", wide, l.width)
				}
			})
		}
		b.t = t
	}
	b.visit("/")
	everyLook("door")
	b.login("nobody's")
	b.await("[role=alert]", "does not know")
	b.forgive("the server responded with a status of 401")
	everyLook("refused")
	b.login(dronetest.DefaultToken)
	b.await("#status", "is not taken")
	everyLook("status")
	s.drone.Intercept(dronetest.Status(http.StatusBadGateway, "<html>bad gateway</html>"))
	b.await("#status", "does not answer as it should")
	b.await("#status", "Too old to be shown")
	everyLook("away")
}

// TestKeyboard reaches everything by the keyboard alone, sees where it is, and stays there when the page is renewed.
func TestKeyboard(t *testing.T) {
	s := play(t, dronetest.Enterprise, "")
	s.live(t)
	s.awaitAll(t)
	b := open(t, s.site)
	b.visit("/")
	if focused := eval[string](b, "document.activeElement.id"); focused != "token" {
		t.Errorf("the door begins at %q", focused)
	}
	b.login(dronetest.DefaultToken)
	b.await("#status", "Builds stored")
	var stops []string
	for range 30 {
		b.do(chromedp.KeyEvent(kb.Tab))
		stop := eval[string](b, "document.activeElement.id || document.activeElement.innerText")
		if slices.Contains(stops, stop) || document(b) {
			break
		}
		if width := eval[string](b, "getComputedStyle(document.activeElement).outlineWidth"); width != "3px" {
			t.Errorf("at %q an outline of %s shows where it is", stop, width)
		}
		stops = append(stops, stop)
	}
	want := []string{"Metrics", "JSON", "pause", "Log out", "queue-table", "builds-table"}
	for _, build := range []string{"open-web/2", "open-api/1", "open-api/2"} {
		want = append(want, strings.Replace(build, "open-", "open-"+s.droneURL+"/octocat/", 1))
	}
	want = append(want, "failures-table")
	for _, build := range []string{"failed-tools/1", "failed-web/1"} {
		want = append(want, strings.Replace(build, "failed-", "failed-"+s.droneURL+"/octocat/", 1))
	}
	if diff := cmp.Diff(want, stops); diff != "" {
		t.Errorf("where Tab leads (-want +got):\n%s", diff)
	}
	here := "open-" + s.droneURL + "/octocat/api/2"
	run(b, fmt.Sprintf("document.getElementById(%q).focus()", here))
	b.settle(2)
	if focused := eval[string](b, "document.activeElement.id"); focused != here {
		t.Errorf("when the page was renewed the focus went from %s to %q", here, focused)
	}
	run(b, "document.querySelector('nav form button').focus()")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.await("#door", "Token")
}

// document tells whether the focus is nowhere.
func document(b *tab) bool { return eval[bool](b, "document.activeElement === document.body") }
