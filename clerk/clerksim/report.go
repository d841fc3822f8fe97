package clerksim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Mails is how many e-mails were sent to an address, those of CreateForeign
// apart.
func (s *Sim) Mails(address string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.people[s.key(address)]; p != nil {
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

// Invitations returns every invitation there ever was, oldest first; one that was
// deleted has StatusDeleted.
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

// ByAddress returns every invitation there ever was for an address, oldest first.
func (s *Sim) ByAddress(address string) []Invitation {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	p := s.people[s.key(address)]
	if p == nil {
		return nil
	}
	out := make([]Invitation, len(p.invitations))
	for i, inv := range p.invitations {
		out[i] = s.snapshot(inv)
	}
	return out
}

// Person is what Clerk knows of one address, apart from invitations.
type Person struct {
	EmailAddress string `json:"email_address"`     // lower-cased, as Clerk keeps it
	UserID       string `json:"user_id,omitempty"` // empty if they are no user
	Blocked      bool   `json:"blocked,omitempty"`
	Suppressed   bool   `json:"suppressed,omitempty"`
	Mails        int    `json:"mails"` // those of foreign invitations apart
}

// People returns all people who were ever invited or named, by address.
func (s *Sim) People() []Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Person
	for _, p := range s.people {
		one := Person{EmailAddress: p.key, Blocked: p.blocked, Suppressed: p.suppressed, Mails: p.mails}
		if p.user != nil {
			one.UserID = p.user.id
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Person) int { return strings.Compare(a.EmailAddress, b.EmailAddress) })
	return out
}

// Config returns the Config that New was given, with its defaults filled in.
func (s *Sim) Config() Config { return s.initial }

// Stats are totals since New or Reset.
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
		Calls: maps.Clone(h.ops), Throttled: maps.Clone(h.throttled), Invitations: make(map[Status]int),
		Mails: h.mailed, MaxMails: h.mostMails, Users: len(s.users),
	}
	for i, n := range s.rows.total {
		if i == deleted && n == 0 {
			continue
		}
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
