//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"drone-otel-agent/e2e/await"
)

// tab is a browser with one page open, and all that the page asked for and complained of.
type tab struct {
	t    *testing.T
	ctx  context.Context
	site string // where the page is from, http://host:port
	worn look

	mu         sync.Mutex
	requests   []string
	complaints []string
}

// open starts a browser of its own, with nobody's cookies. At the end of the test nothing may have been asked for
// outside the site, and the console must be as empty as it was.
func open(t *testing.T, site string) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	allocated, free := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, stop := chromedp.NewContext(allocated)
	b := &tab{t: t, ctx: ctx, site: site}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(ctx, await.Deadline)
		defer cancel()
		_ = chromedp.Cancel(closing)
		stop()
		free()
		b.wantQuiet()
	})
	b.do(command(network.Enable, network.EnableParams{}), command(cdplog.Enable, cdp.Empty{}),
		command(runtime.Enable, cdp.Empty{}))
	return b
}

// command makes an action of a command of the protocol whose answer nobody needs.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// hear notes what the page asks for and complains of.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *cdplog.EventEntryAdded:
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, fmt.Sprintf("exception: %s", e.ExceptionDetails.Text))
	}
}

// forgive forgets complaints that hold a text, which the test has brought about.
func (b *tab) forgive(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = slices.DeleteFunc(b.complaints, func(said string) bool { return strings.Contains(said, text) })
}

func (b *tab) wantQuiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		b.t.Error("the browser was seen to ask for nothing at all")
	}
	for _, url := range b.requests {
		if url != b.site && !strings.HasPrefix(url, b.site+"/") && !strings.HasPrefix(url, "data:") {
			b.t.Errorf("the page asked for %s", url)
		}
	}
	for _, said := range b.complaints {
		b.t.Errorf("the browser complains: %s", said)
	}
}

// do carries out what must work, within a time.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	get(b, chromedp.Steps(actions...))
}

// get is do for what gives something.
func get[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, await.Deadline)
	defer cancel()
	out, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// visit loads a page of the site.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.site + path))
}

// eval is what an expression gives in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression))
}

// run carries out a statement in the page.
func run(b *tab, statement string) {
	b.t.Helper()
	eval[any](b, statement+"; 0")
}

// text is what a person reads in the element, empty where there is none.
func (b *tab) text(selector string) string {
	b.t.Helper()
	quoted, err := json.Marshal(selector)
	if err != nil {
		b.t.Fatal(err)
	}
	return eval[string](b, fmt.Sprintf("document.querySelector(%s)?.innerText ?? ''", quoted))
}

// await waits until the element reads like this.
func (b *tab) await(selector, text string) {
	b.t.Helper()
	await.Until(b.t, fmt.Sprintf("%s to read %q", selector, text), func() error {
		if said := b.text(selector); !strings.Contains(said, text) {
			return fmt.Errorf("it reads %q", said)
		}
		return nil
	})
}

// login pastes a token into the form and presses Enter: no mouse is needed.
func (b *tab) login(token string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("#door")), chromedp.SendKeys(chromedp.CSS("#token"), token+"\r"))
}

// look is how a page is looked at.
type look struct {
	name          string
	width, height int64
	dark          bool
}

var looks = []look{
	{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"phone", 375, 812, false}, {"phone-dark", 375, 812, true},
}

// wear makes the window and its colours those of the look.
func (b *tab) wear(l look) {
	b.t.Helper()
	b.worn = l
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.do(
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: l.width, Height: l.height, DeviceScaleFactor: 2, Mobile: l.width < 600,
		}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
	)
}

// keep writes a picture of the whole page where pictures are wanted.
func (b *tab) keep(name string) {
	b.t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	// In a window as high as the page: what scrolls sideways is not drawn for a picture beyond the window.
	whole := b.worn
	whole.height = eval[int64](b, "document.documentElement.scrollHeight")
	defer b.wear(b.worn)
	b.wear(whole)
	picture := get(b, chromedp.CaptureScreenshot())
	file := filepath.Join(folder, name+".png")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(file, picture, 0o644)); err != nil {
		b.t.Fatal(err)
	}
}

// wantAccessible fails where axe-core finds something that keeps people from using the page: too little contrast,
// what has no name, what the keyboard does not reach, and some hundred more.
func (b *tab) wantAccessible() {
	b.t.Helper()
	run(b, axe)
	type pass struct {
		ID string `json:"id"`
	}
	type node struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	}
	type violation struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []node `json:"nodes"`
	}
	found := get(b, chromedp.Evaluate[struct {
		Passes     []pass      `json:"passes"`
		Violations []violation `json:"violations"`
	}](`axe.run(document, {resultTypes: ["violations", "passes"]}).then(r => ({
		passes: r.passes.map(p => ({id: p.id})),
		violations: r.violations.map(v => ({id: v.id, help: v.help,
			nodes: v.nodes.map(n => ({html: n.html, failureSummary: n.failureSummary}))}))}))`,
		chromedp.EvalAwaitPromise))
	if !slices.ContainsFunc(found.Passes, func(p pass) bool { return p.ID == "color-contrast" }) {
		b.t.Error("axe-core has not looked at the contrast")
	}
	for _, v := range found.Violations {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s\n%s\n%s", v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

// settle waits until the page has been brought up to date some more times.
func (b *tab) settle(times int) {
	b.t.Helper()
	for range times {
		before := b.text("#of")
		await.Until(b.t, "the page to be brought up to date", func() error {
			if b.text("#of") == before {
				return fmt.Errorf("it is of %s", before)
			}
			return nil
		})
	}
}
