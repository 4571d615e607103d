//go:build browser

package browser

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"drone-otel-agent/droneapi/dronetest"
	"drone-otel-agent/e2e/await"
	"drone-otel-agent/e2e/process"
)

var editions = []dronetest.Edition{dronetest.Enterprise, dronetest.Community}

// rows are the rows of a table as a person reads them.
func (b *tab) rows(id string) [][]string {
	b.t.Helper()
	return eval[[][]string](b, fmt.Sprintf(
		"[...document.querySelectorAll('#%s tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))", id))
}

// TestWhatIsSeen holds the page against Drone and the metrics, on both editions.
func TestWhatIsSeen(t *testing.T) {
	for _, edition := range editions {
		t.Run(edition.String(), func(t *testing.T) {
			s := play(t, edition, "")
			s.live(t)
			s.awaitAll(t)
			b := open(t, s.site)
			b.visit("/")
			b.login(dronetest.DefaultToken)
			b.await("#status", "Drone 2.25.0, "+edition.String()+" edition")
			b.checkHealth(s)
			b.checkFigures(s)
			b.checkTables(s)
			b.do(chromedp.Click(chromedp.CSS(`nav a[href="./metrics"]`), chromedp.NodeVisible))
			b.await("body", "drone_build_count")
			b.visit("/api/v1/status")
			b.await("body", `"drone_build_count"`)
		})
	}
}

// awaitAll waits until the agent has seen all of live.
func (s *scene) awaitAll(t *testing.T) {
	t.Helper()
	s.agent.Await(t, "everything to be seen", func() error {
		return errors.Join(s.told(3)(), s.shows("drone_pending_jobs", 2), s.shows("drone_running_jobs", 1))
	})
}

// all is what an expression gives for every element that a selector finds; it is the element.
func (b *tab) all(selector, expression string) []string {
	b.t.Helper()
	return eval[[]string](b, fmt.Sprintf("[...document.querySelectorAll(%q)].map(it => %s)", selector, expression))
}

// shows tells whether the metric has a value.
func (s *scene) shows(name string, want float64) error {
	got, err := s.metric(name)
	if err == nil && got != want {
		err = fmt.Errorf("%s is %v, not yet %v", name, got, want)
	}
	return err
}

func (b *tab) checkHealth(s *scene) {
	b.t.Helper()
	cards := b.all(".card", "it.className + '|' + it.innerText")
	if len(cards) != 3 {
		b.t.Fatalf("cards %q", cards)
	}
	for i, want := range [][]string{
		{"card ok|", "Drone", "answers", s.droneURL}, {"card ok|", "Data", " s old", "The last poll took"},
		{"card off|", "Push over OTLP", "off", "otlp.endpoint"},
	} {
		for _, text := range want {
			if !strings.Contains(cards[i], text) {
				b.t.Errorf("card %q does not say %q", cards[i], text)
			}
		}
	}
}

// checkFigures holds every figure against /metrics.
func (b *tab) checkFigures(s *scene) {
	b.t.Helper()
	shown := eval[map[string]string](b, `Object.fromEntries([...document.querySelectorAll('.figure')].map(figure =>
		[figure.querySelector('.metric').innerText, figure.querySelector('.value').innerText]))`)
	if len(shown) != 7 {
		b.t.Fatalf("figures %v", shown)
	}
	for name, value := range shown {
		if want, err := s.metric(name); err != nil || value != fmt.Sprint(want) {
			b.t.Errorf("%s is %q on the page, %v in the metrics (%v)", name, value, want, err)
		}
	}
	said, drawn := b.all(".figure svg", "it.ariaLabel"), b.all(".figure path", "it.getAttribute('d')")
	if len(said) != 7 || !strings.HasPrefix(said[0], "in the last hour ") || len(drawn) != 7 || drawn[0][0] != 'M' {
		b.t.Errorf("lines %q, %q", said, drawn)
	}
	document, err := s.document()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, figure := range document.Figures {
		if figure.Value == nil || fmt.Sprint(*figure.Value) != shown[figure.Name] || len(figure.History) == 0 {
			b.t.Errorf("%s is %v in the document, %s on the page", figure.Name, figure.Value, shown[figure.Name])
		}
	}
}

