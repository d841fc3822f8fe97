package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

func TestAdoption(t *testing.T) {
	w := newWorld(t, clerksim.Config{})
	want := map[string]tasks.State{}
	for i, state := range []tasks.State{tasks.Pending, tasks.Accepted, tasks.Revoked} {
		address := fmt.Sprintf("theirs%d@example.com", i)
		inv, err := w.sim.CreateForeign(address)
		if err == nil && state == tasks.Accepted {
			err = w.sim.Accept(inv.ID)
		} else if err == nil && state == tasks.Revoked {
			err = w.sim.RevokeInDashboard(inv.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		want[address] = state
	}
	for _, p := range []Pass{{Full: true}, {Full: true, Adopt: true, DryRun: true}} {
		if got := w.run(p); got.Foreign != 3 || got.Adopted != 0 {
			t.Errorf("got %+v", got)
		}
	}
	if got := w.run(Pass{Full: true, Adopt: true, AdoptBefore: time.Now().Add(-time.Hour)}); got.Adopted != 0 || got.Adoptable() != 3 {
		t.Errorf("what was made later is adopted: %+v", got)
	}
	if got := w.run(Pass{Full: true, Adopt: true, AdoptBefore: time.Now().Add(time.Hour)}); got.Foreign != 3 || got.Adopted != 3 || got.Adoptable() != 0 {
		t.Errorf("got %+v", got)
	}
	for address, state := range want {
		r, err := w.ledger.FindAddress(t.Context(), email(t, address))
		if err != nil || len(r) != 1 || r[0].State != state || r[0].InvitationID != w.sim.ByAddress(address)[0].ID || r[0].Reason != "adopted" {
			t.Errorf("want one that is %s; got %+v, %v", state, r, err)
		}
	}
	if got := w.run(Pass{Full: true, Adopt: true}); got.Foreign != 0 || got.Adopted != 0 || got.Same != 3 {
		t.Errorf("the second time: %+v", got)
	}
	// Nothing of it is sent.
	if turn, err := w.ledger.Turn(t.Context(), time.Now(), "turn"); err != nil || len(turn.Batch) > 0 {
		t.Errorf("got turn %+v, %v", turn, err)
	}
}

// A wish to revoke that got lost is written down again.
func TestRevokeThatIsWantedStaysWanted(t *testing.T) {
	w := newWorld(t, clerksim.Config{})
	ids := w.deliver(2)
	if r, err := w.ledger.Cancel(t.Context(), time.Now(), ids[0]); err != nil || !r.RevokeWanted {
		t.Fatalf("got %+v, %v", r, err)
	}
	list := "inviteq:{" + w.ledger.Instance() + "}:revoke"
	rdb := w.ledger.Redis()
	if n, err := rdb.ZRem(t.Context(), list, ids[0]).Result(); err != nil || n != 1 {
		t.Fatalf("%d wishes were there to lose, %v", n, err)
	}
	w.run(Pass{Full: true, DryRun: true})
	if n := rdb.ZCard(t.Context(), list).Val(); n != 0 {
		t.Error("a dry run has changed the ledger")
	}
	w.run(Pass{Full: true})
	if got := rdb.ZRange(t.Context(), list, 0, -1).Val(); !cmp.Equal(got, []string{ids[0]}) {
		t.Errorf("got %v, want %v", got, ids[:1])
	}
}

// A worker has revoked at Clerk what it was asked to, and a pass sees that before the
// worker can say so: it was revoked because somebody asked for it.
func TestPassSeesARevokeThatWasAskedFor(t *testing.T) {
	w := newWorld(t, clerksim.Config{})
	ids := w.deliver(2)
	if _, err := w.ledger.Cancel(t.Context(), time.Now(), ids[0]); err != nil {
		t.Fatal(err)
	}
	read := func() []ledger.Record {
		records, err := w.ledger.Get(t.Context(), ids...)
		if err != nil || len(records) != 2 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		return records
	}
	for _, r := range read() {
		if err := w.sim.RevokeInDashboard(r.Invite.EmailAddress.Raw()); err != nil {
			t.Fatal(err)
		}
	}
	w.run(Pass{Full: true})
	for n, r := range read() {
		want := []tasks.Reason{tasks.ReasonRevokeRequested, tasks.ReasonSeenAtClerk}[n]
		if r.State != tasks.Revoked || r.Reason != want {
			t.Errorf("it is %s (%s), want revoked (%s)", r.State, r.Reason, want)
		}
	}
}

func TestDesired(t *testing.T) {
	w := newWorld(t, clerksim.Config{})
	w.deliver(10) // p0 … p9
	if err := w.sim.Accept("p0@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.RevokeInDashboard("p1@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sim.CreateForeign("foreign@example.com"); err != nil {
		t.Fatal(err)
	}
	queued := tasks.Invite{ID: "waits", EmailAddress: email(t, "waits@example.com")}
	if _, _, err := w.ledger.Admit(t.Context(), time.Now(), []tasks.Invite{queued}); err != nil {
		t.Fatal(err)
	}
	var wanted []tasks.Invite
	for _, address := range []string{
		"P0@example.com", // accepted: leave
		"p1@example.com", // revoked: invite
		"p2@example.com", "p3@example.com",
		"waits@example.com", // queued: leave
		"new@example.com",   // invite
		"NEW@example.com",   // the same person: leave
	} {
		wanted = append(wanted, tasks.Invite{EmailAddress: email(t, address)})
	}
	p := Pass{Ledger: w.ledger, Clerk: w.clerk}
	plan, err := p.Desired(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	var invite []string
	for _, i := range plan.Invite {
		invite = append(invite, i.EmailAddress.Raw())
	}
	if diff := cmp.Diff([]string{"p1@example.com", "new@example.com"}, invite); diff != "" {
		t.Error(diff)
	}
	revoke := map[string]bool{}
	for _, x := range plan.Revoke {
		revoke[x.EmailAddress.Raw()] = true
		if inv := w.sim.ByAddress(x.EmailAddress.Raw()); len(inv) != 1 || inv[0].ID != x.InvitationID {
			t.Errorf("the plan names %s, which is another's", x.InvitationID)
		}
	}
	want := map[string]bool{"foreign@example.com": true}
	for n := 4; n < 10; n++ {
		want[fmt.Sprintf("p%d@example.com", n)] = true
	}
	if diff := cmp.Diff(want, revoke); diff != "" {
		t.Error(diff)
	}
	if plan.Leave != 5 || plan.Pending != 9 || plan.RevokeShare() != 7./9 {
		t.Errorf("leave %d, pending %d, share %v", plan.Leave, plan.Pending, plan.RevokeShare())
	}
	if n := w.sim.Count("") - w.sim.Count(clerksim.OpList); n != 0 {
		t.Errorf("a plan has made %d calls that are no reads", n)
	}
	if (Plan{}).RevokeShare() != 0 {
		t.Error("a plan for nothing revokes something")
	}
}
