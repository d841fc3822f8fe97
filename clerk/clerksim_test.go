package clerk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
)

// inBubble runs f in virtual time with a client of a simulated Clerk.
func inBubble(t *testing.T, cfg clerksim.Config, f func(t *testing.T, sim *clerksim.Sim, c *clerk.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim, err := clerksim.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		c := simClient(t, clerk.Config{BaseURL: clerksim.PipeURL, DialContext: sim.DialContext})
		defer c.Close()
		f(t, sim, c)
	})
}

func simClient(t *testing.T, cfg clerk.Config) *clerk.Client {
	t.Helper()
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		t.Fatal(err)
	}
	cfg.SecretKey = key
	c, err := clerk.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// people returns n sets of parameters.
func people(prefix string, n int) []clerk.Params {
	ps := make([]clerk.Params, n)
	for i := range ps {
		ps[i].EmailAddress = fmt.Sprintf("%s%d@people.example", prefix, i)
	}
	return ps
}

// TestSimulatedLife goes through the calls in the order of an invitation's life.
func TestSimulatedLife(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *clerk.Client) {
		ctx := t.Context()
		one, err := c.Create(ctx, clerk.Params{EmailAddress: "Ada@people.example", ExpiresInDays: 2, PublicMetadata: []byte(`{"team":"x"}`)})
		if err != nil || one.Status != clerk.Pending || one.ExpiresAt.Sub(one.CreatedAt) != 48*time.Hour || string(one.PublicMetadata) != `{"team":"x"}` {
			t.Fatalf("create: %v, %v expires %v", err, one, one.ExpiresAt)
		}
		ten, err := c.BulkCreate(ctx, people("p", 10))
		if err != nil || len(ten) != 10 {
			t.Fatalf("bulk: %v, %d invitations", err, len(ten))
		}
		if _, err := c.Create(ctx, clerk.Params{EmailAddress: "ADA@people.example"}); !errors.Is(err, clerk.KindDuplicate) {
			t.Errorf("create again: %v", err)
		}
		_, err = c.BulkCreate(ctx, append(people("q", 3), clerk.Params{EmailAddress: "P4@people.example"}))
		e, ok := errors.AsType[*clerk.Error](err)
		if !ok || e.Kind != clerk.KindDuplicate || e.TraceID == "" {
			t.Fatalf("bulk with a duplicate: %v", err)
		}
		if kind, named := e.KindFor("p4@people.example"); len(e.Culprits()) != 1 || !named || kind != clerk.KindDuplicate {
			t.Errorf("bulk with a duplicate: %d culprits, named %v", len(e.Culprits()), named)
		}

		page, err := c.List(ctx, clerk.ListOptions{Query: "ada@people.example", Statuses: clerk.AllStatuses()})
		if err != nil || page.Total != 1 || page.Data[0].ID != one.ID {
			t.Errorf("list: %v, %v", err, page)
		}
		if err := sim.Accept("p1@people.example"); err != nil {
			t.Fatal(err)
		}
		users, err := c.UsersByEmail(ctx, []string{"P1@people.example", "p2@people.example"})
		if err != nil || users.Len() != 1 || !users.Has("p1@people.example") {
			t.Errorf("users: %v, %d", err, users.Len())
		}
		if _, err := c.Create(ctx, clerk.Params{EmailAddress: "p1@people.example"}); !errors.Is(err, clerk.KindExists) {
			t.Errorf("create for a user: %v", err)
		}

		revoked, err := c.Revoke(ctx, one.ID)
		if err != nil || !revoked.Revoked || revoked.Status != clerk.Revoked {
			t.Errorf("revoke: %v, %v", err, revoked)
		}
		if _, err := c.Revoke(ctx, one.ID); !errors.Is(err, clerk.KindAlreadyRevoked) {
			t.Errorf("revoke again: %v", err)
		}
		if _, err := c.Revoke(ctx, sim.ByAddress("p1@people.example")[0].ID); !errors.Is(err, clerk.KindAlreadyAccepted) {
			t.Errorf("revoke an accepted one: %v", err)
		}
		if _, err := c.Revoke(ctx, "inv_nobody"); !errors.Is(err, clerk.KindNotFound) {
			t.Errorf("revoke nobody's: %v", err)
		}
		if err := c.Delete(ctx, one.ID); err != nil {
			t.Errorf("delete: %v", err)
		}
		if err := c.Delete(ctx, one.ID); !errors.Is(err, clerk.KindNotFound) {
			t.Errorf("delete again: %v", err)
		}
		if page, err := c.List(ctx, clerk.ListOptions{Query: one.ID, Statuses: clerk.AllStatuses()}); err != nil || page.Total != 0 {
			t.Errorf("a deleted one is listed: %v, %d", err, page.Total)
		}

		if _, err := c.Create(ctx, clerk.Params{EmailAddress: "nobody"}); !errors.Is(err, clerk.KindInvalid) {
			t.Errorf("not an address: %v", err)
		}
		_, err = c.Create(ctx, clerk.Params{EmailAddress: "x@people.example", ExpiresInDays: 366})
		if e, ok := errors.AsType[*clerk.Error](err); !ok || e.Kind != clerk.KindInvalid || e.Param != "expires_in_days" {
			t.Errorf("expires in 366 days: %v", err)
		}
		sim.BlockAddress("evil@people.example")
		if _, err := c.Create(ctx, clerk.Params{EmailAddress: "evil@people.example"}); !errors.Is(err, clerk.KindBlocked) {
			t.Errorf("blocked: %v", err)
		}
		if err := sim.SetSecretKey("sk_test_rotated"); err != nil {
			t.Fatal(err)
		}
		if err := c.Probe(ctx); !errors.Is(err, clerk.KindUnauthorized) {
			t.Errorf("wrong key: %v", err)
		}
	})
}

