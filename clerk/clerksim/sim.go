package clerksim

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// Sim is one simulated Clerk instance. It is safe for concurrent use. Inside a
// testing/synctest bubble it must be made in that bubble and closed before the
// bubble ends.
type Sim struct {
	done  chan struct{} // closed by Close: every sleep ends
	close sync.Once
	pipe  pipe

	mu       sync.Mutex
	cfg      Config
	initial  Config // cfg as it was given
	start    time.Time
	dice     *dice
	limiters map[Endpoint]*gate
	rows     rows
	byID     map[string]*invitation
	people   map[string]*person // by key
	users    []*user            // oldest first
	expiry   expiryHeap
	month    string // calendar month of sent
	sent     int    // mails this month, against MailCap
	outages  []Rule
	injected []Rule
	rules    []Rule
	history  history
}

// person is everything known about one address.
type person struct {
	key         string // the address as Clerk keeps it, lower-cased
	user        *user
	blocked     bool
	suppressed  bool          // Clerk sends no mail here, and says nothing
	invitations []*invitation // oldest first
	pending     int
	expired     int
	mails       int
}

// New returns a simulated Clerk, or everything that is wrong with the Config.
func New(cfg Config) (*Sim, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sim{done: make(chan struct{}), cfg: cfg, initial: cfg}
	s.Reset()
	s.pipe.init(s)
	return s, nil
}

// Reset puts the Sim back to where New left it: no invitations, no users, no
// history, untouched limits, the Config's clock, lag and faults. Only the secret
// key stays, and a request that is under way may still take effect afterwards.
func (s *Sim) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.initial
	s.cfg.ClockOffset, s.cfg.Switches.Lag = cfg.ClockOffset, cfg.Switches.Lag
	s.start = time.Now()
	s.dice = newDice(cfg.Seed)
	s.rows, s.users, s.expiry = rows{}, nil, nil
	s.byID, s.people = make(map[string]*invitation), make(map[string]*person)
	s.month, s.sent = "", 0
	s.outages, s.injected, s.rules = nil, nil, slices.Clone(cfg.Rules)
	s.limiters = map[Endpoint]*gate{
		Single: newGate(cfg.Switches.Limiter, cfg.Limits.Single),
		Bulk:   newGate(cfg.Switches.Limiter, cfg.Limits.Bulk),
		Other:  newGate(cfg.Switches.Limiter, cfg.Limits.Other),
	}
	s.history = newHistory(cfg.MaxHistory)
}

// Close ends what the Sim started: requests in flight are dropped without
// taking effect, connections made by DialContext are closed. History and state
// can still be asked for.
func (s *Sim) Close() {
	s.close.Do(func() {
		close(s.done)
		s.pipe.shut()
	})
}

// SetSecretKey changes the key that is let in, as rotating it in the dashboard
// does. Like New it refuses a live key.
func (s *Sim) SetSecretKey(key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.SecretKey = key
	return nil
}

// SetClockOffset sets how far Clerk's clock is ahead of this machine's
// (negative: behind). What is past its expiry by Clerk's new time expires; what
// has expired stays so. Rate limits and the history keep to this machine's clock.
func (s *Sim) SetClockOffset(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.ClockOffset = d
}

// Now is Clerk's time.
func (s *Sim) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tick().Add(s.cfg.ClockOffset)
}

// ClockOffset is how far Clerk's clock is ahead of this machine's.
func (s *Sim) ClockOffset() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.ClockOffset
}

// clerks is Clerk's time at the moment now, in Unix milliseconds.
func (s *Sim) clerks(now time.Time) int64 { return now.Add(s.cfg.ClockOffset).UnixMilli() }

// person returns the record of an address, making it if need be.
func (s *Sim) person(address string) *person {
	key := s.key(address)
	p := s.people[key]
	if p == nil {
		p = &person{key: key}
		s.people[key] = p
	}
	return p
}

// live returns the invitation with an id, unless it has been deleted.
func (s *Sim) live(id string) *invitation {
	if inv := s.byID[id]; inv != nil && inv.status != deleted {
		return inv
	}
	return nil
}

// change moves an invitation to another status.
func (s *Sim) change(inv *invitation, status uint8, now time.Time) {
	s.changeAt(inv, status, s.clerks(now), now.UnixMilli())
}

func (s *Sim) changeAt(inv *invitation, status uint8, updated, changed int64) {
	inv.owner.tally(inv.status, -1)
	s.rows.change(inv, status, updated, changed)
	inv.owner.tally(status, +1)
}

func (p *person) tally(status uint8, n int) {
	switch status {
	case pending:
		p.pending += n
	case expired:
		p.expired += n
	}
}

// tick brings the state up to now and returns it: what is past its expiry
// expires. Every method that reads or writes invitations begins with it. Its
// time never goes back, even when the machine's clock is set back.
func (s *Sim) tick() time.Time {
	now := s.start.Add(time.Since(s.start))
	ms := s.clerks(now)
	for len(s.expiry) > 0 && s.expiry[0].at <= ms {
		e := heap.Pop(&s.expiry).(expiry)
		if e.inv.status == pending {
			s.changeAt(e.inv, expired, e.at, e.at-s.cfg.ClockOffset.Milliseconds())
		}
	}
	return now
}

// sleep waits for d and reports whether the Sim is still open after it. It does
// not end when the client goes away: Clerk finishes what it has received.
func (s *Sim) sleep(d time.Duration) bool {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.done:
		}
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// expiry is when an invitation expires if it is still pending then.
type expiry struct {
	at  int64 // Unix milliseconds of Clerk's clock
	inv *invitation
}

// expiryHeap has the one that is due first on top.
type expiryHeap []expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiry)) }
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = expiry{}
	*h = (*h)[:last]
	return x
}
