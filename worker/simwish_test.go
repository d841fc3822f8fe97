package worker

import (
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// meant reports whether a wish names an invite.
func (w *simWish) meant(i *simInvite) bool {
	return w.target == i.ID || strings.EqualFold(w.target, i.EmailAddress.Raw())
}

// until is when a wish may have been written at the latest: a producer repeats it
// until it is told, and a command may arrive when it has been given up.
func (o *oracle) until(w *simWish) time.Time {
	last := w.told
	if last.IsZero() {
		last = o.s.began.Add(o.s.length)
	}
	if o.s.plan.wiring.late > 0 {
		last = last.Add(time.Minute)
	}
	return last
}

// wishes checks that revokes have reached all that stood when they were asked for,
// and nothing later.
func (o *oracle) wishes() {
	for _, h := range o.past {
		if h.reason != string(tasks.ReasonRevokeRequested) || h.to != "canceled" && h.to != "revoked" {
			continue
		}
		i := o.s.inviteBy(h.id)
		if i == nil {
			continue
		}
		covered := false
		for _, w := range o.s.wishes {
			covered = covered || w.target == i.ID || w.meant(i) && !i.handed.After(o.until(w))
		}
		if !covered {
			o.complain(h.id, "it is %s (%s), and every wish is older than it is", h.to, h.reason)
		}
	}
	for _, w := range o.s.wishes {
		if w.told.IsZero() || o.s.lost(w.told) || o.s.lost(w.begun) || !strings.Contains(w.target, "@") {
			continue
		}
		for _, inv := range o.s.sim.ByAddress(w.target) {
			if inv.Status == clerksim.StatusPending && inv.Made.Before(w.begun.Add(-o.clockSlack())) && !o.overlooked(w, inv) {
				o.complain(inviteOf(inv), "everything was to be revoked for the address at %s; %s (foreign %t) had been made at %s, and is pending",
					w.begun.Sub(o.s.began).Round(time.Second), inv.ID, inv.Foreign, inv.Made.Sub(o.s.began).Round(time.Second))
			}
		}
	}
}

// overlooked reports whether a wish could not find an invitation: Clerk shows it for
// another address.
func (o *oracle) overlooked(w *simWish, inv clerksim.Invitation) bool {
	return !strings.EqualFold(w.target, inv.EmailAddress)
}

// standstill checks that no invite is sent while Redis' clock is too far from the
// workers'.
func (o *oracle) standstill() {
	if o.s.plan.redisAhead.Abs() <= ledger.MaxOffset {
		return
	}
	for _, c := range o.calls {
		if (c.Op == clerksim.OpCreate || c.Op == clerksim.OpBulkCreate) && c.Time.Before(o.s.began.Add(o.s.length)) {
			o.complain("", "a call at %s although Redis' clock is %s ahead of the workers'", c.Time.Sub(o.s.began), o.s.plan.redisAhead)
			return
		}
	}
}

// clicks checks how long people have waited in a world that promises something.
func (o *oracle) clicks() {
	if o.s.wait == 0 {
		return
	}
	invites := map[string]int{} // two for one address wait for each other
	for _, i := range o.s.invites {
		invites[i.EmailAddress.Key()]++
	}
	for _, i := range o.s.invites {
		if i.Lane != tasks.Interactive || invites[i.EmailAddress.Key()] > 1 || !i.accepted || i.after > 0 || i.asked {
			continue
		}
		for _, h := range o.byID[i.ID] {
			if h.to != "sending" {
				continue
			}
			waited := h.at.Sub(i.told)
			o.s.waited = max(o.s.waited, waited)
			if waited > o.s.wait {
				o.complain(i.ID, "somebody clicked and waited %s; this world promises %s", waited.Round(time.Second), o.s.wait)
			}
			break
		}
	}
}
