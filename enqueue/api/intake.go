package api

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

// list is one POST /v1/imports on its way.
type list struct {
	*exchange
	*lists.List
	options lists.Options
	size    int64 // bytes of it on the disk
	key     idempotencyKey
	id      string
	skip    bool
	dry     bool
	ask     bool // for a preflight

	found lists.Survey
	bad   []rowProblems
	more  int // rows whose problems are not listed
}

// readList takes in everything of a POST /v1/imports: the list is copied.
func (x *exchange) readList() *answer {
	x.intake = &list{exchange: x}
	if refused := x.intake.parse(); refused != nil {
		return refused
	}
	leave := x.enter(x.spools)
	if leave == nil {
		return busy()
	}
	defer leave()
	return x.intake.open()
}

// importList is POST /v1/imports: the list is checked to its end, and then accepted.
func (x *exchange) importList() *answer {
	l := x.intake
	switch {
	case l.id == "" && !l.key.isZero():
		l.id = l.key.importID()
	case l.id == "":
		l.id = x.importName(l.ImportID())
	}
	x.entry.ID = l.id
	if refused := l.check(); refused != nil {
		return refused
	}
	if l.ask {
		return l.preflight()
	}
	if l.dry {
		return l.onlyLooked(ok(l.result(enqueue.Import{ID: l.id}, lists.Accepted{})))
	}
	ctx, cancel := x.toTheEnd(importFor)
	defer cancel()
	if refused := x.bind(ctx, l.key, l.fingerprint()); refused != nil {
		return refused
	}
	return l.accept(ctx)
}

// mediaTypes are those of lists. What the list is, its content tells.
var mediaTypes = []string{
	"text/csv", "text/tab-separated-values", "text/plain", "application/json", "application/x-ndjson", "application/jsonl", "application/x-jsonlines",
	"application/json-lines", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/gzip", "application/octet-stream",
}