func (b *tab) checkTables(s *scene) {
	b.t.Helper()
	queue := [][]string{{"linux/amd64", "docker", "1", "1", "12 min"}, {"linux/arm64", "docker", "1", "0", "20 min"}}
	builds := [][]string{
		{"octocat/web #2", "waits for a runner", "12 min", "linux/amd64"},
		{"octocat/api #1", "waits for approval", "30 min", ""},
		{"octocat/api #2", "runs, 1 job waits", "20 min", "linux/amd64, linux/arm64 on runner-7"},
	}
	failures := [][]string{
		{"octocat/tools #1", "failure", "45 min ago", "5 min", "green again"},
		{"octocat/web #1", "failure", "45 min ago", "5 min", "still red"},
	}
	for id, want := range map[string][][]string{"queue-table": queue, "builds-table": builds, "failures-table": failures} {
		got := b.rows(id)
		for _, row := range got {
			for i := range row { // the seconds of an age are the test's own
				if minutes, _, found := strings.Cut(row[i], " min"); found {
					ago := ""
					if strings.HasSuffix(row[i], " ago") {
						ago = " ago"
					}
					row[i] = minutes + " min" + ago
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			b.t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	links := b.all("main a", "it.href")
	slices.Sort(links)
	want := []string{"/octocat/api/1", "/octocat/api/2", "/octocat/tools/1", "/octocat/web/1", "/octocat/web/2"}
	for i := range want {
		want[i] = s.droneURL + want[i]
	}
	if diff := cmp.Diff(want, links); diff != "" {
		b.t.Errorf("links to Drone (-want +got):\n%s", diff)
	}
}

// TestNewsComesByItself: what changes is seen without a reload, what is silent is said to be, and nothing old is shown
// as if it were new.
func TestNewsComesByItself(t *testing.T) {
	s := play(t, dronetest.Enterprise, "")
	s.behind.Store(0)
	b := open(t, s.site)
	b.visit("/")
	b.login(dronetest.DefaultToken)
	b.await("#status", "No job has waited or run")
	mark := func() { run(b, "window.mark = 1") }
	mark()
	s.drone.CreateBuild("octocat/web", dronetest.BuildSpec{})
	b.await("#builds-table", "octocat/web #1")
	b.await("title", "") // it is in the head and has no text that is laid out
	if title := eval[string](b, "document.title"); !strings.HasPrefix(title, "1 waiting, 0 running – ") {
		t.Errorf("the title is %q", title)
	}

	s.drone.Intercept(dronetest.Status(http.StatusUnauthorized, `{"message":"Unauthorized"}`, dronetest.On("/api/queue")))
	b.await(".card.bad", "drone does not know the token")
	b.await(".card.bad", "drone user add prometheus --admin --machine")
	b.await("#status", "Too old to be shown")
	if values := b.all(".value", "it.innerText"); !slices.Equal(
		slices.Compact(values), []string{"not known"}) {
		t.Errorf("old figures are shown: %q", values)
	}
	if said := b.text("#builds-table") + b.text("#queue-table"); said != "" {
		t.Errorf("old builds are shown: %q", said)
	}
	s.drone.Intercept(nil)
	b.await(".card.ok", "answers")
	b.await("#builds-table", "octocat/web #1")
	if eval[any](b, "window.mark") != 1.0 {
		t.Error("the page was loaded anew")
	}

	// Selected text stays selected, and the page says that it waits.
	run(b, "getSelection().selectAllChildren(document.querySelector('#builds-table tbody th'))")
	b.await("#silence", "Not brought up to date while text is selected.")
	if selected := eval[string](b, "String(getSelection())"); !strings.Contains(selected, "octocat/web #1") {
		t.Errorf("selected is %q", selected)
	}
	run(b, "getSelection().removeAllRanges()")
	await.Until(t, "the page to go on", func() error {
		if said := b.text("#silence"); said != "" {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})

	// So does a page that is paused, until it goes on.
	b.do(chromedp.Click(chromedp.CSS("#pause"), chromedp.NodeVisible))
	b.await("#silence", "Paused. What is shown is of "+b.text("#of"))
	s.drone.CreateBuild("octocat/api", dronetest.BuildSpec{})
	s.agent.Await(t, "the new build", func() error { return s.shows("drone_pending_builds", 2) })
	if said := b.text("#builds-table"); strings.Contains(said, "octocat/api #1") {
		t.Errorf("a paused page shows %q", said)
	}
	b.do(chromedp.Click(chromedp.CSS("#pause"), chromedp.NodeVisible))
	b.await("#builds-table", "octocat/api #1")

	if code := s.agent.Terminate(t); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	of := b.text("#of")
	b.await("#silence", "The agent has not answered since")
	b.await("#silence", "What is shown is of "+of)
	if b.text("#of") != of {
		t.Error("the page is of another time than it says")
	}
	b.forgive("ERR_CONNECTION_REFUSED")
	b.forgive("ERR_CONNECTION_RESET")
	b.forgive("ERR_EMPTY_RESPONSE")
	s.begin(t) // sessions end with the process
	b.await("#door", "Token")
	b.forgive("ERR_CONNECTION_REFUSED")
	b.login(dronetest.DefaultToken)
	b.await("#builds-table", "octocat/web #1")
}

// TestWithoutScripts: the page is whole, and loads itself anew.
func TestWithoutScripts(t *testing.T) {
	s := play(t, dronetest.Enterprise, "prometheus: {auth: {mode: none}}\n")
	s.behind.Store(0)
	b := open(t, s.site)
	b.do(command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.visit("/")
	b.await("#status", "Builds stored")
	if said := b.text("nav"); strings.Contains(said, "Log out") {
		t.Errorf("nobody has logged in, and can log out: %q", said)
	}
	s.drone.CreateBuild("octocat/web", dronetest.BuildSpec{})
	b.await("#builds-table", "octocat/web #1")
}

// TestBehindProxy: a proxy that takes a prefix off changes nothing.
func TestBehindProxy(t *testing.T) {
	s := play(t, dronetest.Enterprise, "")
	to, err := url.Parse(s.site)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.StripPrefix("/ci/drone", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
	}))
	t.Cleanup(proxy.Close)
	b := open(t, proxy.URL)
	b.visit("/ci/drone/")
	b.login(dronetest.DefaultToken)
	b.await("#status", "Builds stored")
	b.settle(1)
	b.do(chromedp.Click(chromedp.CSS(`nav a[href="./metrics"]`), chromedp.NodeVisible))
	b.await("body", "drone_build_count")
	b.visit("/ci/drone/")
	b.do(chromedp.Click(chromedp.CSS("nav form button"), chromedp.NodeVisible))
	b.await("#door", "Token")
	if at := eval[string](b, "location.pathname"); at != "/ci/drone/" {
		t.Errorf("the logout leads to %s", at)
	}
	if !strings.Contains(process.Version, "e2e") || !strings.Contains(b.text("#door"), process.Version) {
		t.Errorf("the door is of version %q", b.text("#door"))
	}
}
