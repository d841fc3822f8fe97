package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

// owners checks, over all that Clerk and the ledger ever said, that nothing which
// somebody else made was taken for ours, or revoked without a wish that covers it,
// and that none of ours is left that nobody owns.
func (o *oracle) owners() {
	seen := map[[2]string]bool{}
	check := func(id, invitation, how string) {
		inv, exists := o.byClerk[invitation]
		if invitation == "" || !exists || seen[[2]string{id, invitation}] {
			return
		}
		seen[[2]string{id, invitation}] = true
		if i := o.s.inviteBy(id); i != nil && inviteOf(inv) != id && !o.notToBeTold(i, inv) {
			whose := "somebody else's"
			if !inv.Foreign {
				whose = "that of " + inviteOf(inv)
			}
			o.complain(id, "%s %s is its own, which is %s: %s for %d days, not %s for %d", how, invitation, whose,
				inv.PublicMetadata, int(inv.ExpiresAt.Sub(inv.CreatedAt).Hours()/24), i.PublicMetadata, i.ExpiresInDays)
		}
	}
	for _, h := range o.past {
		check(h.id, h.invitation, "it was said that")
	}
	for invitation, id := range o.s.redis.HGetAll(context.Background(), "inviteq:{default}:inv").Val() {
		check(id, invitation, "the index says that")
	}
	for _, c := range o.calls {
		if inv, exists := o.byClerk[c.InvitationID]; exists && c.Op == clerksim.OpRevoke && c.Committed && !o.mayRevoke(inv, c.Time) {
			o.findings = append(o.findings, finding{
				id: inviteOf(inv), address: strings.ToLower(inv.EmailAddress), what: fmt.Sprintf("we revoked %s (foreign %t), and nobody had asked for that", inv.ID, inv.Foreign),
			})
		}
	}
	for id, made := range o.made {
		r, kept := o.records[id]
		for _, inv := range made {
			gone := r.State == tasks.Parked || r.State == tasks.Failed || r.State == tasks.Rejected // end judges those
			if kept && inv.Status == clerksim.StatusPending && r.InvitationID != inv.ID && !gone && !o.unnoticed(inv) && !o.forgottenAgain(inv, o.s.inviteBy(id)) && !(o.byClerk[r.InvitationID].Foreign && o.notToBeTold(o.s.inviteBy(id), o.byClerk[r.InvitationID])) && !o.unseen(o.s.inviteBy(id), r, []clerksim.Invitation{inv}) {
				o.complain(id, "%s is open at Clerk, and is nobody's: the ledger says %s, %s", inv.ID, r.State, r.InvitationID)
			}
		}
	}
}

func (s *simulation) inviteBy(id string) *simInvite {
	if s.ids == nil {
		s.ids = map[string]*simInvite{}
		for _, i := range s.invites {
			s.ids[i.ID] = i
		}
	}
	return s.ids[id]
}

// clockSlack is how well two clocks can be compared: a second, what Clerk's Date
// leaves open, and what a slow call adds.
func (o *oracle) clockSlack() time.Duration { return 3*time.Second + o.s.plan.clerk.Latency.P999 }

// notToBeTold reports whether an invitation may be taken for an invite's although
// another call made it, as the README and package worker have it: there is no mark,
// it says the same, and was made while a lost call of the invite may have been
// carried out, or in a time that Redis has forgotten.
func (o *oracle) notToBeTold(i *simInvite, inv clerksim.Invitation) bool {
	emptied := slices.ContainsFunc(o.s.losses, func(l loss) bool { return l.all }) // so that it is not known since when calls carry the mark
	marked := o.s.mark != "" && ownership.CanCarry(i.Invite, o.s.mark)
	if marked && !emptied || !sameContent(i, inv) {
		return false
	}
	slack := o.clockSlack()
	for _, l := range o.lostCalls(i) {
		if !inv.Made.Before(l.from.Add(-slack)) && !inv.Made.After(l.until.Add(slack)) {
			o.excused["equal content within a lost call's window, without a mark"]++
			return true
		}
	}
	for _, l := range o.s.losses {
		from := l.from.Add(-o.s.tempo.beat - 5*time.Second - slack)
		if (l.all || !inv.Made.Before(from)) && !inv.Made.After(l.until.Add(o.s.tempo.beat+ledger.ArrivalBound+5*time.Second+slack)) {
			o.excused["equal content within a gap of the ledger's, without a mark"]++
			return true
		}
	}
	return false
}

