package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
)

// withLists takes lists in as the program does (cmd/inviteq/upload.go, which this package
// cannot import); the forecast waits until it is told to go on.
func withLists(goOn <-chan struct{}) func(*Config) {
	return func(c *Config) {
		l := c.Ledger
		c.Acts.OpenList = func(ctx context.Context, r io.Reader, name string) (List, error) {
			list, err := lists.Open(ctx, r, lists.Options{Name: name})
			return &testList{List: list, goOn: goOn, client: func() (*enqueue.Client, error) {
				return enqueue.New(enqueue.Config{Redis: l.Redis(), Instance: l.Instance()})
			}}, err
		}
	}
}

type testList struct {
	*lists.List
	found  lists.Survey
	goOn   <-chan struct{}
	client func() (*enqueue.Client, error)
}

func (l *testList) Columns(ctx context.Context) ([]string, error) { return l.Heading(ctx) }

func (l *testList) Survey(ctx context.Context, columns []string, hold time.Duration) (s ListSurvey, err error) {
	rules, err := lists.ParseColumns(columns)
	if err != nil {
		return s, err
	}
	l.Remap(rules, hold)
	l.found, err = l.List.Survey(ctx, func(err error) error {
		if bad, ok := errors.AsType[*lists.RowError](err); ok {
			s.Problems = append(s.Problems, RowProblem{bad.Row, bad.Reasons()})
		}
		return nil
	})
	s.ImportID, s.Good, s.Bad, s.Duplicates, s.Ignored = l.ImportID(), l.found.Good, l.found.Bad, l.found.Duplicates, l.found.Ignored
	s.Notes = l.found.Notes()
	return s, err
}

func (l *testList) Forecast(ctx context.Context, progress func(int)) (tasks.Forecast, error) {
	progress(l.found.Good / 3)
	select {
	case <-l.goOn:
	case <-ctx.Done():
	}
	return tasks.Forecast{ToSend: l.found.Good - 3, Users: 2, Invited: 1, ETA: new(time.Now().Add(time.Hour))}, ctx.Err()
}

func (l *testList) Accept(ctx context.Context, owner string, progress func(int)) (ListAccepted, error) {
	c, err := l.client()
	if err != nil {
		return ListAccepted{}, err
	}
	got, err := l.List.Accept(ctx, c, l.found, lists.Acceptance{Owner: owner, Progress: func(r enqueue.BulkResult) { progress(r.Done()) }})
	return ListAccepted{got.Admitted, got.Known, got.Conflicting}, err
}

// TestAListIsBroughtInABrowser: signed in through the page, a list with wrong columns is
// mapped, looked at, started with the number typed, and stopped.
func TestAListIsBroughtInABrowser(t *testing.T) {
	goOn := make(chan struct{})
	s := newStage(t, withSeat, withLists(goOn))
	b := newBrowser(t, s.server.URL)
	all := func(name string) {
		t.Helper()
		for _, l := range []look{looks[0], looks[3]} {
			b.as(l)
			b.shoot(name + "-" + l.name)
		}
		b.as(looks[0])
	}
	b.as(looks[0])
	b.open(s.server.URL + "/imports")
	b.typeInto("#token", "not-the-right-token")
	b.submit("form")
	b.shows("This token is wrong")
	all("signin")
	b.typeInto("#token", testToken)
	b.submit("form")
	b.shows("here as admin")
	b.console = nil // Chromium notes the two answers 401, which are meant.

	path := filepath.Join(t.TempDir(), "spring team.csv")
	var list strings.Builder
	list.WriteString("Name,Kontakt,Tarif,Notiz\n")
	for n := range 150 {
		fmt.Fprintf(&list, "Person %d,person%d@example.com,gold,x\n", n, n)
	}
	list.WriteString("Bad,nobody at all,gold,x\nTwice,person1@example.com,gold,x\n,,,\nMade on Monday,,,\n")
	if err := os.WriteFile(path, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.WaitVisible(chromedp.CSS("input[type=file]")))
	root := call(b, dom.GetDocument, dom.GetDocumentParams{}).Root
	input := call(b, dom.QuerySelector, dom.QuerySelectorParams{NodeID: root.NodeID, Selector: "input[type=file]"})
	call(b, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: []string{path}, NodeID: input.NodeID})
	all("imports-upload")
	b.submit("form[action='/uploads']")
	b.shows("column is known to hold the e-mail address")
	all("upload-columns")
	ask(b, chromedp.Evaluate[bool](`(() => {
		document.querySelector("select[name=column1]").value = "email_address";
		document.querySelector("select[name=column2]").value = "public_metadata.Tarif";
		return true;
	})()`))
	b.submit("form[action$='/columns']")
	if got := b.figure("[data-figure=good]"); got != 150 {
		t.Errorf("%d good rows, want 150", got)
	}
	b.shows("email_address")
	b.shows("ignored: 1 row below the list")
	b.submit("form.look")
	b.shows("50 of 150 looked at")
	all("upload-looking")
	close(goOn)
	b.shows("have an account: Clerk would refuse them")
	all("upload-ready")
	b.do(chromedp.Click(chromedp.CSS("input[name=skip]")))
	b.typeInto("input[name=confirm]", "150")
	ask(b, chromedp.Evaluate[bool](`(() => { document.querySelector("select[name=hold]").value = "10m0s"; return true; })()`))
	b.submit("form.start")
	b.shows("150 invites enqueued")
	all("upload-started")
	b.click("a.button[href^='/imports/']")
	b.shows("held until")
	b.typeInto("form[action$=revoke] input", "150")
	b.submit("form[action$=revoke]")
	s.await(tasks.Canceled, 150)
	b.clean()
}

