package clerksim

import (
	"container/heap"
	"net/http"
	"slices"
	"time"
)

// culprits are the members of a create call that have the same thing wrong with
// them, by index.
type culprits struct {
	blocked, users, equal, duplicates []int
}

func (c *culprits) any() bool {
	return len(c.blocked)+len(c.users)+len(c.equal)+len(c.duplicates) > 0
}

// create creates the invitations of a single or a bulk call: all, or none and
// the reason.
func (x *request) create(items []item, now time.Time) *answer {
	s, bulk := x.sim, x.op == OpBulkCreate
	bad, good := s.inspect(items, bulk)
	if bad.any() {
		if bulk && s.cfg.Switches.BulkPartial {
			for _, i := range good {
				x.commit(items[i], now)
			}
		}
		return s.refuseItems(items, bad, bulk)
	}
	out := make([]wireInvitation, len(items))
	for i, it := range items {
		out[i] = s.wire(x.commit(it, now).now())
	}
	if !bulk {
		return &answer{status: http.StatusOK, value: out[0]}
	}
	if !s.cfg.Switches.BulkInOrder {
		x.dice.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return &answer{status: http.StatusOK, value: out}
}

// inspect sorts the items into bad ones, by what is wrong, and good ones.
func (s *Sim) inspect(items []item, bulk bool) (bad culprits, good []int) {
	sw := &s.cfg.Switches
	seen := make(map[*person]bool, len(items))
	for i, it := range items {
		p := s.person(it.email)
		bypass := it.ignoreExisting && (sw.UserBypass == UserBypassAlways || sw.UserBypass == UserBypassDocumented && !bulk)
		switch {
		case p.blocked:
			bad.blocked = append(bad.blocked, i)
		case p.user != nil && !bypass:
			bad.users = append(bad.users, i)
		case !it.ignoreExisting && (p.pending > 0 || sw.DuplicateSeesExpired && p.expired > 0):
			bad.duplicates = append(bad.duplicates, i)
		case !it.ignoreExisting && seen[p] && sw.EqualInBody != EqualAccepted:
			bad.equal = append(bad.equal, i)
		default:
			good = append(good, i)
		}
		seen[p] = true
	}
	return bad, good
}

// refuseItems is the error for bad items. Clerk answers with one kind of error
// at a time.
func (s *Sim) refuseItems(items []item, bad culprits, bulk bool) *answer {
	sw := &s.cfg.Switches
	addresses := func(list []int) []string {
		var out []string
		for _, i := range list {
			if a := s.stored(items[i].email); !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
		return out
	}
	switch {
	case len(bad.blocked) > 0:
		meta := name(sw.BlockedNaming, "identifiers", addresses(bad.blocked), nil)
		return s.refuse(http.StatusForbidden, codeNotAllowed, "Access not allowed.", "The identifier is not allowed access.", meta)
	case len(bad.users) > 0 && !bulk:
		return s.refuseParam(codeIdentifierExists, "email_address", "is taken. Please try another.")
	case len(bad.users) > 0:
		return s.refuseUsers(addresses(bad.users))
	case len(bad.duplicates) > 0 || sw.EqualInBody == EqualDuplicate:
		return s.duplicate(addresses(slices.Concat(bad.duplicates, bad.equal)))
	}
	return s.refuseParam(codeValueInvalid, "email_address", "appears more than once.")
}

func (s *Sim) refuseUsers(addresses []string) *answer {
	sw := &s.cfg.Switches
	status := http.StatusUnprocessableEntity
	switch sw.BulkUser {
	case BulkUserDuplicate:
		return s.duplicate(addresses)
	case BulkUser400:
		status = http.StatusBadRequest
	}
	p := paramProblem(codeIdentifierExists, "email_address", "is taken. Please try another.")
	p.Meta = name(sw.BulkUserNaming, "email_addresses", addresses, p.Meta)
	return s.refuseAll(status, p)
}

func (s *Sim) duplicate(addresses []string) *answer {
	return s.refuse(http.StatusBadRequest, codeDuplicateRecord, "duplicate invitation",
		"There are already pending invitations for the following email addresses.", map[string]any{"email_addresses": addresses})
}

// name adds the culprits to the meta of an error, as far as they are named.
func name(n Naming, key string, addresses []string, meta map[string]any) map[string]any {
	switch {
	case n == Unnamed:
		return meta
	case n == NamedFirst:
		addresses = addresses[:1]
	}
	if meta == nil {
		meta = make(map[string]any)
	}
	meta[key] = addresses
	return meta
}

// commit creates one invitation and sends its mail.
func (x *request) commit(it item, now time.Time) *invitation {
	s := x.sim
	inv := s.invite(it, now, func() string { return s.newID("inv", now, x.dice) })
	inv.caller = x.r.UserAgent()
	x.call.Created++
	x.call.Made = append(x.call.Made, inv.id)
	s.mail(inv, now)
	return inv
}

// invite adds one invitation to the state.
func (s *Sim) invite(it item, now time.Time, newID func() string) *invitation {
	p := s.person(it.email)
	ms := s.clerks(now)
	inv := &invitation{
		id: newID(), email: s.stored(it.email), owner: p,
		metadata: it.metadata, redirectURL: it.redirectURL, templateSlug: it.templateSlug,
		notify: it.notify, ignoreExisting: it.ignoreExisting,
		created: ms, updated: ms, expiresAt: s.clerks(now.AddDate(0, 0, it.expiresInDays)),
		made: now.UnixMilli(), changed: now.UnixMilli(),
	}
	for s.byID[inv.id] != nil {
		inv.id = newID()
	}
	s.byID[inv.id] = inv
	s.rows.add(inv)
	heap.Push(&s.expiry, expiry{inv.expiresAt, inv})
	p.invitations = append(p.invitations, inv)
	p.tally(pending, +1)
	return inv
}
