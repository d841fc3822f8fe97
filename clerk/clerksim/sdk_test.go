package clerksim_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// sdk returns the official SDK's clients, connected in this process.
func sdk(sim *clerksim.Sim) (*invitation.Client, *user.Client) {
	cfg := &clerk.ClientConfig{}
	cfg.HTTPClient = &http.Client{Transport: sim.Transport(), Timeout: 10 * time.Second}
	cfg.URL = clerk.String(clerksim.PipeURL)
	cfg.Key = clerk.String(clerksim.DefaultSecretKey)
	return invitation.NewClient(cfg), user.NewClient(cfg)
}

// TestOfficialSDK drives every operation by Clerk's own Go SDK.
func TestOfficialSDK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, err := clerksim.New(clerksim.Config{Latency: clerksim.TypicalLatency})
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		invitations, users := sdk(sim)
		ctx := t.Context()

		meta := json.RawMessage(`{"plan":"team"}`)
		one, err := invitations.Create(ctx, &invitation.CreateParams{
			EmailAddress: "Ada@Example.com", PublicMetadata: &meta, RedirectURL: new("https://app.example.com/welcome"),
			ExpiresInDays: clerk.Int64(7), TemplateSlug: new("waitlist_invitation"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if one.Status != "pending" || one.EmailAddress != "ada@example.com" || string(one.PublicMetadata) != string(meta) ||
			!strings.HasPrefix(one.ID, "inv_") || one.URL == "" || one.Response.TraceID == "" {
			t.Errorf("created %+v", one)
		}
		if got, want := time.UnixMilli(*one.ExpiresAt).Sub(time.UnixMilli(one.CreatedAt)), 7*24*time.Hour; got != want {
			t.Errorf("expires after %v, want %v", got, want)
		}

		bulk := &invitation.BulkCreateParams{}
		for _, name := range []string{"b", "c", "d"} {
			bulk.Invitations = append(bulk.Invitations, &invitation.CreateParams{EmailAddress: name + "@example.com"})
		}
		many, err := invitations.BulkCreate(ctx, bulk)
		if err != nil || len(many.Invitations) != 3 {
			t.Fatalf("bulk: %v, %v", many, err)
		}

		gone, err := invitations.Revoke(ctx, one.ID)
		if err != nil || !gone.Revoked || gone.Status != "revoked" || gone.URL != "" {
			t.Errorf("revoked %+v, %v", gone, err)
		}
		list, err := invitations.List(ctx, &invitation.ListParams{Statuses: []string{"pending", "revoked"}, OrderBy: new("+created_at")})
		if err != nil || list.TotalCount != 4 || len(list.Invitations) != 4 || list.Invitations[0].ID != one.ID {
			t.Errorf("list: %+v, %v", list, err)
		}
		list, err = invitations.List(ctx, &invitation.ListParams{})
		if err != nil || list.TotalCount != 3 {
			t.Errorf("list without statuses: total %d, %v; want 3 without the revoked one", list.TotalCount, err)
		}

		if err := sim.Accept("c@example.com"); err != nil {
			t.Fatal(err)
		}
		found, err := users.List(ctx, &user.ListParams{EmailAddresses: []string{"C@example.com", "nobody@example.com"}})
		if err != nil || found.TotalCount != 1 || found.Users[0].EmailAddresses[0].EmailAddress != "c@example.com" {
			t.Errorf("users: %+v, %v", found, err)
		}

		_, err = invitations.Create(ctx, &invitation.CreateParams{EmailAddress: "b@example.com"})
		if apiErr, ok := errors.AsType[*clerk.APIErrorResponse](err); !ok || apiErr.HTTPStatusCode != 400 || apiErr.Errors[0].Code != "duplicate_record" || len(apiErr.TraceID) != 32 {
			t.Errorf("second create: %v", err)
		}

		var got []clerksim.Op
		for _, c := range sim.Calls() {
			got = append(got, c.Op)
		}
		want := []clerksim.Op{clerksim.OpCreate, clerksim.OpBulkCreate, clerksim.OpRevoke, clerksim.OpList, clerksim.OpList,
			clerksim.OpUsers, clerksim.OpUsersCount, clerksim.OpCreate}
		if !slices.Equal(got, want) {
			t.Errorf("calls %v, want %v", got, want)
		}
		if sim.MaxMails() != 1 || sim.Mails("ADA@example.com") != 1 {
			t.Errorf("mails: most %d", sim.MaxMails())
		}
	})
}

// TestOfficialSDKWithEverySwitch goes through an invitation's life with each value
// of each switch: the SDK must be able to read every answer, or find an error of
// Clerk's in it.
func TestOfficialSDKWithEverySwitch(t *testing.T) {
	for _, sw := range clerksim.AllSwitches() {
		for _, value := range sw.Values {
			switches, err := clerksim.ParseSwitches(sw.Name + "=" + value)
			if err != nil {
				t.Fatal(err)
			}
			inBubble(t, clerksim.Config{Switches: switches}, func(t *testing.T, sim *clerksim.Sim, c *client) {
				invitations, users := sdk(sim)
				read := func(what string, err error) {
					t.Helper()
					if apiErr, ok := errors.AsType[*clerk.APIErrorResponse](err); err != nil && (!ok || apiErr.Errors[0].Code == "") {
						t.Errorf("%s=%s: %s: %v", sw.Name, value, what, err)
					}
				}
				meta := json.RawMessage(`{"plan":null,"seats":1.0}`)
				one, err := invitations.Create(t.Context(), &invitation.CreateParams{EmailAddress: "A.B@Example.com", PublicMetadata: &meta})
				if err != nil || one.ID == "" || one.Status != "pending" || one.CreatedAt == 0 {
					t.Fatalf("%s=%s: created %+v, %v", sw.Name, value, one, err)
				}
				_, err = invitations.BulkCreate(t.Context(), &invitation.BulkCreateParams{Invitations: []*invitation.CreateParams{{EmailAddress: "b@example.com"}, {EmailAddress: "c@example.com"}}})
				read("bulk", err)
				later(time.Minute)
				list, err := invitations.List(t.Context(), &invitation.ListParams{})
				if err != nil || list.TotalCount < 1 || int(list.TotalCount) != len(list.Invitations) {
					t.Errorf("%s=%s: list: %+v, %v", sw.Name, value, list, err)
				}
				_, err = users.List(t.Context(), &user.ListParams{EmailAddresses: []string{"a@example.com"}})
				read("users", err)
				for range 2 {
					_, err = invitations.Revoke(t.Context(), one.ID)
					read("revoke", err)
				}
				for _, want := range []int{0, http.StatusNotFound} { // the SDK has no method for it
					backend := clerk.NewBackend(&clerk.BackendConfig{HTTPClient: c.http, URL: &c.base, Key: &c.key})
					err := backend.Call(t.Context(), clerk.NewAPIRequest(http.MethodDelete, "/invitations/"+one.ID), new(clerk.DeletedResource))
					read("delete", err)
					if apiErr, ok := errors.AsType[*clerk.APIErrorResponse](err); ok != (want != 0) || ok && apiErr.HTTPStatusCode != want {
						t.Errorf("%s=%s: deleted: %v, want %d", sw.Name, value, err, want)
					}
				}
			})
		}
	}
}
