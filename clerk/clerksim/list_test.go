package clerksim_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// populate makes n invitations in every status, many in the same millisecond.
func populate(t *testing.T, sim *clerksim.Sim, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	for i := range n {
		address := fmt.Sprintf("p%04d@example.com", r.IntN(10_000))
		inv, err := sim.CreateForeign(address)
		if err != nil {
			t.Fatal(err)
		}
		switch r.IntN(4) {
		case 0:
			err = sim.Accept(inv.ID)
		case 1:
			err = sim.RevokeInDashboard(inv.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			later(time.Duration(r.IntN(3)) * time.Hour)
		}
	}
}

// TestPagesAreTheWhole reads every list in pages of odd sizes, and compares the
// sum with what a plain sort and filter of the state makes of it.
func TestPagesAreTheWhole(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		populate(t, sim, 1500)
		later(29 * 24 * time.Hour) // the first ones expire
		all := sim.Invitations()
		if got := sim.Stats().Invitations[clerksim.StatusExpired]; got == 0 || got == len(all) {
			t.Fatalf("%d of %d are expired: a poor sample", got, len(all))
		}
		for _, order := range []string{"", "-created_at", "+created_at", "created_at", "-email_address", "+email_address", "expires_at", "-expires_at"} {
			for _, statuses := range [][]string{nil, {"pending"}, {"expired", "revoked"}, {"pending", "accepted", "revoked", "expired"}} {
				want := expected(all, order, statuses)
				values := url.Values{"paginated": {"true"}}
				if order != "" {
					values.Set("order_by", order)
				}
				for _, s := range statuses {
					values.Add("status", s)
				}
				var got []string
				for limit, offset := 137, 0; ; offset += limit {
					values.Set("limit", fmt.Sprint(limit))
					values.Set("offset", fmt.Sprint(offset))
					page := decode[struct {
						Data       []invitationJSON
						TotalCount int `json:"total_count"`
					}](t, c.do("GET", "/invitations?"+values.Encode(), "").body)
					if page.TotalCount != len(want) {
						t.Fatalf("%s %v: total %d, want %d", order, statuses, page.TotalCount, len(want))
					}
					if len(page.Data) == 0 {
						break
					}
					for _, inv := range page.Data {
						got = append(got, inv.ID)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("order %q, statuses %v: %d rows differ from the %d expected", order, statuses, len(got), len(want))
				}
			}
		}
		if got := len(c.list("")); got != 10 {
			t.Errorf("a page has %d rows by default, want 10", got)
		}
		if got := len(c.list("limit=500")); got != 500 {
			t.Errorf("a page of 500 has %d rows", got)
		}
	})
}

// expected is the ids of a list, by the plainest means.
func expected(all []clerksim.Invitation, order string, statuses []string) (ids []string) {
	if order == "" {
		order = "-created_at"
	}
	if statuses == nil {
		statuses = []string{"pending", "accepted", "expired"}
	}
	key := func(inv clerksim.Invitation) string {
		switch strings.TrimLeft(order, "+-") {
		case "email_address":
			return inv.EmailAddress
		case "expires_at":
			return fmt.Sprintf("%020d", inv.ExpiresAt.UnixMilli())
		}
		return fmt.Sprintf("%020d", inv.CreatedAt.UnixMilli())
	}
	var keys []string
	for _, inv := range all {
		if slices.Contains(statuses, string(inv.Status)) {
			keys = append(keys, key(inv)+" "+inv.ID)
		}
	}
	slices.Sort(keys)
	if strings.HasPrefix(order, "-") {
		slices.Reverse(keys)
	}
	for _, k := range keys {
		ids = append(ids, k[strings.LastIndex(k, " ")+1:])
	}
	return ids
}

