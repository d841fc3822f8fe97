package clerksim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The methods here are the rest of the world: people who sign up, an operator in
// the dashboard, another program with the same key. They need no secret key,
// take no time and are not in the call history.

// ErrNotFound is returned for an invitation, address or user that is not there.
var ErrNotFound = errors.New("clerksim: not found")

// ErrNotPending is returned when an invitation's status does not allow the change.
var ErrNotPending = errors.New("clerksim: the invitation is not pending")

// AddUser makes a person with this address a user, as if they had signed up
// without an invitation. A user who exists already stays as they are.
func (s *Sim) AddUser(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUser(s.person(address), s.tick())
}

func (s *Sim) addUser(p *person, now time.Time) {
	if p.user != nil {
		return
	}
	dice := s.dice.roll("user", p.key)
	p.user = &user{
		id: s.newID("user", now, dice), emailID: s.newID("idn", now, dice),
		email: p.key, created: s.clerks(now), made: now.UnixMilli(),
	}
	s.users = append(s.users, p.user)
}

// DeleteUser undoes AddUser and the user that Accept made.
func (s *Sim) DeleteUser(address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.person(address)
	if p.user == nil {
		return ErrNotFound
	}
	s.users = slices.DeleteFunc(s.users, func(u *user) bool { return u == p.user })
	p.user = nil
	return nil
}

// BlockAddress puts an address on the block-list: creates are refused.
func (s *Sim) BlockAddress(address string) { s.block(address, true) }

// UnblockAddress takes it off again.
func (s *Sim) UnblockAddress(address string) { s.block(address, false) }

func (s *Sim) block(address string, blocked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person(address).blocked = blocked
}

// Suppress puts an address on Clerk's suppression list, as a hard bounce or a spam
// report does: it can be invited, is sent no mail, and no answer tells.
func (s *Sim) Suppress(address string) { s.suppress(address, true) }

// Unsuppress takes it off again.
func (s *Sim) Unsuppress(address string) { s.suppress(address, false) }

func (s *Sim) suppress(address string, suppressed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.person(address).suppressed = suppressed
}

// Accept makes the person follow the link: the invitation becomes accepted and
// they become a user. It takes an invitation's id, or an address, whose newest
// pending invitation is meant.
func (s *Sim) Accept(idOrAddress string) error {
	return s.end(idOrAddress, accepted, func(inv *invitation, now time.Time) { s.addUser(inv.owner, now) })
}

// RevokeInDashboard revokes an invitation without a call. It takes an
// invitation's id, or an address, whose newest pending invitation is meant.
func (s *Sim) RevokeInDashboard(idOrAddress string) error {
	return s.end(idOrAddress, revoked, func(*invitation, time.Time) {})
}

// Expire makes an invitation expire now instead of in its time. It takes an
// invitation's id, or an address, whose newest pending invitation is meant.
func (s *Sim) Expire(idOrAddress string) error {
	return s.end(idOrAddress, expired, func(inv *invitation, now time.Time) { inv.expiresAt = s.clerks(now) })
}

func (s *Sim) end(idOrAddress string, status uint8, also func(*invitation, time.Time)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	inv, err := s.find(idOrAddress)
	if err != nil {
		return err
	}
	if inv.status != pending {
		return ErrNotPending
	}
	s.change(inv, status, now)
	also(inv, now)
	return nil
}

// Delete deletes an invitation for good, as an operator does to erase a person's
// data. It takes the id of one of any status, or an address, whose newest pending
// invitation is meant. The history still has it, with StatusDeleted.
func (s *Sim) Delete(idOrAddress string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	inv, err := s.find(idOrAddress)
	if err != nil {
		return err
	}
	s.change(inv, deleted, now)
	return nil
}

func (s *Sim) find(idOrAddress string) (*invitation, error) {
	if inv := s.live(idOrAddress); inv != nil {
		return inv, nil
	}
	if p := s.people[s.key(idOrAddress)]; p != nil {
		for _, inv := range slices.Backward(p.invitations) {
			if inv.status == pending {
				return inv, nil
			}
		}
	}
	return nil, ErrNotFound
}

// CreateForeign invites an address as another program with the same key would,
// with ignore_existing and without spending a limit (SpendForeign does that).
// Its mail is not counted by Mails.
func (s *Sim) CreateForeign(address string) (Invitation, error) {
	body, err := json.Marshal(map[string]string{"email_address": address})
	if err != nil {
		return Invitation{}, err
	}
	return s.CreateForeignFrom(string(body))
}

// CreateForeignFrom does the same with all parameters of CreateInvitation, in
// JSON, so that another program's invitation may look just like one of ours.
func (s *Sim) CreateForeignFrom(body string) (Invitation, error) {
	var object map[string]json.RawMessage
	if !decode([]byte(body), &object) {
		return Invitation{}, errors.New("clerksim: the parameters of an invitation are not a JSON object")
	}
	it, bad := parseItem(object, false)
	if len(bad) > 0 {
		return Invitation{}, fmt.Errorf("clerksim: %s", bad[0].LongMessage)
	}
	it.ignoreExisting = true
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	dice := s.dice.roll("foreign", it.email)
	inv := s.invite(it, now, func() string { return s.newID("inv", now, dice) })
	inv.foreign = true
	s.mail(inv, now)
	return s.snapshot(inv), nil
}

// SpendForeign makes n requests to an endpoint at once, as another program with
// the same key, and returns how many of them the limits admitted. They are not
// in the history, and Peak does not see them.
func (s *Sim) SpendForeign(ep Endpoint, n int) (admitted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tick()
	for range n {
		if _, ok := s.admit(ep, now); ok {
			admitted++
		}
	}
	return admitted
}

// SetLag changes how far reads are behind writes.
func (s *Sim) SetLag(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Switches.Lag = max(0, d)
}
