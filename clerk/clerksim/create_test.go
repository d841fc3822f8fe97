package clerksim_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

func TestCreateDefaults(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		before := time.Now()
		inv := c.invite("Grace.Hopper+navy@Example.com")
		if inv.Object != "invitation" || inv.EmailAddress != "grace.hopper+navy@example.com" || string(inv.PublicMetadata) != "{}" ||
			inv.Status != "pending" || inv.Revoked != nil || inv.URL == nil || len(inv.ID) != len("inv_")+27 {
			t.Errorf("created %+v", inv)
		}
		if inv.CreatedAt != before.UnixMilli() || inv.UpdatedAt != inv.CreatedAt {
			t.Errorf("created at %d, updated at %d, want %d", inv.CreatedAt, inv.UpdatedAt, before.UnixMilli())
		}
		if want := before.AddDate(0, 0, 30).UnixMilli(); inv.ExpiresAt != want {
			t.Errorf("expires at %d, want %d", inv.ExpiresAt, want)
		}
		if got := sim.Mails("grace.hopper+navy@example.com"); got != 1 {
			t.Errorf("%d mails, want 1", got)
		}
	})
}

func TestEchoAsSent(t *testing.T) {
	inBubble(t, clerksim.Config{Switches: clerksim.Switches{EchoAddress: clerksim.EchoAddressAsSent}}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		if got := c.invite("Ada@Example.com").EmailAddress; got != "Ada@Example.com" {
			t.Errorf("echoed %q", got)
		}
		if r := c.create(`{"email_address":"ada@example.com"}`); r.status != 400 {
			t.Errorf("the same address in another case: %d", r.status)
		}
		if got := c.list(query("aDa@example.com")); len(got) != 1 {
			t.Errorf("query in another case found %d", len(got))
		}
	})
}

// TestIgnoreExisting shows the danger: another invitation and another mail.
func TestIgnoreExisting(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		body := `{"email_address":"a@example.com","ignore_existing":true}`
		for range 2 {
			if r := c.create(body); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		sim.AddUser("user@example.com")
		if r := c.create(`{"email_address":"user@example.com","ignore_existing":true}`); r.status != 200 {
			t.Errorf("documented bypass: %d %s", r.status, r.body)
		}
		if sim.Mails("a@example.com") != 2 || sim.MaxMails() != 2 || len(sim.ByAddress("A@example.com")) != 2 {
			t.Errorf("mails %d, most %d, invitations %d; want 2 each", sim.Mails("a@example.com"), sim.MaxMails(), len(sim.ByAddress("a@example.com")))
		}
	})
}

func TestUserBypassAlways(t *testing.T) {
	inBubble(t, clerksim.Config{Switches: clerksim.Switches{UserBypass: clerksim.UserBypassAlways}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		sim.AddUser("user@example.com")
		r := c.do("POST", "/invitations/bulk", `[{"email_address":"user@example.com","ignore_existing":true}]`)
		if r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

func TestNotify(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.create(`{"email_address":"quiet@example.com","notify":false}`)
		c.create(`{"email_address":"null@example.com","notify":null,"ignore_existing":null,"expires_in_days":null}`)
		c.invite("tester+clerk_test@example.com")
		for address, want := range map[string]int{"quiet@example.com": 0, "null@example.com": 1, "tester+clerk_test@example.com": 0} {
			if got := sim.Mails(address); got != want {
				t.Errorf("%s: %d mails, want %d", address, got, want)
			}
			if got := sim.ByAddress(address)[0]; got.Mailed != (want == 1) || got.Status != clerksim.StatusPending {
				t.Errorf("%s: %+v", address, got)
			}
		}
	})
}

// TestDevelopment fills a development instance's share of mails for a month.
func TestDevelopment(t *testing.T) {
	inBubble(t, clerksim.Config{Development: true, Limits: clerksim.Limits{Single: clerksim.Unlimited}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		send := func(name string, n int) {
			for i := range n {
				c.invite(fmt.Sprintf("%s%d@example.com", name, i))
				later(time.Second)
			}
		}
		send("january", clerksim.MailCap+5)
		if got := len(sim.MailLog()); got != clerksim.MailCap {
			t.Errorf("%d mails in a month, want %d", got, clerksim.MailCap)
		}
		if got := sim.Mails("january104@example.com"); got != 0 {
			t.Errorf("%d mails beyond the cap", got)
		}
		later(31 * 24 * time.Hour)
		send("february", 3)
		if got := len(sim.MailLog()); got != clerksim.MailCap+3 {
			t.Errorf("%d mails after the month turned, want %d", got, clerksim.MailCap+3)
		}
	})
}

func TestBulk(t *testing.T) {
	var addresses []string
	for i := range 10 {
		addresses = append(addresses, fmt.Sprintf("p%d@example.com", i))
	}
	for _, inOrder := range []bool{false, true} {
		inBubble(t, clerksim.Config{Switches: clerksim.Switches{BulkInOrder: inOrder}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
			r := c.bulk(addresses...)
			if r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			got := emailOf(decode[[]invitationJSON](t, r.body))
			if slices.Equal(got, addresses) != inOrder {
				t.Errorf("in order %v: answered %v", inOrder, got)
			}
			slices.Sort(got)
			if !slices.Equal(got, addresses) {
				t.Errorf("answered %v", got)
			}
			if len(sim.MailLog()) != 10 || sim.MaxMails() != 1 {
				t.Errorf("%d mails, at most %d each", len(sim.MailLog()), sim.MaxMails())
			}
		})
	}
}

func TestEqualInBodyAccepted(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		if r := c.bulk("a@example.com", "A@Example.com"); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if got := sim.Mails("a@example.com"); got != 2 {
			t.Errorf("%d mails, want 2", got)
		}
	})
}