// TestSimulatedClock follows Clerk's clock by the answers to ordinary calls.
func TestSimulatedClock(t *testing.T) {
	cfg := clerksim.Config{ClockOffset: 42*time.Second + 300*time.Millisecond, Latency: clerksim.TypicalLatency}
	inBubble(t, cfg, func(t *testing.T, sim *clerksim.Sim, c *clerk.Client) {
		if _, _, known := c.ClockOffset(); known {
			t.Error("known before any answer")
		}
		check := func(want time.Duration) time.Duration {
			t.Helper()
			offset, within, known := c.ClockOffset()
			if !known || (offset-want).Abs() > within {
				t.Errorf("%v ± %v, %v; want %v", offset, within, known, want)
			}
			return within
		}
		first := time.Duration(0)
		for i := range 20 {
			if _, err := c.List(t.Context(), clerk.ListOptions{}); err != nil {
				t.Fatal(err)
			}
			if within := check(cfg.ClockOffset); i == 0 {
				first = within
			} else if i == 19 && within > first/2 {
				t.Errorf("± %v after twenty answers, ± %v after one", within, first)
			}
			<-time.After(1700 * time.Millisecond)
		}
		sim.SetClockOffset(-time.Hour)
		if err := c.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(-time.Hour)
	})
}

// TestSimulatedEcho creates with every form in which Clerk may answer an address:
// each invite's invitation is known, whatever the order of the answer.
func TestSimulatedEcho(t *testing.T) {
	for _, form := range []clerksim.EchoAddress{clerksim.EchoAddressLower, clerksim.EchoAddressAsSent, clerksim.EchoAddressUndotted, clerksim.EchoAddressUnicode} {
		inBubble(t, clerksim.Config{Switches: clerksim.Switches{EchoAddress: form}}, func(t *testing.T, sim *clerksim.Sim, c *clerk.Client) {
			one, err := c.Create(t.Context(), clerk.Params{EmailAddress: "A.D.A@xn--bcher-kva.example"})
			if err != nil || one.ID != sim.ByAddress("A.D.A@xn--bcher-kva.example")[0].ID {
				t.Errorf("%s: create: %v, %v", form, one, err)
			}
			ps := append(people("p", 5), clerk.Params{EmailAddress: "Grace.Hopper@people.example"})
			ps = append(ps, people("q", 4)...)
			all, err := c.BulkCreate(t.Context(), ps)
			if err != nil {
				t.Fatalf("%s: bulk: %v", form, err)
			}
			for i, p := range ps {
				if want := sim.ByAddress(p.EmailAddress)[0].ID; all[i].ID != want {
					t.Errorf("%s: place %d has %s, want %s", form, i, all[i].ID, want)
				}
			}
		})
	}
}

