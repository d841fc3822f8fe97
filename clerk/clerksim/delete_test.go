package clerksim_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestDelete deletes an invitation of every status: it is gone from every list,
// cannot be revoked or deleted again, and stands in nobody's way.
func TestDelete(t *testing.T) {
	for _, status := range []string{"pending", "accepted", "revoked", "expired"} {
		t.Run(status, func(t *testing.T) {
			inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
				id := world(t, sim, c)[status]
				before := len(c.list("limit=500&status=pending&status=accepted&status=revoked&status=expired"))
				r := c.do("DELETE", "/invitations/"+id, "")
				if want := `{"object":"invitation","id":"` + id + `","deleted":true}`; r.status != 200 || string(r.body) != want {
					t.Fatalf("got %d %s", r.status, r.body)
				}
				for _, again := range []reply{c.do("DELETE", "/invitations/"+id, ""), c.do("POST", "/invitations/"+id+"/revoke", "")} {
					if again.status != 404 || again.code(t) != "resource_not_found" {
						t.Errorf("afterwards: %d %s", again.status, again.body)
					}
				}
				if got := c.list("limit=500&status=pending&status=accepted&status=revoked&status=expired"); len(got) != before-1 {
					t.Errorf("%d invitations are listed, want %d", len(got), before-1)
				}
				for _, q := range []string{id, status + "@example.com"} {
					if got := c.list("status=" + status + "&" + query(q)); len(got) != 0 {
						t.Errorf("query %s finds %+v", q, got)
					}
				}
				want := 200
				if status == "accepted" {
					want = 422 // the user stays
				}
				if r := c.create(`{"email_address":"` + status + `@example.com"}`); r.status != want {
					t.Errorf("invited again: %d %s", r.status, r.body)
				}
				if got := sim.ByAddress(status + "@example.com")[0]; got.ID != id || got.Status != clerksim.StatusDeleted {
					t.Errorf("the history has %+v", got)
				}
				if sim.Stats().Invitations[clerksim.StatusDeleted] != 1 || sim.Count(clerksim.OpDelete) != 2 {
					t.Errorf("stats %+v", sim.Stats())
				}
			})
		})
	}
}

func TestDeleteAnswers(t *testing.T) {
	for answer, want := range map[clerksim.DeleteAnswer]int{clerksim.DeleteAnswerInvitation: 200, clerksim.DeleteAnswerEmpty: 204} {
		inBubble(t, clerksim.Config{Switches: clerksim.Switches{DeleteAnswer: answer}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
			inv := c.invite("a@example.com")
			r := c.do("DELETE", "/invitations/"+inv.ID, "")
			if r.status != want || (len(r.body) == 0) != (want == 204) {
				t.Errorf("%s: %d %q", answer, r.status, r.body)
			}
			if want == 200 && decode[invitationJSON](t, r.body).Status != "pending" {
				t.Errorf("%s: %s", answer, r.body)
			}
			if calls := sim.Calls(); !calls[1].Committed || calls[1].InvitationID != inv.ID {
				t.Errorf("recorded %+v", calls[1])
			}
		})
	}
}

// TestDeletedBehindOurBack is the same from the dashboard, seen by a read that lags.
func TestDeletedBehindOurBack(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		id := c.invite("a@example.com").ID
		later(time.Minute)
		if err := sim.Delete(id); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{sim.Delete(id), sim.Delete("inv_nobody"), sim.Accept(id)} {
			if !errors.Is(err, clerksim.ErrNotFound) {
				t.Errorf("error %v", err)
			}
		}
		later(time.Second)
		sim.Inject("", clerksim.Fault{Lag: 2 * time.Second}, 1)
		if got := c.list(""); len(got) != 1 || got[0].Status != "pending" {
			t.Errorf("a read that lags sees %+v", got)
		}
		if got := c.list(""); len(got) != 0 {
			t.Errorf("still listed: %+v", got)
		}
	})
}

// TestExpire ends an invitation before its time.
func TestExpire(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.invite("a@example.com")
		later(time.Hour)
		if err := sim.Expire("a@example.com"); err != nil {
			t.Fatal(err)
		}
		if got := c.list("status=expired"); len(got) != 1 || got[0].ExpiresAt != time.Now().UnixMilli() {
			t.Errorf("listed %+v", got)
		}
		c.invite("a@example.com")
		later(40 * 24 * time.Hour)
		if got := c.list("status=expired"); len(got) != 2 {
			t.Errorf("%d have expired, want 2", len(got))
		}
	})
}

// TestSuppressed invites somebody to whom Clerk sends nothing any more.
func TestSuppressed(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		sim.Suppress("Bounced@example.com")
		if inv := c.invite("bounced@example.com"); inv.Status != "pending" {
			t.Errorf("invited: %+v", inv)
		}
		if sim.Mails("bounced@example.com") != 0 || len(sim.MailLog()) != 0 || sim.ByAddress("bounced@example.com")[0].Mailed {
			t.Error("a mail was sent")
		}
		sim.Unsuppress("bounced@example.com")
		if err := sim.RevokeInDashboard("bounced@example.com"); err != nil {
			t.Fatal(err)
		}
		c.invite("bounced@example.com")
		if got := sim.Mails("bounced@example.com"); got != 1 {
			t.Errorf("%d mails once it is off the list, want 1", got)
		}
	})
}

