package api

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Clerk's page sizes, and how far a list can be paged through.
const (
	defaultLimit = 10
	maxLimit     = 500
	maxOffset    = 1_000_000
)

// listing is what GET /v1/invitations asks for.
type listing struct {
	ledger.Browsing
	query     string
	paginated bool
}

// list is GET /v1/invitations.
func (x *exchange) list() *answer {
	l, refused := parseListing(x.r.URL.Query())
	if refused != nil {
		return refused
	}
	ctx, cancel := context.WithTimeout(x.ctx, storeTime)
	defer cancel()
	var (
		records []ledger.Record
		total   int64
		err     error
	)
	if l.query != "" {
		records, total, err = x.search(ctx, l)
	} else {
		records, total, err = x.page(ctx, l)
	}
	if errors.Is(err, errBusy) {
		return busy()
	}
	if errors.Is(err, context.DeadlineExceeded) && x.ctx.Err() == nil {
		return refuse(http.StatusServiceUnavailable, codeUnavailable, "The list is too long",
			"Reading it took more than "+storeTime.String()+". Name fewer statuses, order by -created_at, or page less far.")
	}
	if err != nil {
		return unavailable(err)
	}
	list, err := x.show(ctx, records)
	if err != nil {
		return unavailable(err)
	}
	x.entry.Invites = len(list)
	if l.paginated {
		return ok(invitationPage{list, total})
	}
	return ok(list)
}

// lightReads is how many records a list may read outside of the places for what takes
// longer: a page of the newest takes as many as it shows, and some more.
const lightReads = 5000

var errBusy = errors.New("too much is under way")

// page reads a page. What would take many reads waits for a place.
func (x *exchange) page(ctx context.Context, l listing) ([]ledger.Record, int64, error) {
	counted := x.token.Scope == access.Own && l.paginated // Only for an instance the counts are kept.
	if l.Order == ledger.ByCreation && l.Descending && l.Offset <= maxLimit && !counted {
		light := l
		light.Most = lightReads
		records, total, err := x.browse(ctx, light)
		if !errors.Is(err, ledger.ErrManyReads) {
			return records, total, err
		}
	}
	release := x.enter(x.heavy)
	if release == nil {
		return nil, 0, errBusy
	}
	defer release()
	return x.browse(ctx, l)
}

// browse counts by state and reads one page.
func (x *exchange) browse(ctx context.Context, l listing) ([]ledger.Record, int64, error) {
	if x.token.Scope == access.Own {
		return x.cfg.Ledger.BrowseOwned(ctx, x.token.Name, l.Browsing, l.paginated)
	}
	o, err := x.cfg.Ledger.Overview(ctx, ledger.Now)
	if err != nil {
		return nil, 0, err
	}
	var total int64
	for _, s := range l.States {
		total += o.States[s]
	}
	records, err := x.cfg.Ledger.Browse(ctx, l.Browsing)
	return records, total, err
}

// search finds what the query names: a whole address (at most its newest 32
// invites), or an id, ours or Clerk's.
func (x *exchange) search(ctx context.Context, l listing) ([]ledger.Record, int64, error) {
	var found []ledger.Record
	if strings.Contains(l.query, "@") {
		if email, err := tasks.ParseEmail(l.query); err == nil {
			if found, err = x.cfg.Ledger.FindAddress(ctx, email); err == nil {
				found, err = x.seen(ctx, found)
			}
			if err != nil {
				return nil, 0, err
			}
		}
	} else {
		r, ok, err := x.record(ctx, l.query)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			found = append(found, r)
		}
	}
	found = slices.DeleteFunc(found, func(r ledger.Record) bool { return !slices.Contains(l.States, r.State) })
	slices.SortFunc(found, func(a, b ledger.Record) int {
		c := a.CreatedAt.Compare(b.CreatedAt)
		if l.Order == ledger.ByExpiry {
			c = a.ExpiresAt().Compare(b.ExpiresAt())
		}
		c = cmp.Or(c, cmp.Compare(a.Position, b.Position))
		if l.Descending {
			return -c
		}
		return c
	})
	from := min(l.Offset, len(found))
	return found[from:min(from+l.Limit, len(found))], int64(len(found)), nil
}

var orders = map[string]ledger.Order{
	"created_at": ledger.ByCreation, "email_address": ledger.ByAddress, "expires_at": ledger.ByExpiry,
}

// parseListing reads the parameters, which are Clerk's.
func parseListing(q url.Values) (listing, *answer) {
	l := listing{Browsing: ledger.Browsing{
		States: statesOf(pending, accepted, expired), Descending: true, Limit: defaultLimit,
	}}
	if refused := refuseUnknown(q, "status", "query", "order_by", "paginated", "limit", "offset"); refused != nil {
		return l, refused
	}
	if statuses := q["status"]; len(statuses) > 0 {
		for _, s := range statuses {
			if !slices.Contains([]string{pending, accepted, revoked, expired}, s) {
				return l, refuseParam(codeValue, "status", "must be one of pending, accepted, revoked, expired.")
			}
		}
		l.States = statesOf(statuses...)
	}
	l.query = strings.TrimSpace(q.Get("query"))
	if q.Has("order_by") {
		// An unescaped + arrives as a blank; without a sign + is implied.
		v := q.Get("order_by")
		name := strings.TrimLeft(v, "+- ")
		order, known := orders[name]
		if !known || len(v)-len(name) > 1 {
			return l, refuseParam(codeValue, "order_by", "must be one of created_at, email_address, expires_at, with + or - before it.")
		}
		l.Order, l.Descending = order, strings.HasPrefix(v, "-")
	}
	if q.Has("paginated") {
		var err error
		if l.paginated, err = strconv.ParseBool(q.Get("paginated")); err != nil {
			return l, refuseParam(codeValue, "paginated", "must be a boolean.")
		}
	}
	var refused *answer
	if l.Limit, refused = numberParam(q, "limit", l.Limit, 1, maxLimit); refused != nil {
		return l, refused
	}
	l.Offset, refused = numberParam(q, "offset", 0, 0, maxOffset)
	return l, refused
}

func numberParam(q url.Values, name string, otherwise, least, most int) (int, *answer) {
	if !q.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < least || n > most {
		return 0, refuseParam(codeValue, name, "must be an integer from "+strconv.Itoa(least)+" to "+strconv.Itoa(most)+".")
	}
	return n, nil
}

// refuseUnknown complains about the first parameter that is not known.
func refuseUnknown(q url.Values, known ...string) *answer {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(known, name) {
			return refuseParam(codeUnknown, shownParam(name), "is not a valid parameter for this request.")
		}
	}
	return nil
}