func TestSimulatedQuota(t *testing.T) {
	for _, text := range []string{"", "retry-after=date", "retry-after=window", "retry-after=short", "unfamiliar-codes"} {
		t.Run(text, func(t *testing.T) {
			switches, err := clerksim.ParseSwitches(text)
			if err != nil {
				t.Fatal(err)
			}
			inBubble(t, clerksim.Config{Switches: switches}, func(t *testing.T, sim *clerksim.Sim, c *clerk.Client) {
				for _, p := range people("p", 100) {
					if _, err := c.Create(t.Context(), p); err != nil {
						t.Fatal(err)
					}
				}
				_, err := c.Create(t.Context(), people("q", 1)[0])
				e, ok := errors.AsType[*clerk.Error](err)
				if !ok || e.Kind != clerk.KindQuota || e.Status != 429 || e.RetryAfter <= 0 || e.RetryAfter > time.Hour {
					t.Fatalf("call 101: %v", err)
				}
				if text == "retry-after=short" {
					return // the server lies
				}
				<-time.After(time.Until(e.RetryAt))
				if _, err := c.Create(t.Context(), people("q", 1)[0]); err != nil {
					t.Errorf("at RetryAt: %v", err)
				}
			})
		})
	}
}

// TestKindsTellTheTruth strikes every call with every fault and then asks the
// simulator what really happened: whoever reads the Kind must never believe that
// nothing was mailed when something was.
func TestKindsTellTheTruth(t *testing.T) {
	faults := []clerksim.Fault{
		{Kind: clerksim.DropBefore}, {Kind: clerksim.DropAfter}, {Kind: clerksim.ErrorBefore}, {Kind: clerksim.ErrorAfter},
		{Kind: clerksim.ErrorAfter, Status: 503}, {Kind: clerksim.ErrorAfter, Status: 504}, {Kind: clerksim.ErrorAfter, Status: 529},
		{Kind: clerksim.GatewayBefore}, {Kind: clerksim.GatewayAfter}, {Kind: clerksim.GatewayAfter, Status: 504}, {Kind: clerksim.GatewayAfter, Status: 520},
		{Kind: clerksim.Overload}, {Kind: clerksim.Overload, RetryAfter: "30"}, {Kind: clerksim.Throttle}, {Kind: clerksim.Throttle, RetryAfter: "999999999999"},
		{Kind: clerksim.Unauthorized}, {Kind: clerksim.EdgeBlock}, {Kind: clerksim.Locked}, {Kind: clerksim.Redirect}, {Kind: clerksim.Redirect, Status: 302},
		{Kind: clerksim.Redirect, Status: 303}, {Kind: clerksim.Redirect, Status: 301}, {Kind: clerksim.Redirect, Status: 308},
		{Kind: clerksim.Truncate}, {Kind: clerksim.Malformed}, {Kind: clerksim.Empty}, {Kind: clerksim.Short}, {Kind: clerksim.Huge},
		{Kind: clerksim.PartialBulk}, {Delay: 11 * time.Second}, {Hold: 11 * time.Second}, {Delay: time.Second}, {Hold: time.Second},
	}
	type call struct {
		op    clerk.Op
		mails int // if it took effect
		make  func(*testing.T, *clerk.Client, string) error
	}
	calls := []call{
		{clerk.OpCreate, 1, func(t *testing.T, c *clerk.Client, _ string) error {
			_, err := c.Create(t.Context(), people("p", 1)[0])
			return err
		}},
		{clerk.OpBulkCreate, 10, func(t *testing.T, c *clerk.Client, _ string) error {
			_, err := c.BulkCreate(t.Context(), people("p", 10))
			return err
		}},
		{clerk.OpRevoke, 0, func(t *testing.T, c *clerk.Client, id string) error { _, err := c.Revoke(t.Context(), id); return err }},
		{clerk.OpDelete, 0, func(t *testing.T, c *clerk.Client, id string) error { return c.Delete(t.Context(), id) }},
		{clerk.OpList, 0, func(t *testing.T, c *clerk.Client, _ string) error {
			_, err := c.List(t.Context(), clerk.ListOptions{})
			return err
		}},
		{clerk.OpUsers, 0, func(t *testing.T, c *clerk.Client, _ string) error {
			_, err := c.UsersByEmail(t.Context(), []string{"a@b.example"})
			return err
		}},
	}
	for _, f := range faults {
		for _, call := range calls {
			t.Run(fmt.Sprintf("%s %d %v %v/%v", f.Kind, f.Status, f.Delay, f.Hold, call.op), func(t *testing.T) {
				inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *clerk.Client) {
					existing, err := sim.CreateForeign("somebody@people.example")
					if err != nil {
						t.Fatal(err)
					}
					sim.Inject("", f, 1)
					began := time.Now()
					err = call.make(t, c, existing.ID)
					if took := time.Since(began); took > clerk.DefaultTimeout {
						t.Errorf("took %v", took)
					}
					<-time.After(time.Minute) // what was late is committed by now
					mails, requests := sim.Stats().Mails, sim.Count("")
					if requests != 1 {
						t.Errorf("%d requests, want 1", requests)
					}
					e, failed := errors.AsType[*clerk.Error](err)
					switch {
					case err == nil && mails != call.mails:
						t.Errorf("success, and %d mails", mails)
					case failed && mails > 0 && !e.Kind.MayHaveTakenEffect():
						t.Errorf("%v, and %d mails", err, mails)
					case failed && call.mails == 0 && e.Kind.MayHaveTakenEffect():
						t.Errorf("%v, of a call that may be repeated", err)
					}
					// A revoke or a delete that is lost can be asked for again.
					if call.op == clerk.OpDelete && failed {
						if err := c.Delete(t.Context(), existing.ID); err != nil && !errors.Is(err, clerk.KindNotFound) {
							t.Errorf("delete again: %v", err)
						}
						if inv := sim.ByAddress("somebody@people.example")[0]; inv.Status != clerksim.StatusDeleted {
							t.Errorf("in the end it is %v", inv.Status)
						}
					}
					if call.op == clerk.OpRevoke && failed {
						if _, err := c.Revoke(t.Context(), existing.ID); err != nil && !errors.Is(err, clerk.KindAlreadyRevoked) {
							t.Errorf("revoke again: %v", err)
						}
						if inv := sim.ByAddress("somebody@people.example")[0]; inv.Status != clerksim.StatusRevoked {
							t.Errorf("in the end it is %v", inv.Status)
						}
					}
				})
			})
		}
	}
}

