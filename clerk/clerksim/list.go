package clerksim

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// listing is what a read of a list asks for.
type listing struct {
	want      statusSet
	query     string
	orderBy   string // created_at, email_address or expires_at
	desc      bool
	limit     int
	offset    int
	paginated bool
}

// view is what a read sees: the world at a moment (Unix milliseconds), which is
// the current one or, when reads lag, an earlier one.
type view struct {
	at      int64
	current bool
}

// list answers GET /invitations.
func (s *Sim) list(q url.Values, v view, dice *rand.Rand) *answer {
	l, bad := s.parseListing(q)
	if bad != nil {
		return bad
	}
	page, total := s.page(l, v, dice)
	out := make([]wireInvitation, len(page))
	for i, inv := range page {
		out[i] = s.wire(inv)
	}
	if l.paginated {
		return &answer{status: http.StatusOK, value: &wireInvitationPage{Data: out, TotalCount: total}}
	}
	return &answer{status: http.StatusOK, value: out}
}

func (s *Sim) parseListing(q url.Values) (l listing, bad *answer) {
	l = listing{want: notRevoked, orderBy: "created_at", desc: true}
	q = s.withoutEmpty(q)
	if l.limit, l.offset, bad = s.parsePage(q); bad != nil {
		return l, bad
	}
	for name, values := range q {
		v := values[0]
		switch name {
		case "limit", "offset":
		case "status":
			l.want = 0
			for _, v := range values {
				i := slices.Index(statuses[:deleted], Status(v))
				if i < 0 {
					return l, s.refuseParam(codeValueInvalid, "status", "must be one of pending, accepted, revoked, expired.")
				}
				l.want |= 1 << i
			}
		case "query":
			l.query = v
		case "order_by":
			// An unescaped + arrives as a blank; without a sign + is implied.
			l.orderBy = strings.TrimLeft(v, "+- ")
			l.desc = strings.HasPrefix(v, "-")
			if len(v)-len(l.orderBy) > 1 || !slices.Contains([]string{"created_at", "email_address", "expires_at"}, l.orderBy) {
				return l, s.refuseParam(codeValueInvalid, "order_by", "must be one of created_at, email_address, expires_at, with + or - before it.")
			}
		case "paginated":
			var err error
			if l.paginated, err = strconv.ParseBool(v); err != nil {
				return l, s.refuseParam(codeValueInvalid, "paginated", "must be a boolean.")
			}
		default:
			if bad := s.unknownQuery(name); bad != nil {
				return l, bad
			}
		}
	}
	return l, nil
}

// unknownQuery is the answer to a parameter in the query that does not exist, or
// nil if that does not matter.
func (s *Sim) unknownQuery(name string) *answer {
	if name == versionQuery || s.cfg.Switches.UnknownQuery == Ignored {
		return nil
	}
	return s.refuseParam(codeParamUnknown, name, "is not a valid parameter for this request.")
}

// withoutEmpty returns a query without the parameters that are empty, if those do
// not matter.
func (s *Sim) withoutEmpty(q url.Values) url.Values {
	if s.cfg.Switches.EmptyQuery == Ignored {
		for name, values := range q {
			if q[name] = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(q[name]) == 0 {
				delete(q, name)
			}
		}
	}
	return q
}

// parsePage reads limit (1–500, default 10) and offset.
func (s *Sim) parsePage(q url.Values) (limit, offset int, bad *answer) {
	limit = 10
	var err error
	if q.Has("limit") {
		if limit, err = strconv.Atoi(q.Get("limit")); err != nil || limit < 1 || limit > 500 {
			return 0, 0, s.refuseParam(codeValueInvalid, "limit", "must be an integer between 1 and 500.")
		}
	}
	if q.Has("offset") {
		if offset, err = strconv.Atoi(q.Get("offset")); err != nil || offset < 0 {
			return 0, 0, s.refuseParam(codeValueInvalid, "offset", "must be an integer of at least 0.")
		}
	}
	return limit, offset, nil
}

// page returns one page of a list and how many invitations match in all.
func (s *Sim) page(l listing, v view, dice *rand.Rand) (page []seen, total int) {
	if v.current && l.query == "" && l.orderBy == "created_at" && !s.cfg.Switches.UnstableTies {
		for inv := range s.rows.page(l.want, l.desc, l.offset) {
			page = append(page, inv.now())
			if len(page) == l.limit {
				break
			}
		}
		return page, s.rows.matching(l.want)
	}
	all := s.matches(l, v)
	l.sort(all, s.cfg.Switches.UnstableTies, dice)
	lo := min(l.offset, len(all))
	return all[lo:min(lo+l.limit, len(all))], len(all)
}

// matches returns all invitations that a list asks for. An exact query looks
// them up, all else visits every invitation.
func (s *Sim) matches(l listing, v view) []seen {
	query, candidates := s.cfg.Switches.Query, s.rows.list
	lower := strings.ToLower(l.query)
	if l.query != "" && query == QueryExact {
		candidates = nil
		if p := s.people[s.key(l.query)]; p != nil {
			candidates = p.invitations
		} else if inv := s.byID[l.query]; inv != nil {
			candidates = []*invitation{inv}
		}
	}
	var out []seen
	for _, inv := range candidates {
		switch {
		case query == QueryPrefix && !strings.HasPrefix(inv.owner.key, lower) && !strings.HasPrefix(inv.id, l.query):
		case query == QuerySubstring && !strings.Contains(inv.owner.key, lower) && !strings.Contains(inv.id, l.query):
		default:
			if got, ok := inv.at(v.at); ok && l.want.has(got.status) {
				out = append(out, got)
			}
		}
	}
	return out
}

// sort orders invitations as asked. Among equal keys the id decides, or chance.
func (l listing) sort(all []seen, unstable bool, dice *rand.Rand) {
	key := func(a, b seen) int {
		switch l.orderBy {
		case "email_address":
			return strings.Compare(a.owner.key, b.owner.key)
		case "expires_at":
			return cmp.Compare(a.expiresAt, b.expiresAt)
		}
		return cmp.Compare(a.created, b.created)
	}
	if unstable {
		dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	slices.SortStableFunc(all, func(a, b seen) int {
		order := key(a, b)
		if !unstable {
			order = cmp.Or(order, strings.Compare(a.id, b.id))
		}
		if l.desc {
			return -order
		}
		return order
	})
}
