package clerksim

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// Sim is one simulated Clerk instance. It is safe for concurrent use. To be dialed
// inside a testing/synctest bubble it must be made in that bubble and closed before
// the bubble ends; ServeHTTP may be called in a bubble and outside of it.
type Sim struct {
	done  chan struct{} // closed by Close
	close sync.Once
	pipe  pipe
	rests rests

	mu       sync.Mutex
	cfg      Config
	initial  Config // cfg as it was given
	start    time.Time
	latest   time.Time // that now has returned
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
	s.start = s.now()
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
		s.rests.end()
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
// expires. Every method that reads or writes invitations begins with it.
func (s *Sim) tick() time.Time {
	now := s.now()
	ms := s.clerks(now)
	for len(s.expiry) > 0 && s.expiry[0].at <= ms {
		e := heap.Pop(&s.expiry).(expiry)
		if e.inv.status == pending {
			s.changeAt(e.inv, expired, e.at, e.at-s.cfg.ClockOffset.Milliseconds())
		}
	}
	return now
}

// now never goes back, even when the machine's clock is set back. It goes by the
// clock's hands: a bubble's monotonic clock and that outside of it have nothing in
// common.
func (s *Sim) now() time.Time {
	if now := time.Now().Round(0); now.After(s.latest) {
		s.latest = now
	}
	return s.latest
}

// sleep waits for d and reports whether the Sim is still open after it. It does
// not end when the client goes away: Clerk finishes what it has received.
func (s *Sim) sleep(d time.Duration) bool {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		ended, over := s.rests.begin()
		defer over()
		select {
		case <-t.C:
		case <-ended:
		}
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// rests are the sleeps that Close ends. Each has a channel of its own: one that was
// made outside of a bubble would stop the bubble's clock.
type rests struct {
	mu    sync.Mutex
	ended bool
	all   map[chan struct{}]struct{}
}

func (r *rests) begin() (ended <-chan struct{}, over func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(chan struct{})
	if r.ended {
		close(c)
		return c, func() {}
	}
	if r.all == nil {
		r.all = map[chan struct{}]struct{}{}
	}
	r.all[c] = struct{}{}
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.all, c)
	}
}

func (r *rests) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for c := range r.all {
		close(c)
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