// sameContent compares what Clerk shows of an invitation with an invite.
func sameContent(i *simInvite, inv clerksim.Invitation) bool {
	days := i.ExpiresInDays
	if days == 0 {
		days = 30
	}
	return reflect.DeepEqual(value(i.PublicMetadata), value(inv.PublicMetadata)) && (inv.ExpiresAt.Sub(inv.CreatedAt)-time.Duration(days)*24*time.Hour).Abs() < time.Hour
}

// value reads an object, without what is null.
func value(raw json.RawMessage) map[string]any {
	v := map[string]any{}
	_ = json.Unmarshal(raw, &v) // what is no object equals nothing
	maps.DeleteFunc(v, func(_ string, v any) bool { return v == nil })
	return v
}

// span is when a call may have been carried out.
type span struct{ from, until time.Time }

// lostCalls returns when calls of an invite that got no clear answer may have made
// something: from the claim to the bound, or to the refusal of a bulk.
func (o *oracle) lostCalls(i *simInvite) []span {
	var calls []span
	var claimed time.Time
	for _, h := range o.byID[i.ID] {
		switch {
		case h.to == "sending":
			claimed = h.at
		case h.from == "sending" && h.to == "unknown" && h.reason != string(tasks.ReasonChecking):
			calls = append(calls, span{claimed, h.at.Add(ledger.ArrivalBound)})
		case h.from == "sending":
			calls = append(calls, span{claimed, h.at})
		}
	}
	return calls
}

// mayBeTwo reports whether Clerk may have made more than one invitation for an
// invite, as the README says: a lost call arrived after its sibling had ended, and
// what it made was revoked; or the first was gone before anybody could see it.
func (o *oracle) mayBeTwo(i *simInvite) bool {
	made := slices.Clone(o.made[i.ID])
	slices.SortFunc(made, func(a, b clerksim.Invitation) int { return a.Made.Compare(b.Made) })
	for n, inv := range made[1:] {
		before := made[n]
		why := ""
		switch ended := before.Status != clerksim.StatusPending; {
		case before.Status == clerksim.StatusDeleted && (!o.known(i, before, inv.Made) || o.s.lost(before.Made)):
			why = "deleted at Clerk before its answer was known, or when it had been forgotten"
		case ended && o.arrivedLate(inv) && inv.Status != clerksim.StatusPending:
			why = "a lost call arrived after its sibling had ended"
		case o.underWay(before, i) || o.underWay(inv, i):
			why = "a call was under way when the ledger forgot it, and arrived late"
		case o.swapped(i, before):
			why = "another invite for the address with equal content was told its invitation is its own"
		case (i.IgnoreExisting || before.Status != clerksim.StatusPending) && o.foreignForm(i):
			why = "Clerk shows the address in another form, and nothing else prevents a second"
		case o.unnoticed(before):
			why = "Redis went back, and nobody could notice in time"
		}
		if why == "" {
			return false
		}
		o.excused[why]++
	}
	return true
}

// known reports whether the ledger had named an invitation before a moment.
func (o *oracle) known(i *simInvite, inv clerksim.Invitation, by time.Time) bool {
	return slices.ContainsFunc(o.byID[i.ID], func(h happening) bool { return h.invitation == inv.ID && h.at.Before(by) })
}

// swapped reports whether an invitation of one invite was taken for another's, as it
// may be (notToBeTold).
func (o *oracle) swapped(i *simInvite, inv clerksim.Invitation) bool {
	return slices.ContainsFunc(o.past, func(h happening) bool {
		other := o.s.inviteBy(h.id)
		return h.invitation == inv.ID && h.id != i.ID && other != nil && o.notToBeTold(other, inv)
	})
}