// TestUploadsAreForThoseWhoAct: a viewer is offered none, another person's list is not
// there, and no more than some are kept.
func TestUploadsAreForThoseWhoAct(t *testing.T) {
	h := handlerWith(t, withSeat, withLists(nil))
	send := func(auth string) (int, string) {
		v := &visitor{t: t, h: h}
		body := "--x\r\nContent-Disposition: form-data; name=\"list\"; filename=\"ada@example.com.csv\"\r\n\r\nemail\nada@example.com\n\r\n--x--\r\n"
		w := v.ask(http.MethodPost, "/uploads", nil, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+auth)
			r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
			r.Body = io.NopCloser(strings.NewReader(body))
		})
		return w.Code, w.Header().Get("Location")
	}
	if code, _ := send("guess"); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}
	code, at := send(testToken)
	if code != http.StatusSeeOther || !strings.HasPrefix(at, "/uploads/up_") {
		t.Fatalf("%d to %s", code, at)
	}
	get := func(h *Handler, path string) (int, string) {
		v := &visitor{t: t, h: h}
		w := v.ask(http.MethodGet, path, nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+testToken) })
		return w.Code, w.Body.String()
	}
	if code, page := get(h, at); code != http.StatusOK || strings.Contains(page, "ada@") || !strings.Contains(page, `data-figure="good">1<`) {
		t.Errorf("its page: %d %s", code, page)
	}
	id := strings.TrimPrefix(at, "/uploads/")
	if h.uploads.find(id, "somebody else") != nil {
		t.Error("somebody else sees it")
	}
	look := &visitor{t: t, h: h}
	_, long := send(testToken)
	for _, verb := range []string{"/look", "/drop"} { // A look that takes long can be ended.
		if w := look.ask(http.MethodPost, long+verb, url.Values{}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+testToken) }); w.Code != http.StatusSeeOther {
			t.Errorf("%s: %d %s", verb, w.Code, w.Body)
		}
	}
	if code, _ := get(h, long); code != http.StatusNotFound {
		t.Errorf("dropped: %d", code)
	}
	for range maxUploads - 1 {
		send(testToken)
	}
	if code, _ := send(testToken); code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", code)
	}
	h.uploads.find(id, "admin").used = time.Now().Add(-2 * uploadLives)
	if code, _ := send(testToken); code != http.StatusSeeOther {
		t.Errorf("after one was left: %d", code)
	}
	if code, _ := get(h, at); code != http.StatusNotFound {
		t.Errorf("the one that was left: %d", code)
	}
	none := handlerWith(t, withSeat)
	if _, page := get(none, "/imports"); strings.Contains(page, "Upload a list") {
		t.Error("it is offered where it cannot be done")
	}
}