// TestRefusedBulk goes through every switch about refused bulk calls. Whatever
// Clerk does, the Kind is one that lets the worker find out.
func TestRefusedBulk(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 200 {
		switches := clerksim.DrawSwitches(rng)
		switches.BulkMax = clerk.MaxBulk // what is refused for its size is refused whoever is in it
		t.Run(fmt.Sprintf("%d %v", i, switches), func(t *testing.T) {
			inBubble(t, clerksim.Config{Switches: switches}, func(t *testing.T, sim *clerksim.Sim, c *clerk.Client) {
				sim.AddUser("user@people.example")
				sim.BlockAddress("evil@people.example")
				if _, err := sim.CreateForeign("pending@people.example"); err != nil {
					t.Fatal(err)
				}
				for _, tc := range []struct {
					bad   string
					kinds []clerk.Kind // KindRefused: a code that nobody knows
				}{
					{"pending@people.example", []clerk.Kind{clerk.KindDuplicate}},
					{"user@people.example", []clerk.Kind{clerk.KindExists, clerk.KindDuplicate, clerk.KindRefused, clerk.KindInvalid}},
					{"evil@people.example", []clerk.Kind{clerk.KindBlocked, clerk.KindRefused}},
					{"not an address", []clerk.Kind{clerk.KindInvalid}},
				} {
					batch := append(people("x"+tc.bad[:3], 3), clerk.Params{EmailAddress: tc.bad})
					_, err := c.BulkCreate(t.Context(), batch)
					ok := false
					for _, k := range tc.kinds {
						ok = ok || errors.Is(err, k)
					}
					if !ok {
						t.Errorf("%s: %v", tc.bad[:3], err)
					}
					if e, isError := errors.AsType[*clerk.Error](err); isError {
						for _, culprit := range e.Culprits() {
							if culprit != tc.bad {
								t.Errorf("%s: an innocent is named", tc.bad[:3])
							}
						}
					}
				}
			})
		})
	}
}

