package api_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	sdkinvitation "github.com/clerk/clerk-sdk-go/v2/invitation"

	"github.com/inviteq/inviteq/enqueue/api"
)

// TestOfficialGoSDK drives the four operations by Clerk's own Go SDK, of which
// nothing but the base URL and the key are changed, down to the simulated Clerk.
func TestOfficialGoSDK(t *testing.T) {
	e := &eraser{}
	e.stage = newStage(t, func(cfg *api.Config) { cfg.Eraser = e })
	s := e.stage
	cfg := &sdk.ClientConfig{}
	cfg.HTTPClient, cfg.URL, cfg.Key = s.http, new(s.url+"/v1"), new(s.token)
	client, ctx := sdkinvitation.NewClient(cfg), t.Context()

	meta := json.RawMessage(`{"plan":"team"}`)
	one, err := client.Create(ctx, &sdkinvitation.CreateParams{
		EmailAddress: "Ada@Example.com", PublicMetadata: &meta, RedirectURL: new("https://app.example.com/welcome"),
		ExpiresInDays: new(int64(7)), TemplateSlug: new("waitlist_invitation"), Notify: new(true), IgnoreExisting: new(false),
	})
	if err != nil {
		t.Fatal(err)
	}
	// There is no worker yet: with one, the answer might have Clerk's id already.
	if one.Status != "pending" || one.EmailAddress != "ada@example.com" || string(one.PublicMetadata) != string(meta) ||
		!strings.HasPrefix(one.ID, "inq_") || one.URL != "" || one.Response.TraceID == "" || *one.ExpiresAt-one.CreatedAt != 7*24*3600*1000 {
		t.Errorf("created %+v", one)
	}

	s.work()
	bulk := &sdkinvitation.BulkCreateParams{}
	for n := range 25 { // More than Clerk itself takes.
		bulk.Invitations = append(bulk.Invitations, &sdkinvitation.CreateParams{EmailAddress: fmt.Sprintf("p%d@example.com", n)})
	}
	many, err := client.BulkCreate(ctx, bulk)
	if err != nil || len(many.Invitations) != 25 || many.Invitations[24].EmailAddress != "p24@example.com" {
		t.Fatalf("bulk: %v, %v", many, err)
	}

	var list *sdk.InvitationList
	eventually(t, "all are delivered", func() bool {
		list, err = client.List(ctx, &sdkinvitation.ListParams{
			ListParams: sdk.ListParams{Limit: new(int64(100))}, Statuses: []string{"pending", "revoked"}, OrderBy: new("+created_at"),
		})
		if err != nil || list.TotalCount != 26 || len(list.Invitations) != 26 || list.Invitations[0].EmailAddress != one.EmailAddress {
			t.Fatalf("list: %+v, %v", list, err)
		}
		delivered := 0
		for _, i := range list.Invitations {
			if strings.HasPrefix(i.ID, "inv_") {
				delivered++
			}
		}
		return delivered == 26
	})
	if got := s.pending(); got != 26 {
		t.Errorf("Clerk has %d invitations, want 26", got)
	}

	// Our id and Clerk's mean the same.
	found, err := client.List(ctx, &sdkinvitation.ListParams{Query: new(one.ID)})
	if err != nil || found.TotalCount != 1 || found.Invitations[0].ID != list.Invitations[0].ID {
		t.Errorf("list by our id: %+v, %v", found, err)
	}
	gone, err := client.Revoke(ctx, one.ID)
	if err != nil || !gone.Revoked || gone.Status != "revoked" || gone.ID != list.Invitations[0].ID {
		t.Errorf("revoked by our id %+v, %v", gone, err)
	}
	gone, err = client.Revoke(ctx, list.Invitations[1].ID)
	if err != nil || !gone.Revoked {
		t.Errorf("revoked by Clerk's id %+v, %v", gone, err)
	}
	if got := s.pending(); got != 24 {
		t.Errorf("Clerk has %d invitations, want 24", got)
	}
	_, err = client.Revoke(ctx, one.ID)
	if e, ok := errors.AsType[*sdk.APIErrorResponse](err); !ok || e.HTTPStatusCode != 400 || e.Errors[0].Code != "invitation_already_revoked" || len(e.TraceID) != 32 {
		t.Errorf("revoked twice: %v", err)
	}
	// Of deleting an invitation this SDK has no method yet, but everything that one would use.
	path, deleted := "/invitations/"+list.Invitations[1].ID, new(sdk.DeletedResource)
	if err = sdk.NewBackend(&cfg.BackendConfig).Call(ctx, sdk.NewAPIRequest(http.MethodDelete, path), deleted); err != nil || !deleted.Deleted || deleted.ID != list.Invitations[1].ID {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	err = sdk.NewBackend(&cfg.BackendConfig).Call(ctx, sdk.NewAPIRequest(http.MethodDelete, path), deleted)
	if e, ok := errors.AsType[*sdk.APIErrorResponse](err); !ok || e.HTTPStatusCode != 404 || e.Errors[0].Code != "resource_not_found" {
		t.Errorf("deleted twice: %v", err)
	}
	list, err = client.List(ctx, &sdkinvitation.ListParams{})
	if err != nil || list.TotalCount != 24 || len(list.Invitations) != 10 {
		t.Errorf("list without statuses: total %d, %v; want 24 without the revoked ones", list.TotalCount, err)
	}

	func() {
		defer s.wrong()()
		_, err = client.Create(ctx, &sdkinvitation.CreateParams{EmailAddress: "nobody", ExpiresInDays: new(int64(400))})
	}()
	refused, ok := errors.AsType[*sdk.APIErrorResponse](err)
	if !ok || refused.HTTPStatusCode != 422 || len(refused.Errors) != 2 || refused.Errors[0].Code != "form_param_format_invalid" || refused.Errors[1].Code != "form_param_value_invalid" {
		t.Errorf("an invalid create: %v", err)
	}
	cfg.Key = new("sk_test_nobody")
	if _, err = sdkinvitation.NewClient(cfg).List(ctx, &sdkinvitation.ListParams{}); err == nil || !strings.Contains(err.Error(), "clerk_key_invalid") {
		t.Errorf("a wrong key: %v", err)
	}
	if s.sim.MaxMails() != 1 {
		t.Errorf("somebody got %d mails", s.sim.MaxMails())
	}
}

// pythonRequest is what Clerk's Python SDK (clerk-backend-api, generated by Speakeasy)
// sends, header by header. It repeats every request, POSTs too, after a lost connection
// and any 5xx, for up to an hour.
const pythonRequest = "POST /v1/invitations HTTP/1.1\r\nHost: inviteq\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n" +
	"Accept: application/json\r\nUser-Agent: speakeasy-sdk/python 5.0.4 2.879.13 2025-11-10 clerk-backend-api\r\n%sAuthorization: Bearer %s\r\n" +
	"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

// TestPythonSDKRepeats loses the answers to a POST; what the SDK does then mails nobody twice.
func TestPythonSDKRepeats(t *testing.T) {
	s := newStage(t)
	send := func(key, body string, read bool) (status int) {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, pythonRequest, key, s.token, len(body), body); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var i invitation
		if err := json.NewDecoder(res.Body).Decode(&i); read && (err != nil || i.EmailAddress == "" || i.Status != "pending") {
			t.Errorf("the SDK cannot read %d %+v, %v", res.StatusCode, i, err)
		}
		return res.StatusCode
	}
	for n := range 4 {
		if got := send("", `{"email_address":"ada@example.com","notify":true,"ignore_existing":false,"expires_in_days":30,"template_slug":"invitation"}`, n == 3); got != 200 {
			t.Errorf("try %d: %d", n, got)
		}
		// With ignore_existing Clerk itself would mail again: there a key makes the tries one request.
		if got := send("Idempotency-Key: signup-1\r\n", `{"email_address":"bob@example.com","notify":true,"ignore_existing":true}`, n == 3); got != 200 {
			t.Errorf("try %d with a key: %d", n, got)
		}
	}
	s.work()
	eventually(t, "all is settled", func() bool { return s.waiting() == 0 && s.pending() == 2 })
	if s.sim.Mails("ada@example.com") != 1 || s.sim.Mails("bob@example.com") != 1 {
		t.Errorf("%d and %d mails", s.sim.Mails("ada@example.com"), s.sim.Mails("bob@example.com"))
	}
}
