package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// importView is an import as the pages show it.
type importView struct {
	ledger.Import
	Now  time.Time
	ETA  time.Time // When its last invite will be sent, at the current rate; zero when none waits.
	Halt string    // What is paused, so that there is no ETA: "the import", or "the import lane".
}

// Created is when the import was begun.
func (i importView) Created() time.Time { return time.UnixMilli(i.CreatedAt) }

// Halted reports whether a person can let it go on.
func (i importView) Halted() bool {
	return i.Standing() == tasks.ImportPaused || i.Standing() == tasks.ImportHeld
}

// Settled is how many of its invites are not open any more.
func (i importView) Settled() int64 { return i.Total - i.Open() }

// Percent is the share of those, and 100 only when all are.
func (i importView) Percent() int64 {
	if i.Total == 0 {
		return 100
	}
	return i.Settled() * 100 / i.Total
}

// share is a part of a bar: a state, where it begins and how long it is, in
// thousandths.
type share struct {
	State tasks.State
	Count int64
	X, W  float64
}

// barOrder is how states follow each other in a bar: what is done first.
var barOrder = []tasks.State{
	tasks.Accepted, tasks.Pending, tasks.Expired, tasks.Revoked, tasks.Canceled, tasks.Rejected,
	tasks.Failed, tasks.Parked, tasks.Unknown, tasks.Sending, tasks.Queued,
}

// Shares are the parts of the import's bar.
func (i importView) Shares() []share {
	var all []share
	x := 0.0
	for _, s := range barOrder {
		if n := i.States[s]; n > 0 && i.Total > 0 {
			w := 1000 * float64(n) / float64(i.Total)
			all = append(all, share{s, n, x, w})
			x += w
		}
	}
	return all
}