// TestWhoMadeIt tells invitations of requests from foreign ones that look the same.
func TestWhoMadeIt(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		const body = `{"email_address":"a@example.com","public_metadata":{"team":7},"expires_in_days":3}`
		theirs, err := sim.CreateForeignFrom(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := sim.RevokeInDashboard(theirs.ID); err != nil {
			t.Fatal(err)
		}
		ours := decode[invitationJSON](t, c.create(body).body)
		for _, inv := range sim.Invitations() {
			if foreign := inv.ID == theirs.ID; inv.Foreign != foreign || (inv.Caller == "") != foreign ||
				string(inv.PublicMetadata) != `{"team":7}` || inv.ExpiresAt.Sub(inv.CreatedAt) != 72*time.Hour {
				t.Errorf("%+v", inv)
			}
		}
		if made := sim.Calls()[0].Made; len(made) != 1 || made[0] != ours.ID {
			t.Errorf("the call made %v, want %s", made, ours.ID)
		}
		for _, bad := range []string{`{`, `[]`, `{"email_address":"nobody"}`, `{"email_address":"a@example.com","colour":1}`} {
			if _, err := sim.CreateForeignFrom(bad); err == nil {
				t.Errorf("%s was taken", bad)
			}
		}
	})
}

// TestVeryLate has calls that Clerk carries out hours after their client gave up.
func TestVeryLate(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.http.Timeout = 10 * time.Second
		for _, delay := range []time.Duration{15 * time.Minute, 6 * time.Hour} {
			sim.Inject("", clerksim.Fault{Delay: delay}, 1)
			if _, err := c.try("POST", "/invitations/bulk", bulkBody("a@example.com", "b@example.com")); err == nil {
				t.Fatal("it was answered")
			}
			later(delay - 11*time.Second)
			if got := len(c.list("")); got != 0 {
				t.Errorf("%v: %d were there before its time", delay, got)
			}
			later(2 * time.Second)
			list := c.list("")
			if len(list) != 2 {
				t.Fatalf("%v: %d arrived, want 2", delay, len(list))
			}
			if age := time.Now().UnixMilli() - list[0].CreatedAt; age > 1000 {
				t.Errorf("created %d ms ago: it must be stamped when it is carried out", age)
			}
			for _, inv := range list {
				c.do("POST", "/invitations/"+inv.ID+"/revoke", "")
			}
			if calls := sim.Calls(); calls[1].Arrived.IsZero() {
				t.Errorf("recorded %+v", calls[1])
			}
		}
	})
}

// TestStrictness ignores what is refused by default, and the other way round
// (TestRefusals has the refusals).
func TestStrictness(t *testing.T) {
	const body = `{"email_address":"a@example.com"}`
	for _, tc := range []struct {
		sw, method, path, body string
		header                 http.Header
	}{
		{"unknown-query=ignored", "GET", "/invitations?colour=red", "", nil},
		{"unknown-query=ignored", "GET", "/users?colour=red", "", nil},
		{"empty-query=ignored", "GET", "/invitations?status=&limit=&order_by=&offset=&paginated=&query=", "", nil},
		{"empty-query=ignored", "GET", "/users?limit=&offset=", "", nil},
		{"", "GET", "/invitations/", "", nil},
		{"no-content-type=ignored", "POST", "/invitations", body, http.Header{}},
		{"", "POST", "/invitations", body, http.Header{"Content-Type": {"application/json; charset=utf-8"}}},
		{"", "POST", "/invitations/bulk", `[{"email_address":"b@example.com","public_metadata":null,"redirect_url":null,"notify":null}]`, http.Header{"Content-Type": {"application/json"}}},
		{"bulk-max=3", "POST", "/invitations/bulk", bulkBody("c@example.com", "d@example.com", "e@example.com"), http.Header{"Content-Type": {"application/json"}}},
		{"", "GET", "/invitations", "", http.Header{"Clerk-Api-Version": {"2026-05-12"}}},
		{"", "GET", "/invitations?__clerk_api_version=2025-04-10", "", nil},
	} {
		sw, err := clerksim.ParseSwitches(tc.sw)
		if err != nil {
			t.Fatal(err)
		}
		inBubble(t, clerksim.Config{Switches: sw}, func(t *testing.T, _ *clerksim.Sim, c *client) {
			if r := c.send(tc.method, tc.path, tc.body, tc.header); r.status != 200 {
				t.Errorf("%s: %s %s: %d %s", tc.sw, tc.method, tc.path, r.status, r.body)
			}
		})
	}
	inBubble(t, clerksim.Config{}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		if r := c.send("POST", "/invitations", body, http.Header{}); r.status != 415 {
			t.Errorf("no type: %d %s", r.status, r.body)
		}
		if r := c.send("GET", "/invitations", "", http.Header{"Clerk-Api-Version": {"2020-01-01"}}); r.status != 400 || r.code(t) != "api_version_invalid" {
			t.Errorf("version: %d %s", r.status, r.body)
		}
	})
}