func TestListQuery(t *testing.T) {
	tests := []struct {
		mode  clerksim.Query
		query string
		want  []string
	}{
		{clerksim.QueryExact, "ANN@example.com", []string{"ann@example.com"}},
		{clerksim.QueryExact, "ann", nil},
		{clerksim.QueryExact, "id", []string{"joann@example.com"}},
		{clerksim.QueryPrefix, "ann", []string{"ann@example.com", "anna@example.com"}},
		{clerksim.QueryPrefix, "id", []string{"joann@example.com"}},
		{clerksim.QuerySubstring, "ann@", []string{"ann@example.com", "joann@example.com"}},
		{clerksim.QuerySubstring, "id", []string{"joann@example.com"}},
		{clerksim.QuerySubstring, "nobody", nil},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode)+" "+tt.query, func(t *testing.T) {
			inBubble(t, clerksim.Config{Switches: clerksim.Switches{Query: tt.mode}}, func(t *testing.T, _ *clerksim.Sim, c *client) {
				c.invite("ann@example.com")
				c.invite("anna@example.com")
				q := tt.query
				if id := c.invite("joann@example.com").ID; q == "id" {
					q = id
				}
				got := emailOf(c.list(query(q) + "&order_by=email_address"))
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestLag reads what is not there yet and what is no longer so.
func TestLag(t *testing.T) {
	inBubble(t, clerksim.Config{Switches: clerksim.Switches{Lag: 3 * time.Second}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		inv := c.invite("a@example.com")
		later(2 * time.Second)
		if got := c.list(query("a@example.com")); len(got) != 0 {
			t.Errorf("a lagging list already shows %d", len(got))
		}
		if got := c.do("GET", "/invitations?paginated=true", ""); string(got.body) != `{"data":[],"total_count":0}` {
			t.Errorf("a lagging page: %s", got.body)
		}
		if r := c.create(`{"email_address":"a@example.com"}`); r.status != 400 {
			t.Errorf("writes must not lag: %d", r.status)
		}
		later(time.Second)
		if got := c.list(""); len(got) != 1 {
			t.Errorf("after the lag: %d rows", len(got))
		}
		if err := sim.Accept(inv.ID); err != nil {
			t.Fatal(err)
		}
		if got := c.list(""); got[0].Status != "pending" || got[0].UpdatedAt != inv.UpdatedAt {
			t.Errorf("a lagging status: %+v", got[0])
		}
		users := func() string { return string(c.do("GET", "/users/count?email_address=a@example.com", "").body) }
		if got := users(); got != `{"object":"total_count","total_count":0}` {
			t.Errorf("lagging users: %s", got)
		}
		sim.SetLag(0)
		if got := c.list(""); got[0].Status != "accepted" {
			t.Errorf("without lag: %+v", got[0])
		}
		if got := users(); got != `{"object":"total_count","total_count":1}` {
			t.Errorf("users: %s", got)
		}
	})
}

// TestLagVaries meets replicas that know and replicas that do not.
func TestLagVaries(t *testing.T) {
	inBubble(t, clerksim.Config{Switches: clerksim.Switches{Lag: 4 * time.Second, LagVaries: true}}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		c.invite("a@example.com")
		later(2 * time.Second)
		found := 0
		for range 200 {
			found += len(c.list(""))
		}
		if found < 50 || found > 150 {
			t.Errorf("found in %d of 200 reads, want about half", found)
		}
	})
}

func TestUnstableTies(t *testing.T) {
	inBubble(t, clerksim.Config{Switches: clerksim.Switches{UnstableTies: true}}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		c.bulk("a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com", "f@example.com")
		later(time.Second)
		c.invite("newest@example.com")
		orders := make(map[string]bool)
		for range 20 {
			got := emailOf(c.list(""))
			if got[0] != "newest@example.com" {
				t.Fatalf("the newest is not first: %v", got)
			}
			orders[fmt.Sprint(got)] = true
		}
		if len(orders) < 5 {
			t.Errorf("only %d orders in 20 reads", len(orders))
		}
	})
}

func TestUsers(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		for _, name := range []string{"Ann", "bob", "cy"} {
			sim.AddUser(name + "@example.com")
			sim.AddUser(strings.ToUpper(name) + "@example.com") // the same person
			later(time.Minute)
		}
		type userJSON struct {
			ID             string
			EmailAddresses []struct {
				EmailAddress string `json:"email_address"`
			} `json:"email_addresses"`
		}
		get := func(q string) (out []string) {
			for _, u := range decode[[]userJSON](t, c.do("GET", "/users?"+q, "").body) {
				out = append(out, u.EmailAddresses[0].EmailAddress)
			}
			return out
		}
		id := decode[[]userJSON](t, c.do("GET", "/users?query=bob", "").body)[0].ID
		for q, want := range map[string][]string{
			"":                       {"cy@example.com", "bob@example.com", "ann@example.com"},
			"order_by=%2Bcreated_at": {"ann@example.com", "bob@example.com", "cy@example.com"},
			"limit=1&offset=1":       {"bob@example.com"},
			"offset=9":               nil,
			"email_address=CY@example.com&email_address=ann@example.com&email_address=no@example.com": {"cy@example.com", "ann@example.com"},
			"email_address=no@example.com": nil,
			"email_address_query=NN@":      {"ann@example.com"},
			"user_id=" + id:                {"bob@example.com"},
			"banned=true":                  nil,
			"banned=false&query=cy":        {"cy@example.com"},
			"phone_number=%2B1555":         nil,
		} {
			if diff := cmp.Diff(want, get(q)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", q, diff)
			}
		}
		hundred := strings.Repeat("email_address=no@example.com&", 99) + "email_address=bob@example.com"
		if got := get(hundred); len(got) != 1 {
			t.Errorf("a hundred addresses found %v", got)
		}
	})
}