// imports returns the newest imports, at most show of the newest read: those that
// run come first.
func (h *Handler) imports(ctx context.Context, o ledger.Overview, read, show int) ([]importView, error) {
	ids, _, err := h.cfg.Ledger.Imports(ctx, 0, read)
	if err != nil {
		return nil, err
	}
	var all []importView
	for _, id := range ids {
		i, err := h.loadImport(ctx, o, id)
		if isNotFound(err) {
			continue // It was trimmed just now.
		}
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	slices.SortStableFunc(all, func(a, b importView) int {
		runs := func(i importView) int { return int(min(1, i.Open())) }
		return runs(b) - runs(a)
	})
	return all[:min(show, len(all))], nil
}

func (h *Handler) loadImport(ctx context.Context, o ledger.Overview, id string) (importView, error) {
	i, err := h.cfg.Ledger.Import(ctx, id)
	if err != nil {
		return importView{}, err
	}
	eta, err := h.cfg.Ledger.ImportETA(ctx, o.At, i)
	v := importView{Import: i, Now: o.At, ETA: eta}
	if _, paused := o.Paused[tasks.Import]; i.Standing() == tasks.ImportPaused {
		v.Halt = "the import"
	} else if paused && i.States[tasks.Queued] > 0 {
		v.Halt = "the import lane"
	}
	return v, err
}

// rowsPage is a part of an import's rows.
type rowsPage struct {
	Rows []row
	Next string // the address of the next page; "" after the last
	From string // the cursor of this page
}

type row struct {
	Number int // the line of the list, or the place in the import
	ledger.Record
	ETA time.Time
}

const (
	rowsAPage   = 50
	rowsAtOnce  = 500
	rowsScanned = 20_000                // in search of a state, before a page stays short
	searchTime  = 50 * time.Millisecond // for that, too
)

// rows returns the rows of an import in a state (nil: all), in the order of its
// file, from a position on.
func (h *Handler) rows(ctx context.Context, i importView, state *tasks.State, from int) (rowsPage, error) {
	l := h.cfg.Ledger
	p := rowsPage{From: strconv.Itoa(from)}
	if state != nil && i.States[*state] == 0 {
		return p, nil
	}
	at, began := from, time.Now()
	for at-from < rowsScanned && time.Since(began) < searchTime && len(p.Rows) < rowsAPage {
		n := rowsAtOnce
		if state == nil {
			n = rowsAPage
		}
		ids, err := l.Members(ctx, tasks.BulkCreate{ImportID: i.ID, From: at, Count: n})
		if err != nil {
			return p, err
		}
		if len(ids) == 0 {
			return h.withETAs(ctx, i.Now, p)
		}
		records, err := l.Get(ctx, ids...)
		if err != nil {
			return p, err
		}
		position := make(map[string]int, len(ids))
		for k, id := range ids {
			position[id] = at + k
		}
		at += len(ids)
		for _, r := range records {
			if state != nil && r.State != *state {
				continue
			}
			if len(p.Rows) == rowsAPage {
				at = position[r.Invite.ID]
				break
			}
			p.Rows = append(p.Rows, row{Number: position[r.Invite.ID] + 1, Record: r})
		}
	}
	if int64(at) < i.Total {
		q := url.Values{"from": {strconv.Itoa(at)}}
		if state != nil {
			q.Set("state", state.String())
		}
		p.Next = "?" + q.Encode()
	}
	return h.withETAs(ctx, i.Now, p)
}

func (h *Handler) withETAs(ctx context.Context, now time.Time, p rowsPage) (rowsPage, error) {
	records := make([]ledger.Record, len(p.Rows))
	for k, r := range p.Rows {
		records[k] = r.Record
	}
	etas, err := h.cfg.Ledger.ETAs(ctx, now, records...)
	if err != nil || len(records) == 0 {
		return p, err
	}
	lines, err := h.cfg.Ledger.Lines(ctx, records[0].Invite.ImportID, records)
	for k := range lines {
		p.Rows[k].ETA, p.Rows[k].Number = etas[k], cmp.Or(lines[k], p.Rows[k].Number)
	}
	return p, err
}

// outcomes streams what became of every row of an import, as CSV with whole
// addresses. It is the one page that has them, so it always needs the token.
func (h *Handler) outcomes(w http.ResponseWriter, r *http.Request) {
	if !caller(r).Manages() {
		http.Error(w, "The outcomes hold whole addresses, so they need the admin token: set INVITEQ_ADMIN_TOKEN for the worker. "+
			"Or use `inviteq import FILE --report outcomes.csv`.", http.StatusForbidden)
		return
	}
	id := r.PathValue("id")
	known, err := h.cfg.Ledger.Import(r.Context(), id)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if err := h.note(r, "outcomes of import", id, int(known.Total)); err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="outcomes.csv"; filename*=UTF-8''`+url.PathEscape(id)+"-outcomes.csv")
	out := show.NewOutcomes(w)
	at := 0
	for err == nil {
		var ids []string
		if ids, err = h.cfg.Ledger.Members(r.Context(), tasks.BulkCreate{ImportID: id, From: at, Count: rowsAtOnce}); err != nil || len(ids) == 0 {
			break
		}
		var records []ledger.Record
		if records, err = h.cfg.Ledger.Get(r.Context(), ids...); err != nil {
			break
		}
		var lines []int
		if lines, err = h.cfg.Ledger.Lines(r.Context(), id, records); err != nil {
			break
		}
		for n, rec := range records {
			err = errors.Join(err, out.Write(show.Outcome{
				Row: cmp.Or(lines[n], at+1+slices.Index(ids, rec.Invite.ID)), Address: rec.Invite.EmailAddress.Raw(), Outcome: rec.State.String(), Reason: string(rec.Reason),
				ID: rec.Invite.ID, InvitationID: rec.InvitationID, UpdatedAt: rec.UpdatedAt,
			}))
		}
		at += len(ids)
	}
	user, _, _ := r.BasicAuth()
	line := h.cfg.Log.Info().Str("import", id).Int("rows", at).Int64("of", known.Total).Bool("named", user != "")
	if err = errors.Join(err, out.Flush()); err != nil {
		// The answer has begun: cut it off, so that it does not pass for complete.
		line.Err(err).Msg("outcomes of an import were sent in part")
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's own way to cut an answer off
	}
	line.Msg("outcomes of an import were sent")
}

// stateParameter reads ?state=.
func stateParameter(r *http.Request) (*tasks.State, error) {
	name := r.URL.Query().Get("state")
	if name == "" {
		return nil, nil //nolint:nilnil // no state was asked for
	}
	s, err := tasks.ParseState(name)
	return &s, err
}

// fromParameter reads ?from=.
func fromParameter(r *http.Request) (int, error) {
	text := r.URL.Query().Get("from")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("from must be a position")
	}
	return n, nil
}