// TestScanOfTheSimulator lists what a simulated Clerk has, ties in another order
// with every read, while people accept, revoke and invite.
func TestScanOfTheSimulator(t *testing.T) {
	switches := clerksim.Switches{UnstableTies: true}
	inBubble(t, clerksim.Config{Switches: switches, Seed: 7}, func(t *testing.T, sim *clerksim.Sim, c *clerk.Client) {
		const n = 1500
		for i := range n {
			if _, err := sim.CreateForeign(fmt.Sprintf("p%d@people.example", i)); err != nil {
				t.Fatal(err)
			}
			if i%10 == 9 {
				<-time.After(time.Millisecond)
			}
		}
		constant := sim.Invitations()
		later := 0
		scan := &clerk.Scan{Lister: c, PageSize: 100, Before: func(context.Context) error {
			later++
			_, err := sim.CreateForeign(fmt.Sprintf("later%d@people.example", later))
			if err == nil {
				err = sim.RevokeInDashboard(constant[later*7].ID)
			}
			<-time.After(10 * time.Millisecond)
			return err
		}}
		status := make(map[string]clerk.Status)
		for inv, err := range scan.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			status[inv.ID] = inv.Status
		}
		for _, inv := range constant {
			if status[inv.ID] == "" {
				t.Fatalf("%s was missed", inv.ID)
			}
		}
		rep := scan.Report()
		if !rep.Agreed || rep.Passes != 2 || rep.Reads != sim.Count(clerksim.OpList) {
			t.Errorf("report %+v after %d lists", rep, sim.Count(clerksim.OpList))
		}
	})
}

// TestOverTCP has connections that are really closed and really reset.
func TestOverTCP(t *testing.T) {
	sim, err := clerksim.New(clerksim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- sim.Serve(t.Context(), l) }()
	defer func() {
		sim.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	c := simClient(t, clerk.Config{BaseURL: "http://" + l.Addr().String() + "/v1", Breaker: clerk.Breaker{Disabled: true}})
	defer c.Close()
	for i := range 60 {
		p := people(fmt.Sprintf("p%d-", i), 1)[0]
		before := sim.Stats().Mails
		if i%3 > 0 {
			sim.Inject("", clerksim.Fault{Kind: []clerksim.FaultKind{clerksim.DropBefore, clerksim.DropAfter, clerksim.Truncate}[i/3%3], Reset: i%2 == 0}, 1)
		}
		_, err := c.Create(t.Context(), p)
		switch {
		case i%3 == 0 && err != nil:
			t.Errorf("call %d: %v", i, err)
		case i%3 > 0 && !errors.Is(err, clerk.KindUnknown):
			t.Errorf("call %d: %v, want %v", i, err, clerk.KindUnknown)
		}
		if n := sim.Stats().Mails - before; n > 1 {
			t.Errorf("call %d sent %d mails", i, n)
		}
	}
	if n := sim.Count(""); n != 60 {
		t.Errorf("%d requests for 60 calls", n)
	}
}
