package clerksim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Call is one request that reached the Sim.
type Call struct {
	// Time is when the request was judged and, if it was, committed.
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
	// Created is how many invitations it created, Committed whether it took
	// effect in full, whatever was answered.
	Created   int
	Committed bool
	// Fault is what was made to go wrong.
	Fault Fault

	Addresses    []string // lower-cased; of a create or a bulk create
	InvitationID string   // of a revoke
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

func (h *history) record(c Call) {
	if h.ops == nil {
		h.ops, h.throttled, h.statuses = make(map[Op]int), make(map[Endpoint]int), make(map[Op]map[int]int)
	}
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
// the address is one of Clerk's test addresses, or a development instance has
// sent its share for this month.
func (s *Sim) mail(inv *invitation, now time.Time) {
	if !inv.notify || isTestAddress(inv.owner.key) {
		return
	}
	if month := now.UTC().Format("2006-01"); month != s.month {
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

// Mails is how many e-mails were sent to an address, those of CreateForeign
// apart.
func (s *Sim) Mails(address string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.people[strings.ToLower(address)]; p != nil {
		return p.mails
	}
	return 0
}

// MaxMails is the most e-mails that any one address got, those of CreateForeign
// apart.
func (s *Sim) MaxMails() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.mostMails
}

// MailLog returns the e-mails sent, oldest first, those of CreateForeign among
// them.
func (s *Sim) MailLog() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.history.mails)
}

// Calls returns the requests in the order in which they were judged.
func (s *Sim) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.history.calls)
}

// Count is how many requests of an operation came; op "" counts all.
func (s *Sim) Count(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op != "" {
		return s.history.ops[op]
	}
	n := 0
	for _, count := range s.history.ops {
		n += count
	}
	return n
}

// CountStatus is how many requests of an operation were answered with a status;
// op "" counts all, status 0 those whose connection broke.
func (s *Sim) CountStatus(op Op, status int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for o, byStatus := range s.history.statuses {
		if op == "" || op == o {
			n += byStatus[status]
		}
	}
	return n
}

// Count429 is how many requests to an endpoint the limits refused. 429s made by
// a fault are not among them. Other counts the requests that are neither single
// nor bulk.
func (s *Sim) Count429(ep Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history.throttled[ep]
}

// Peak is the most requests to an endpoint that fell in any window [t, t+window):
// those that the limits admitted, and those that they judged at all. Other
// counts every request. It sees as far back as MaxHistory keeps.
func (s *Sim) Peak(ep Endpoint, window time.Duration) (admitted, judged int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in, all []int64
	for _, c := range s.history.calls {
		if ep != Other && ep != c.Endpoint {
			continue
		}
		if c.Admitted {
			in = append(in, c.Time.UnixNano())
		}
		if c.Admitted || c.Throttled {
			all = append(all, c.Time.UnixNano())
		}
	}
	return peak(in, window), peak(all, window)
}

// peak is the most of the ascending times that fall in any window.
func peak(times []int64, window time.Duration) int {
	most, first := 0, 0
	for i, t := range times {
		for times[first] <= t-int64(window) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// Invitations returns every invitation, oldest first.
func (s *Sim) Invitations() []Invitation {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	out := make([]Invitation, len(s.rows.list))
	for i, inv := range s.rows.list {
		out[i] = s.snapshot(inv)
	}
	return out
}

// ByAddress returns the invitations for an address, oldest first.
func (s *Sim) ByAddress(address string) []Invitation {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	p := s.people[strings.ToLower(address)]
	if p == nil {
		return nil
	}
	out := make([]Invitation, len(p.invitations))
	for i, inv := range p.invitations {
		out[i] = s.snapshot(inv)
	}
	return out
}

// Stats are totals since New.
type Stats struct {
	Calls       map[Op]int       // requests
	Throttled   map[Endpoint]int // requests that the limits refused
	Invitations map[Status]int   // by their status now, foreign ones among them
	Mails       int              // e-mails sent, those of CreateForeign apart
	MaxMails    int              // the most that one address got
	Users       int
	Unanswered  int // requests whose connection broke
	Errors      int // requests answered 5xx
}

// Stats returns the totals.
func (s *Sim) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	h := &s.history
	out := Stats{
		Calls: make(map[Op]int), Throttled: make(map[Endpoint]int), Invitations: make(map[Status]int),
		Mails: h.mailed, MaxMails: h.mostMails, Users: len(s.users),
	}
	for op, n := range h.ops {
		out.Calls[op] = n
	}
	for ep, n := range h.throttled {
		out.Throttled[ep] = n
	}
	for i, n := range s.rows.total {
		out.Invitations[statuses[i]] = n
	}
	for _, byStatus := range h.statuses {
		for status, n := range byStatus {
			switch {
			case status == 0:
				out.Unanswered += n
			case status >= http.StatusInternalServerError:
				out.Errors += n
			}
		}
	}
	return out
}