// TestBulkPartial refuses the call and yet creates its good members.
func TestBulkPartial(t *testing.T) {
	for _, partial := range []bool{false, true} {
		inBubble(t, clerksim.Config{Switches: clerksim.Switches{BulkPartial: partial}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
			sim.AddUser("user@example.com")
			if r := c.bulk("a@example.com", "user@example.com", "b@example.com"); r.status != 422 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			want := 0
			if partial {
				want = 2
			}
			if len(sim.Invitations()) != want || len(sim.MailLog()) != want {
				t.Errorf("partial %v: %d invitations, %d mails, want %d", partial, len(sim.Invitations()), len(sim.MailLog()), want)
			}
			if got := sim.Calls()[0]; got.Created != want || got.Committed {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

func TestRevokeAndExpiry(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		inv := c.invite("a@example.com")
		later(time.Hour)
		r := c.do("POST", "/invitations/"+inv.ID+"/revoke", "null")
		got := decode[invitationJSON](t, r.body)
		if r.status != 200 || got.Status != "revoked" || got.Revoked == nil || !*got.Revoked || got.URL != nil {
			t.Errorf("%d %s", r.status, r.body)
		}
		if got.UpdatedAt != got.CreatedAt+time.Hour.Milliseconds() {
			t.Errorf("updated %d ms after creation", got.UpdatedAt-got.CreatedAt)
		}
		again := c.invite("a@example.com") // a revoked invitation stands in nobody's way
		later(30*24*time.Hour - time.Millisecond)
		if got := sim.ByAddress("a@example.com")[1]; got.Status != clerksim.StatusPending {
			t.Errorf("a moment before expiry: %s", got.Status)
		}
		later(time.Millisecond)
		if got := sim.ByAddress("a@example.com")[1]; got.Status != clerksim.StatusExpired || !got.UpdatedAt.Equal(got.ExpiresAt) {
			t.Errorf("at expiry: %+v", got)
		}
		if err := sim.Accept(again.ID); !errors.Is(err, clerksim.ErrNotPending) {
			t.Errorf("accepting an expired invitation: %v", err)
		}
		if r := c.do("POST", "/invitations/"+again.ID+"/revoke", ""); r.status != 200 {
			t.Errorf("revoking an expired invitation: %d %s", r.status, r.body)
		}
		c.invite("a@example.com")
	})
}

// TestEndsStay passes the expiry of invitations that have ended otherwise.
func TestEndsStay(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		ends := map[string]func(string) error{"accepted": sim.Accept, "revoked": sim.RevokeInDashboard}
		for status, end := range ends {
			c.invite(status + "@example.com")
			if err := end(status + "@example.com"); err != nil {
				t.Fatal(err)
			}
		}
		later(31 * 24 * time.Hour)
		for status := range ends {
			if got := sim.ByAddress(status + "@example.com")[0].Status; string(got) != status {
				t.Errorf("%s became %s", status, got)
			}
		}
	})
}

func TestWorld(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		foreign, err := sim.CreateForeign("Theirs@example.com")
		if err != nil || !foreign.Foreign || !foreign.Mailed {
			t.Fatalf("foreign: %+v, %v", foreign, err)
		}
		if sim.Mails("theirs@example.com") != 0 || sim.MaxMails() != 0 || len(sim.MailLog()) != 1 {
			t.Error("a foreign mail was counted as ours")
		}
		if r := c.create(`{"email_address":"theirs@example.com"}`); r.status != 400 {
			t.Errorf("create beside a foreign invitation: %d", r.status)
		}
		if err := sim.Accept("theirs@example.com"); err != nil {
			t.Fatal(err)
		}
		if r := c.create(`{"email_address":"theirs@example.com"}`); r.status != 422 {
			t.Errorf("create for a user: %d", r.status)
		}
		if err := sim.DeleteUser("theirs@example.com"); err != nil {
			t.Fatal(err)
		}
		c.invite("theirs@example.com")
		if err := sim.RevokeInDashboard("theirs@example.com"); err != nil {
			t.Fatal(err)
		}
		sim.BlockAddress("theirs@example.com")
		if r := c.create(`{"email_address":"theirs@example.com"}`); r.status != 403 {
			t.Errorf("create for a blocked address: %d", r.status)
		}
		sim.UnblockAddress("theirs@example.com")
		c.invite("theirs@example.com")
		for _, err := range []error{sim.Accept("inv_none"), sim.RevokeInDashboard("none@example.com"), sim.DeleteUser("none@example.com")} {
			if !errors.Is(err, clerksim.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		}
		if _, err := sim.CreateForeign("nobody"); err == nil {
			t.Error("an invalid foreign address was taken")
		}
		if err := sim.RevokeInDashboard(foreign.ID); !errors.Is(err, clerksim.ErrNotPending) {
			t.Errorf("revoking an accepted invitation: %v", err)
		}
		got := sim.Stats().Invitations
		if got[clerksim.StatusAccepted] != 1 || got[clerksim.StatusRevoked] != 1 || got[clerksim.StatusPending] != 1 {
			t.Errorf("stats %v", got)
		}
	})
}
