package clerksim_test

import (
	"net/url"
	"testing"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestEchoAddress has one address in the forms that Clerk may keep it in: it is
// one person in all of them, wherever an address is asked for.
func TestEchoAddress(t *testing.T) {
	const sent = "A.D.A@xn--bcher-kva.example"
	for form, want := range map[clerksim.EchoAddress]string{
		clerksim.EchoAddressLower:    "a.d.a@xn--bcher-kva.example",
		clerksim.EchoAddressAsSent:   sent,
		clerksim.EchoAddressUndotted: "ada@xn--bcher-kva.example",
		clerksim.EchoAddressUnicode:  "a.d.a@bücher.example",
	} {
		t.Run(string(form), func(t *testing.T) {
			inBubble(t, clerksim.Config{Switches: clerksim.Switches{EchoAddress: form}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
				if got := c.invite(sent).EmailAddress; got != want {
					t.Errorf("created as %q, want %q", got, want)
				}
				for _, spelling := range []string{sent, want} {
					if got := c.list(query(spelling)); len(got) != 1 || got[0].EmailAddress != want {
						t.Errorf("query %q: %+v", spelling, got)
					}
					r := c.create(`{"email_address":` + quote(spelling) + `}`)
					if r.status != 400 {
						t.Fatalf("%q was invited twice: %s", spelling, r.body)
					}
					named := decode[errorJSON](t, r.body).Errors[0].Meta["email_addresses"].([]any)
					if len(named) != 1 || form != clerksim.EchoAddressAsSent && named[0] != want {
						t.Errorf("named %v, want %q", named, want)
					}
					if sim.Mails(spelling) != 1 || len(sim.ByAddress(spelling)) != 1 {
						t.Errorf("%q: %d mails", spelling, sim.Mails(spelling))
					}
				}
				if err := sim.Accept(sent); err != nil {
					t.Fatal(err)
				}
				if got := decode[[]struct{ ID string }](t, c.do("GET", "/users?email_address="+url.QueryEscape(want), "").body); len(got) != 1 {
					t.Errorf("%d users, want 1", len(got))
				}
			})
		})
	}
}

func TestEchoMetadata(t *testing.T) {
	const sent = `{"a":null,"b":{"y":1.50,"x":[1e2,null,{"d":"<é>","c":true}]},"n":12345678901234567890,"f":0.1,"z":""}`
	for mode, want := range map[clerksim.EchoMetadata]string{
		clerksim.EchoMetadataAsSent:    sent,
		clerksim.EchoMetadataReordered: `{"z":"","n":12345678901234567890,"f":0.1,"b":{"y":1.5,"x":[100,null,{"d":"\u003cé\u003e","c":true}]},"a":null}`,
		clerksim.EchoMetadataChanged:   `{"z":"","n":12345678901234567000,"f":0.1,"b":{"y":1.5,"x":[100,null,{"d":"\u003cé\u003e","c":true}]}}`,
	} {
		inBubble(t, clerksim.Config{Switches: clerksim.Switches{EchoMetadata: mode}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
			inv := decode[invitationJSON](t, c.create(`{"email_address":"a@example.com","public_metadata":`+sent+`}`).body)
			if got := string(inv.PublicMetadata); got != want {
				t.Errorf("%s: created with\n%s, want\n%s", mode, got, want)
			}
			if got := string(c.list("")[0].PublicMetadata); got != string(inv.PublicMetadata) {
				t.Errorf("%s: listed with %s", mode, got)
			}
			if got := string(sim.Invitations()[0].PublicMetadata); got != sent {
				t.Errorf("%s: the history has %s, want what was sent", mode, got)
			}
			if got := string(c.invite("b@example.com").PublicMetadata); got != "{}" {
				t.Errorf("%s: none is answered as %s", mode, got)
			}
		})
	}
}
