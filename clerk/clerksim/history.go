package clerksim

import (
	"strings"
	"time"
)

// Call is one request that reached the Sim.
type Call struct {
	// Arrived is when the whole request had been read, Time when it was judged
	// and, if it was, committed.
	Arrived  time.Time
	Time     time.Time
	Op       Op
	Endpoint Endpoint
	// Status is what was answered, 0 if the connection broke instead. Code is
	// the code of the first Clerk error in it.
	Status int
	Code   string
	// Admitted means that the limits let the request through, Throttled that
	// they refused it; a request that never came to the limits is neither.
	Admitted, Throttled bool
	// Created is how many invitations it created, and Made their ids; Committed
	// whether it took effect in full, whatever was answered.
	Created   int
	Made      []string
	Committed bool
	// Fault is what was made to go wrong.
	Fault Fault

	Addresses    []string // lower-cased; of a create or a bulk create
	InvitationID string   // of a revoke or a delete
	RawQuery     string   // of a read
	UserAgent    string
}

// Mail is one e-mail that was sent.
type Mail struct {
	Time         time.Time
	Address      string // lower-cased
	InvitationID string
	Foreign      bool // of an invitation made by CreateForeign
}

// history is what happened. Records are bounded by max, counters are not.
type history struct {
	max   int
	calls []Call
	mails []Mail

	ops       map[Op]int
	throttled map[Endpoint]int
	statuses  map[Op]map[int]int
	mailed    int
	mostMails int
}

func newHistory(most int) history {
	return history{max: most, ops: make(map[Op]int), throttled: make(map[Endpoint]int), statuses: make(map[Op]map[int]int)}
}

func (h *history) record(c Call) {
	h.ops[c.Op]++
	if h.statuses[c.Op] == nil {
		h.statuses[c.Op] = make(map[int]int)
	}
	h.statuses[c.Op][c.Status]++
	if c.Throttled {
		h.throttled[c.Endpoint]++
	}
	h.calls = bounded(append(h.calls, c), h.max)
}

// bounded keeps at least the newest most records, and at most twice as many.
func bounded[T any](list []T, most int) []T {
	if most == 0 || len(list) < 2*most {
		return list
	}
	kept := copy(list, list[len(list)-most:])
	clear(list[kept:])
	return list[:kept]
}

// mail sends the e-mail of a new invitation, unless the caller did not want it,
// the address is one of Clerk's test addresses or suppressed, or a development
// instance has sent its share for this month.
func (s *Sim) mail(inv *invitation, now time.Time) {
	if !inv.notify || inv.owner.suppressed || isTestAddress(inv.owner.key) {
		return
	}
	if month := now.Add(s.cfg.ClockOffset).UTC().Format("2006-01"); month != s.month {
		s.month, s.sent = month, 0
	}
	if s.cfg.Development && s.sent >= MailCap {
		return
	}
	s.sent++
	inv.mailed = true
	h := &s.history
	h.mails = bounded(append(h.mails, Mail{Time: now, Address: inv.owner.key, InvitationID: inv.id, Foreign: inv.foreign}), h.max)
	if inv.foreign {
		return
	}
	h.mailed++
	inv.owner.mails++
	h.mostMails = max(h.mostMails, inv.owner.mails)
}

// isTestAddress reports whether an address has the subaddress +clerk_test, to
// which Clerk sends nothing (Clerk, "Test emails and phones").
func isTestAddress(address string) bool {
	local, _, _ := strings.Cut(address, "@")
	return strings.HasSuffix(local, "+clerk_test")
}
