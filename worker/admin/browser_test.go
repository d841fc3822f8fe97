package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium that notes what went wrong in its pages and where
// they wanted to go.
type browser struct {
	t      testing.TB
	ctx    context.Context
	folder string // for screenshots

	mu       sync.Mutex
	console  []string
	outside  []string
	requests int
}

// newBrowser starts Chromium. Without one the test is skipped, and fails in CI.
func newBrowser(t testing.TB, origin string) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		missing(t, "chromium is missing, so no page was looked at: apt-get install chromium")
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		// Whatever the test does not see goes nowhere.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, flags...)
	t.Cleanup(cancel)
	b := &browser{t: t, folder: screenshots(t)}
	at, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(func(ev any) { b.note(ev, at.Host) }))
	t.Cleanup(cancel)
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	return b
}

// missing skips a test whose tool is not there, with a line that says so. In CI it
// fails.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// screenshots is where pictures go: INVITEQ_SCREENSHOTS, or .screenshots in the
// checkout, which git ignores.
func screenshots(t testing.TB) string {
	folder := os.Getenv("INVITEQ_SCREENSHOTS")
	if folder == "" {
		folder = "../../.screenshots"
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// note keeps what a reader would find in the console, and every request to
// elsewhere.
func (b *browser) note(ev any, host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, a := range ev.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			b.console = append(b.console, string(ev.Type)+": "+strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		b.console = append(b.console, "exception: "+ev.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning {
			b.console = append(b.console, fmt.Sprintf("%s: %s (%s)", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		b.requests++
		if u, err := url.Parse(ev.Request.URL); err != nil || (u.Host != host && u.Scheme != "data" && u.Scheme != "blob") {
			b.outside = append(b.outside, ev.Request.URL)
		}
	}
}

// call makes one call of the protocol.
func call[P, R any](b *browser, cmd cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, cmd, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// do runs actions, at most 30 s together. The browser must have been started.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ask(b, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		for _, a := range actions {
			if _, err := a(ctx, t); err != nil {
				return chromedp.Void{}, err
			}
		}
		return chromedp.Void{}, nil
	})
}

// ask runs an action that answers.
func ask[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	answer, err := chromedp.Run(ctx, action)
	if errors.Is(err, context.DeadlineExceeded) {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : "no body"`))
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("the browser did not get there in time; it shows:\n%s\nconsole: %q", text, b.console)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

// clean fails if anything went wrong in a page since the browser began.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.console {
		// The charts of asynqmon 0.7.2 draw before they know a narrow window's width.
		if strings.Contains(line, "<rect> attribute") && strings.Contains(line, "A negative value is not valid") && strings.Contains(line, monitoringPath+"/static/") {
			continue
		}
		b.t.Errorf("console: %s", line)
	}
	for _, u := range b.outside {
		b.t.Errorf("request to elsewhere: %s", u)
	}
	if b.requests == 0 {
		b.t.Error("no request was seen: the test has looked at nothing")
	}
}

// look is how a page is looked at.
type look struct {
	name          string
	width, height int64
	dark          bool
}

var looks = []look{
	{"desktop-light", 1280, 900, false}, {"desktop-dark", 1280, 900, true},
	{"phone-light", 390, 844, false}, {"phone-dark", 390, 844, true},
}

// as makes the window so wide, and light or dark.
func (b *browser) as(l look) {
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 600,
	})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// shoot writes a picture of the whole page, and checks that it does not scroll
// sideways.
func (b *browser) shoot(name string) {
	b.t.Helper()
	wide := ask(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	if wide > 0 {
		b.t.Errorf("%s scrolls sideways by %d px", name, wide)
	}
	// To see more than the window, Chromium makes it larger for a moment: only where
	// there is more, because asynqmon's drawer would begin to move.
	beyond := ask(b, chromedp.Evaluate[bool](`document.documentElement.scrollHeight > window.innerHeight`))
	take := func() []byte {
		return call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond, Format: page.CaptureScreenshotFormatPng}).Data
	}
	// Colours fade and charts grow: two equal pictures, or one of a page that never
	// rests.
	picture := take()
	for range 10 {
		next := take()
		if bytes.Equal(picture, next) {
			break
		}
		picture = next
	}
	if err := os.WriteFile(filepath.Join(b.folder, name+".png"), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// text reads what an element shows, in one step: a live page may put another one in
// its place between two.
func (b *browser) text(selector string) (text string) {
	b.t.Helper()
	eventually(b.t, func() error {
		found := ask(b, chromedp.Evaluate[[]string](fmt.Sprintf(`[...document.querySelectorAll(%q)].slice(0, 1).map((e) => e.innerText)`, selector)))
		if len(found) == 0 {
			return fmt.Errorf("the page has no %s", selector)
		}
		text = strings.TrimSpace(found[0])
		return nil
	})
	return text
}

// roomy checks that an element has most of the window's width.
func (b *browser) roomy(selector string) {
	b.t.Helper()
	share := ask(b, chromedp.Evaluate[float64](fmt.Sprintf(`document.querySelector(%q).getBoundingClientRect().width / window.innerWidth`, selector)))
	if share < 0.75 || share > 1 {
		b.t.Errorf("%s has %.2f of the window's width", selector, share)
	}
}

// figure reads a number that an element shows.
func (b *browser) figure(selector string) int64 {
	b.t.Helper()
	s := b.text(selector)
	n, err := strconv.ParseInt(strings.ReplaceAll(s, ",", ""), 10, 64)
	if err != nil {
		b.t.Fatalf("%s shows %q, want a number", selector, s)
	}
	return n
}

// logIn answers the browser's question for user and password.
func (b *browser) logIn(user, password string) {
	call(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{
		"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)),
	}})
}