// arrivedLate reports whether an invitation was made by a call that its worker had
// given up.
func (o *oracle) arrivedLate(inv clerksim.Invitation) bool {
	return slices.ContainsFunc(o.calls, func(c clerksim.Call) bool {
		return slices.Contains(c.Made, inv.ID) && c.Time.Sub(c.Arrived) > 5*time.Second
	})
}

// underWay reports whether an invitation was made by a call that Redis forgot before
// it was carried out; with ignore_existing, so late that it is waited for no longer.
func (o *oracle) underWay(inv clerksim.Invitation, i *simInvite) bool {
	return slices.ContainsFunc(o.calls, func(c clerksim.Call) bool {
		return slices.Contains(c.Made, inv.ID) && slices.ContainsFunc(o.s.losses, func(l loss) bool {
			waited := l.until
			if i.IgnoreExisting {
				waited = waited.Add(25 * time.Second)
			}
			return l.forgets(c.Arrived) && c.Time.After(waited)
		})
	})
}

// forgottenAgain reports whether an invitation with ignore_existing was made by a call
// that Redis had forgotten, too late to be waited for, and Redis forgot that as well.
func (o *oracle) forgottenAgain(inv clerksim.Invitation, i *simInvite) bool {
	return i != nil && i.IgnoreExisting && (o.underWay(inv, i) || slices.ContainsFunc(o.made[i.ID], func(other clerksim.Invitation) bool { return o.underWay(other, i) })) &&
		slices.ContainsFunc(o.s.losses, func(l loss) bool { return l.from.After(inv.Made) && l.from.Before(inv.Made.Add(ledger.ArrivalBound)) })
}

// unnoticed reports whether an invitation was made before Redis went back in a way
// that nobody can notice before the next call: no worker lived through it, or a new
// one was quicker than the beat of those who did; and it does not tell who it is, or
// was emptied.
func (o *oracle) unnoticed(inv clerksim.Invitation) bool { return o.unnoticedAt(inv.Made) }

// unnoticedAt is unnoticed for whatever was done at a moment.
func (o *oracle) unnoticedAt(made time.Time) bool {
	return slices.ContainsFunc(o.s.losses, func(l loss) bool {
		if !l.forgets(made) {
			return false
		}
		fresh := slices.ContainsFunc(o.s.workers, func(w *simWorker) bool {
			return w.born.After(l.from) && w.born.Before(l.until.Add(o.s.tempo.beat))
		})
		return (!l.witness || fresh) && (!l.told || l.all || o.s.plan.nameless)
	})
}

// mayRevoke reports whether it was right to revoke an invitation at a moment:
// somebody had wished so, or it was one too many.
func (o *oracle) mayRevoke(inv clerksim.Invitation, at time.Time) bool {
	for _, w := range o.s.wishes {
		if w.begun.After(at) {
			continue
		}
		if strings.Contains(w.target, "@") {
			// A wish for an address means what stood there, and what invites become that came before it.
			i := o.s.inviteBy(inviteOf(inv))
			ours := i != nil && w.meant(i) && i.handed.Before(o.until(w))
			if o.s.sameAddress(w.target, inv.EmailAddress) && (ours || !inv.Made.After(o.until(w).Add(o.clockSlack()))) {
				return true
			}
		} else if w.target == inviteOf(inv) {
			return true
		}
	}
	for _, i := range o.s.invites { // It counts as ours.
		if inviteOf(inv) != i.ID && o.s.sameAddress(i.EmailAddress.Raw(), inv.EmailAddress) && o.notToBeTold(i, inv) {
			return true
		}
	}
	// A lost call has made it when its invite had ended, or had another already.
	id := inviteOf(inv)
	return id != "" && o.records[id].InvitationID != inv.ID || id != "" && o.records[id].Reason == tasks.ReasonArrivedLate
}

// sameAddress compares addresses as this world's Clerk does.
func (s *simulation) sameAddress(a, b string) bool {
	form := func(e string) string {
		e = strings.ToLower(e)
		if mailbox, domain, ok := strings.Cut(e, "@"); ok && s.plan.clerk.Switches.EchoAddress == clerksim.EchoAddressUndotted {
			e = strings.ReplaceAll(mailbox, ".", "") + "@" + domain
		}
		return e
	}
	return form(a) == form(b)
}
