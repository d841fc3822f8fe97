package api_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim/javascript"
)

// jsInvitation is an Invitation as the SDK hands it to its caller.
type jsInvitation struct {
	ID             string         `json:"id"`
	EmailAddress   string         `json:"emailAddress"`
	PublicMetadata map[string]any `json:"publicMetadata"`
	CreatedAt      int64          `json:"createdAt"`
	UpdatedAt      int64          `json:"updatedAt"`
	Status         string         `json:"status"`
	URL            string         `json:"url"`
	Revoked        bool           `json:"revoked"`
}

type jsList struct {
	Data       []jsInvitation `json:"data"`
	TotalCount int            `json:"totalCount"`
}

type jsFailure struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Param  string `json:"param"`
	Trace  string `json:"trace"`
}

// TestOfficialJavaScriptSDK runs testdata/backend.mjs under node, down to the
// simulated Clerk. On the way every exchange is held against the OpenAPI document.
func TestOfficialJavaScriptSDK(t *testing.T) {
	s := newErasingStage(t)
	s.contract.set(true) // One request is wrong on purpose.
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: s.contract,
	})
	defer proxy.Close()

	script, err := os.ReadFile("testdata/backend.mjs")
	if err != nil {
		t.Fatal(err)
	}
	out := javascript.Run(t, string(script), "API_URL="+proxy.URL, "API_TOKEN="+s.token)
	var seen struct {
		Created           jsInvitation
		Bulk              []jsInvitation
		List, Found, Left jsList
		GoneList          jsList
		Revoked           jsInvitation
		RevokedByClerksID jsInvitation
		Twice, Nobody     jsFailure
		Deleted           struct {
			ID      string
			Deleted bool
		}
		DeletedTwice      jsFailure
		Invalid, Stranger jsFailure
	}
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if c := seen.Created; !strings.HasPrefix(c.ID, "in") || c.Status != "pending" || c.EmailAddress != "grace@example.com" ||
		c.PublicMetadata["plan"] != "team" || c.CreatedAt == 0 || c.URL != "" {
		t.Errorf("created %+v", c)
	}
	if len(seen.Bulk) != 12 || seen.Bulk[11].EmailAddress != "p11@example.com" || seen.Bulk[11].PublicMetadata["place"] != 11.0 {
		t.Errorf("bulk %+v", seen.Bulk)
	}
	if l := seen.List; l.TotalCount != 13 || len(l.Data) != 13 || l.Data[0].EmailAddress != "grace@example.com" || !strings.HasPrefix(l.Data[12].ID, "inv_") {
		t.Errorf("list %+v", l)
	}
	if f := seen.Found; f.TotalCount != 1 || f.Data[0].EmailAddress != "grace@example.com" || !strings.HasPrefix(f.Data[0].ID, "inv_") {
		t.Errorf("found %+v", f)
	}
	if !seen.Revoked.Revoked || seen.Revoked.Status != "revoked" || !seen.RevokedByClerksID.Revoked {
		t.Errorf("revoked %+v, %+v", seen.Revoked, seen.RevokedByClerksID)
	}
	if !seen.Deleted.Deleted || !strings.HasPrefix(seen.Deleted.ID, "inv_") {
		t.Errorf("deleted %+v", seen.Deleted)
	}
	if seen.Left.TotalCount != 11 || len(seen.Left.Data) != 10 || seen.GoneList.TotalCount != 2 {
		t.Errorf("left %d (%d shown), gone %d", seen.Left.TotalCount, len(seen.Left.Data), seen.GoneList.TotalCount)
	}
	for _, c := range []struct {
		got, want jsFailure
	}{
		{seen.Twice, jsFailure{400, "invitation_already_revoked", "", ""}},
		{seen.DeletedTwice, jsFailure{404, "resource_not_found", "", ""}},
		{seen.Nobody, jsFailure{404, "resource_not_found", "", ""}},
		{seen.Invalid, jsFailure{422, "form_param_format_invalid", "email_address", ""}},
		{seen.Stranger, jsFailure{401, "clerk_key_invalid", "", ""}},
	} {
		if len(c.got.Trace) != 32 {
			t.Errorf("%+v has no trace", c.got)
		}
		if c.got.Trace = ""; c.got != c.want {
			t.Errorf("got %+v, want %+v", c.got, c.want)
		}
	}
	if got := s.pending(); got != 11 {
		t.Errorf("Clerk has %d invitations, want 11", got)
	}
	if s.sim.MaxMails() != 1 {
		t.Errorf("somebody got %d mails", s.sim.MaxMails())
	}
}