// parse reads everything but the list.
func (l *list) parse() (refused *answer) {
	q := l.r.URL.Query()
	if refused := refuseUnknown(q, "import_id", "lane", "skip_invalid", "dry_run", "preflight", "column", "sheet", "global_ids", "name", "hold"); refused != nil {
		return refused
	}
	if l.key, refused = l.exchange.key(); refused != nil {
		return refused
	}
	if l.id = q.Get("import_id"); q.Has("import_id") {
		if err := tasks.CheckID(l.id); err != nil {
			return refuseParam(codeValue, "import_id", err.Error()+".")
		}
		if _, err := l.ownImport(l.ctx, l.id); err != nil { // Else it goes on with one of its own by its full id.
			l.id = l.importName(l.id)
		}
	}
	l.options = lists.Options{Sheet: q.Get("sheet"), MaxBytes: l.cfg.MaxImport, MaxRows: l.cfg.MaxRows}
	l.options.Name = q.Get("name")
	var err error
	if q.Has("hold") {
		if l.options.Hold, err = time.ParseDuration(q.Get("hold")); err != nil || l.options.Hold <= 0 {
			return refuseParam(codeValue, "hold", "must be a duration such as 10m.")
		}
	}
	if l.options.Columns, err = lists.ParseColumns(q["column"]); err != nil {
		return refuseParam(codeValue, "column", "must be FIELD=NAME, where FIELD is a parameter of an invitation, public_metadata.KEY, or ignore.")
	}
	if q.Has("lane") {
		lane, err := tasks.ParseLane(q.Get("lane"))
		if err != nil {
			return refuseParam(codeValue, "lane", "must be interactive or import.")
		}
		l.options.Interactive = lane == tasks.Interactive
	}
	for name, to := range map[string]*bool{"skip_invalid": &l.skip, "dry_run": &l.dry, "preflight": &l.ask, "global_ids": &l.options.GlobalIDs} {
		if q.Has(name) {
			if *to, err = strconv.ParseBool(q.Get(name)); err != nil {
				return refuseParam(codeValue, name, "must be a boolean.")
			}
		}
	}
	if l.ask && l.cfg.Preflight == nil {
		return refuseParam(codeValue, "preflight", "is not available here: this API has no key for Clerk. A worker's own API has one.")
	}
	if l.options.GlobalIDs && l.token.Scope == access.Own {
		return refuseParam(codeValue, "global_ids", "needs a token of scope instance: such ids are the same for everybody. Without it an id names a row within the import.")
	}
	media, _, err := mime.ParseMediaType(l.r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(mediaTypes, media) {
		return refuse(http.StatusUnsupportedMediaType, codeContentType, "Content-Type is unsupported",
			"The Content-Type must be that of CSV, JSON, JSON Lines or an Excel workbook, such as text/csv or application/x-ndjson.")
	}
	return nil
}

// fingerprint is that of the request: the list and how it is read.
func (l *list) fingerprint() string {
	lane := tasks.Import
	if l.options.Interactive {
		lane = tasks.Interactive
	}
	parts := [][]byte{[]byte("import"), l.Digest(), []byte(l.id), []byte(lane.String()), []byte(strconv.FormatBool(l.skip))}
	if q := l.r.URL.Query(); l.options.GlobalIDs || len(q["column"]) > 0 {
		parts = append(parts, []byte(strconv.FormatBool(l.options.GlobalIDs)), []byte(strings.Join(q["column"], "\x00")))
	}
	return fingerprintOf(parts...)
}

// check reads the whole list and collects everything that is wrong with it.
func (l *list) check() (refused *answer) {
	var err error
	l.found, err = l.Survey(l.ctx, func(err error) error {
		if bad, ok := errors.AsType[*lists.RowError](err); ok {
			l.note(bad)
		}
		return nil
	})
	switch {
	case err != nil:
		return l.unusable(err)
	case l.found.Bad > 0 && !l.skip:
		return l.refuseRows()
	case l.found.Good == 0:
		return refuse(http.StatusUnprocessableEntity, codeListEmpty, "The list is empty", "The list has no good row, so there is nobody to invite.")
	}
	return nil
}

// unusable is the answer to a list that cannot be used as a whole.
func (l *list) unusable(err error) *answer {
	switch {
	case l.ctx.Err() != nil:
		return unavailable(context.Cause(l.ctx))
	case errors.Is(err, lists.ErrDisk):
		return unavailable(lists.ErrDisk)
	case errors.Is(err, lists.ErrTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, codeBodySize, "Request body too large", "The list cannot be taken: "+err.Error()+".")
	}
	return refuse(http.StatusUnprocessableEntity, codeListInvalid, "The list is invalid", "The list cannot be read: "+err.Error()+".")
}

func (l *list) note(e *lists.RowError) {
	if len(l.bad)+len(e.Problems) > maxRowProblems {
		l.more++
		return
	}
	for _, p := range e.Problems {
		l.bad = append(l.bad, rowProblems{e.Row, e.Item, p.Field, p.Reason})
	}
}

// refuseRows names every bad row. Nothing was accepted.
func (l *list) refuseRows() *answer {
	a := &answer{status: http.StatusUnprocessableEntity}
	for _, b := range l.bad {
		p := problem{
			Message: "is invalid", Code: codeRow, Meta: map[string]any{"row": b.Row, "param_name": b.Field},
			LongMessage: fmt.Sprintf("Row %d: %s", b.Row, tasks.Problem{Field: b.Field, Reason: b.Reason}),
		}
		if b.Item > 0 {
			p.Meta["item"] = b.Item
		}
		a.problems = append(a.problems, p)
	}
	if l.more > 0 {
		a.problems = append(a.problems, problem{
			Message: "and more", Code: codeMore, LongMessage: fmt.Sprintf("%d more rows are bad.", l.more),
			Meta: map[string]any{"invalid": l.found.Bad},
		})
	}
	return a
}

// preflight says what would become of the list.
func (l *list) preflight() *answer {
	f, err := l.cfg.Preflight(l.ctx, l.Invites(l.ctx, l.id), l.found.Good)
	if err != nil {
		a := unavailable(err)
		a.problems[0].LongMessage = "Clerk or the queue cannot be asked at the moment. Please try again."
		return a
	}
	l.dry = true
	out := l.result(enqueue.Import{ID: l.id}, lists.Accepted{})
	out.Preflight = &f
	return l.onlyLooked(ok(out))
}

// onlyLooked says that nothing was changed.
func (l *list) onlyLooked(a *answer) *answer {
	a.idle = true
	return a
}

// accept puts the good rows into the ledger. It goes on when the client has gone:
// whatever was begun is brought to its end.
func (l *list) accept(ctx context.Context) *answer {
	a := lists.Acceptance{ImportID: l.id, Owner: l.token.Name, MaxWaiting: l.cfg.MaxWaiting}
	if l.token.Scope == access.Own {
		a.MaxOwned = l.cfg.MaxWaiting / 2 // There is room for the others.
	}
	result, err := l.Accept(ctx, l.cfg.Client, l.found, a)
	l.entry.Invites = result.Admitted + result.Known
	if full, ok := errors.AsType[*lists.WaitingError](err); ok {
		return refuse(http.StatusTooManyRequests, codeTooMany, "Too many invites wait", "The list was not accepted: "+full.Error()+".").after(time.Hour)
	}
	if other, ok := errors.AsType[*lists.OtherIDsError](err); ok {
		return refuse(http.StatusConflict, codeListInvalid, "The import was begun with other ids",
			fmt.Sprintf("Nothing was accepted: %v. Go on with global_ids=%t.", err, other.Global))
	}
	if err != nil {
		a := unavailable(err)
		a.problems[0].Meta = map[string]any{"accepted": result.Done(), "import_id": l.id}
		a.problems[0].LongMessage = "The queue failed half way. Rows that were accepted will be sent; the same request again goes on from there."
		return a
	}
	now, err := l.cfg.Client.Import(ctx, l.id)
	switch {
	case errors.Is(err, enqueue.ErrNotFound): // Every row has an id of the caller's, which is in the ledger outside of this import.
		now = enqueue.Import{ID: l.id}
	case err != nil:
		return unavailable(err)
	}
	l.entry.Replayed = result.Admitted == 0 && result.Conflicting == 0
	got := ok(l.result(now, result)).replayed(l.entry.Replayed)
	got.err = result.TaskErr
	return got
}

func (l *list) result(i enqueue.Import, r lists.Accepted) acceptedJSON {
	out := acceptedJSON{
		importJSON: newImport(i), Rows: l.found.Rows(), Admitted: r.Admitted, Known: r.Known, Duplicates: l.found.Duplicates,
		Invalid: l.found.Bad, Conflicting: r.Conflicting, Conflicts: []int{}, DryRun: l.dry,
		Problems: append([]rowProblems{}, l.bad...), Ignored: append([]string{}, l.found.Ignored...), Notes: append([]string{}, l.found.Notes()...),
	}
	for _, c := range r.Conflicts {
		out.Conflicts = append(out.Conflicts, c.Row)
	}
	return out
}
