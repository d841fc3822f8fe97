package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	defaultEvents = 100
	eventsAtOnce  = 1000 // that are read in a round trip
	eventsRead    = 5000 // that are read for one answer, perhaps all of them for nothing
)

// reading is what GET /v1/events asks for. A nil slice asks for all.
type reading struct {
	after   string
	limit   int
	wait    time.Duration
	since   time.Time
	states  []string
	ids     []string
	imports []string
}

// eventPage is a part of the stream.
type eventPage struct {
	Data []tasks.EventJSON `json:"data"`
	Next string            `json:"next"` // After which the next request reads on, also if there is no data.
	More bool              `json:"more"` // There is more to read now.
}

// events is GET /v1/events: what came after a position, by now or within ?wait=.
func (x *exchange) events() *answer {
	r, refused := x.parseReading(x.r.URL.Query())
	if refused != nil {
		return refused
	}
	var page eventPage
	look := func(ctx context.Context) (_ bool, err error) {
		page, err = x.readEvents(ctx, r)
		r.after = page.Next
		return len(page.Data) > 0 || page.More, err
	}
	ctx, cancel := context.WithTimeout(x.ctx, storeTime)
	defer cancel()
	done, err := look(ctx)
	if err == nil && !done {
		err = x.until(r.wait, look)
	}
	if errors.Is(err, ledger.ErrPositionGone) {
		return refuse(http.StatusGone, codePositionGone, "position gone",
			"There is no event at this position any more: it is too long ago, or Redis was emptied or set back. Some events after it may be missing. "+
				"Read on with after=0, the oldest event that is kept; GET /v1/imports/{id} and GET /v1/invites/{id} say how things stand.")
	}
	if err != nil {
		return unavailable(err)
	}
	x.entry.Invites = len(page.Data)
	return ok(page)
}

// readEvents reads until the page is full, the stream ends, or it has read so much that
// the client should ask again.
func (x *exchange) readEvents(ctx context.Context, r reading) (page eventPage, err error) {
	page.Data = []tasks.EventJSON{}
	if page.Next, err = x.cfg.Ledger.EventPosition(ctx, r.after); err != nil {
		return page, err
	}
	atOnce := eventsAtOnce
	if x.token.Scope == access.Instance && r.since.IsZero() && r.states == nil && r.ids == nil && r.imports == nil {
		atOnce = r.limit + 1
	}
	from := laterPosition(page.Next, r.since)
	for read := 0; read < eventsRead; read += atOnce {
		events, err := x.cfg.Ledger.EventsAfter(ctx, from, atOnce)
		if err != nil {
			return page, err
		}
		wanted, err := x.wanted(ctx, r, events)
		if err != nil {
			return page, err
		}
		for n, e := range events {
			if wanted[n] {
				page.Data = append(page.Data, e.JSON())
			}
			from, page.Next = e.Position, e.Position
			if len(page.Data) == r.limit {
				page.More = n+1 < len(events) || len(events) == atOnce
				return page, nil
			}
		}
		if len(events) < atOnce {
			return page, nil
		}
	}
	page.More = true
	return page, nil
}

// wanted says which of the events are asked for, and exist for the token: those of what
// tokens of its name have asked for.
func (x *exchange) wanted(ctx context.Context, r reading, events []tasks.Event) ([]bool, error) {
	owners := make([]string, len(events))
	if x.token.Scope != access.Instance {
		records := make([]ledger.Record, len(events))
		for n, e := range events {
			records[n].Invite.ID, records[n].Invite.ImportID = e.InviteID, e.ImportID
		}
		var err error
		if owners, err = x.cfg.Ledger.Owners(ctx, records...); err != nil {
			return nil, err
		}
	}
	wanted := make([]bool, len(events))
	for n, e := range events {
		wanted[n] = x.token.Sees(owners[n]) && !e.At.Before(r.since) &&
			(r.states == nil || slices.Contains(r.states, e.To)) &&
			(r.imports == nil || slices.Contains(r.imports, e.ImportID)) &&
			(r.ids == nil || slices.Contains(r.ids, e.InviteID))
	}
	return wanted, nil
}

// laterPosition is the position, or the last one before the time if that is later.
func laterPosition(position string, t time.Time) string {
	millis, _, _ := strings.Cut(position, "-")
	if at, err := strconv.ParseInt(millis, 10, 64); err != nil || t.IsZero() || t.UnixMilli()-1 <= at {
		return position
	}
	return strconv.FormatInt(t.UnixMilli()-1, 10) + "-18446744073709551615"
}

// positions are those of the stream, and "0" and "$".
var positions = regexp.MustCompile(`^([0$]|[0-9]{1,16}-[0-9]{1,16})$`)

// parseReading reads the parameters, which are named as the flags of inviteq events are.
func (x *exchange) parseReading(q url.Values) (r reading, refused *answer) {
	if refused = refuseUnknown(q, "after", "limit", "wait", "id", "import_id", "state", "since"); refused != nil {
		return r, refused
	}
	r.after = "0"
	if q.Has("after") {
		r.after = q.Get("after")
	}
	if !positions.MatchString(r.after) || len(q["after"]) > 1 {
		return r, refuseParam(codeFormat, "after", `must be next of an earlier answer, an event's position, 0 for the oldest event that is kept, or $ for new ones only.`)
	}
	if r.limit, refused = numberParam(q, "limit", defaultEvents, 1, maxLimit); refused != nil {
		return r, refused
	}
	if r.wait, refused = waitParam(q, 0); refused != nil {
		return r, refused
	}
	for _, s := range q["state"] {
		if _, err := tasks.ParseState(s); err != nil && s != tasks.ImportCompleted {
			return r, refuseParam(codeValue, "state", "must be a state, or "+tasks.ImportCompleted+".")
		}
	}
	r.states = q["state"]
	for _, param := range []string{"id", "import_id"} {
		if q.Has(param) && (tasks.CheckID(q.Get(param)) != nil || len(q[param]) > 1) {
			return r, refuseParam(codeFormat, param, "must be an id.")
		}
	}
	if name := q.Get("import_id"); name != "" {
		r.imports = []string{name, x.importName(name)}
	}
	if id := q.Get("id"); id != "" {
		made, err := x.inviteID(x.ctx, idempotencyKey{id, x.token})
		if err != nil {
			return r, unavailable(err)
		}
		r.ids = []string{id, made}
	}
	if q.Has("since") {
		var err error
		if r.since, err = time.Parse(time.RFC3339, q.Get("since")); err != nil {
			return r, refuseParam(codeFormat, "since", "must be a time such as 2026-05-04T09:00:00Z.")
		}
	}
	return r, nil
}
