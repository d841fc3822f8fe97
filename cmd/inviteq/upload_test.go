package main

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestUploadedList: a person signs in, brings a list whose columns nobody knows, says
// what they are, sees which rows are bad, looks at Clerk before, starts it held, and takes
// it back. Nothing of the file stays on the disk or comes into the log.
func TestUploadedList(t *testing.T) {
	const token = "an-admin-token-for-tests"
	temp := t.TempDir()
	w := newWorld(t, "INVITEQ_ADMIN_TOKEN="+token).withClerk(clerksim.Config{})
	t.Setenv("TMPDIR", temp) // after Redis has begun
	w.sim.AddUser("canary.2@example.com")
	worker := w.startWorker("--reserve", "0")
	site := "http://" + worker.adminAddr(t)
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := &http.Client{Jar: jar}
	at := ""
	read := func(res *http.Response, err error) string {
		t.Helper()
		must(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		must(t, err)
		if at = res.Request.URL.Path; strings.Contains(string(body), "canary") {
			t.Errorf("%s shows an address", at)
		}
		return string(body)
	}
	press := func(path string, form url.Values) string {
		t.Helper()
		return read(browser.PostForm(site+path, form))
	}
	upload := func(name, content string) string {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("list", name)
		must(t, err)
		_, err = part.Write([]byte(content))
		must(t, err)
		must(t, form.Close())
		return read(browser.Post(site+"/uploads", form.FormDataContentType(), &body))
	}

	press("/sign-in", url.Values{"token": {token}})
	wants(t, upload("photo.pdf", "%PDF-1.7"), "the file is a PDF")
	list := "Kontakt;Tarif\ncanary.1@example.com;gold\ncanary.2@example.com;gold\nnobody;gold\ncanary.1@example.com;gold\n"
	wants(t, upload("team.csv", list), "no column is known to hold the e-mail address", "Kontakt", "say which it is below")
	here := at
	wants(t, press(here+"/start", url.Values{"hold": {"0s"}}), "not there yet")
	page := press(here+"/columns", url.Values{"column0": {"email_address"}, "column1": {"public_metadata.plan"}})
	wants(t, page, `data-figure="good">2<`, "of 4 rows", "1 with the address of an earlier row", `<td class="n">4</td>`, "email_address")
	press(here+"/look", nil)
	eventually(t, "Clerk was asked", func() bool {
		page = read(browser.Get(site + here))
		return strings.Contains(page, "What would happen")
	})
	wants(t, page, `be invited, one mail each</th><td class="n">1</td>`, `have an account: Clerk would refuse them</th><td class="n">1</td>`)
	wants(t, press(here+"/start", url.Values{"hold": {"10m0s"}}), "1 row of the list is bad")
	press(here+"/start", url.Values{"hold": {"10m0s"}, "skip": {"1"}})
	eventually(t, "the list is started", func() bool {
		page = read(browser.Get(site + here))
		return strings.Contains(page, "2 invites enqueued")
	})
	_, rest, _ := strings.Cut(page, "/imports/imp_")
	id, _, _ := strings.Cut(rest, `"`)
	wants(t, w.ok("imports"), "team.csv", "held until ")
	wants(t, press("/imports/imp_"+id+"/revoke", nil), "The import is taken back")
	eventually(t, "it is taken back", func() bool { return strings.Contains(w.ok("status", "imp_"+id), "canceled") })
	wants(t, w.ok("audit", "log"), "start import", "revoke import")
	if n := len(w.sim.Invitations()); n != 0 {
		t.Errorf("Clerk has %d invitations", n)
	}
	if left, err := filepath.Glob(filepath.Join(temp, "inviteq-list*")); err != nil || len(left) > 0 {
		t.Errorf("on the disk: %v, %v", left, err)
	}
	if strings.Contains(worker.log.String(), "canary") {
		t.Error("the log holds an address")
	}
	wants(t, press(here+"/drop", nil), "The copy of the list is gone.")
	wants(t, press(here+"/look", nil), "choose the file again")
}
