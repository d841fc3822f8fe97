package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// importJSON is the answer about an import. The first part is that of GET.
type importJSON struct {
	Object    string                `json:"object"`
	ID        string                `json:"id"`
	CreatedAt *time.Time            `json:"created_at"` // null if it is not there, after a dry run
	Total     int64                 `json:"total"`
	Open      int64                 `json:"open"`
	States    map[tasks.State]int64 `json:"states"`
	ETA       *time.Time            `json:"eta"` // When the last one will be sent, as things stand; null if none waits, or their lane is paused.
}

func newImport(i enqueue.Import) importJSON {
	j := importJSON{Object: "import", ID: i.ID, Total: i.Total, Open: i.Open, States: i.States}
	if j.States == nil {
		j.States = map[tasks.State]int64{}
	}
	if !i.CreatedAt.IsZero() {
		j.CreatedAt = &i.CreatedAt
	}
	if !i.ETA.IsZero() {
		j.ETA = &i.ETA
	}
	return j
}

// acceptedJSON is the answer to a list.
type acceptedJSON struct {
	importJSON
	Rows        int           `json:"rows"`        // In the list, bad ones and duplicates included.
	Admitted    int           `json:"admitted"`    // New.
	Known       int           `json:"known"`       // From an earlier request.
	Duplicates  int           `json:"duplicates"`  // Left out: the address of an earlier row.
	Invalid     int           `json:"invalid"`     // Left out, because ?skip_invalid=true.
	Conflicting int           `json:"conflicting"` // Not accepted: the id has other content already.
	Conflicts   []int         `json:"conflicts"`   // Their rows, at most a thousand.
	DryRun      bool          `json:"dry_run"`
	Problems    []rowProblems `json:"problems"` // Of the rows that were left out.
}

type rowProblems struct {
	Row    int    `json:"row"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// maxRowProblems is how many problems of rows are listed; how many rows are bad
// is said in any case.
const maxRowProblems = 10_000

// importState is GET /v1/imports/{id}.
func (x *exchange) importState() *answer {
	if refused := x.plain(); refused != nil {
		return refused
	}
	i, err := x.cfg.Client.Import(x.ctx, x.id)
	switch {
	case errors.Is(err, enqueue.ErrNotFound):
		return notFound("No import was found with the given id.")
	case err != nil:
		return unavailable(err)
	}
	return ok(newImport(i))
}

// list is one POST /v1/imports on its way.
type list struct {
	*exchange
	key    idempotencyKey
	format enqueue.Format
	lane   tasks.Lane
	id     string
	skip   bool
	dry    bool

	file    *os.File
	rows    int
	good    int
	invalid int
	same    int
	bad     []rowProblems
	more    int // rows whose problems are not listed
	lines   []int32
}

// importList is POST /v1/imports: the list is spooled and checked to its end,
// and then accepted.
func (x *exchange) importList() *answer {
	l := &list{exchange: x}
	if refused := l.parse(); refused != nil {
		return refused
	}
	release := x.slot(x.imports)
	if release == nil {
		return busy()
	}
	defer release()
	content, refused := l.spool()
	if l.file != nil {
		defer l.file.Close()
	}
	if refused != nil {
		return refused
	}
	switch {
	case l.id == "" && !l.key.isZero():
		l.id = l.key.importID()
	case l.id == "":
		// As the command line does it: the same list again is the same import.
		l.id = "imp_" + idText.EncodeToString(content[:10])
	}
	x.entry.ID = l.id
	if refused := l.check(); refused != nil {
		return refused
	}
	if l.dry {
		return ok(l.result(enqueue.Import{ID: l.id}, enqueue.BulkResult{}))
	}
	ctx, cancel := x.toTheEnd(importFor)
	defer cancel()
	request := fingerprintOf([]byte("import"), content, []byte(l.id), []byte(l.lane.String()), []byte(strconv.FormatBool(l.skip)))
	if refused := x.bind(ctx, l.key, request); refused != nil {
		return refused
	}
	return l.accept(ctx)
}

// formats are the media types of lists.
var formats = map[string]enqueue.Format{
	"text/csv": enqueue.FormatCSV, "text/tab-separated-values": enqueue.FormatCSV,
	"application/x-ndjson": enqueue.FormatJSONLines, "application/jsonl": enqueue.FormatJSONLines,
	"application/x-jsonlines": enqueue.FormatJSONLines, "application/json-lines": enqueue.FormatJSONLines,
}

// parse reads everything but the list.
func (l *list) parse() (refused *answer) {
	q := l.r.URL.Query()
	if refused := refuseUnknown(q, "import_id", "lane", "skip_invalid", "dry_run"); refused != nil {
		return refused
	}
	if l.key, refused = l.exchange.key(); refused != nil {
		return refused
	}
	if l.id = q.Get("import_id"); q.Has("import_id") {
		if err := tasks.CheckID(l.id); err != nil {
			return refuseParam(codeValue, "import_id", err.Error()+".")
		}
	}
	l.lane = tasks.Import
	var err error
	if q.Has("lane") {
		if l.lane, err = tasks.ParseLane(q.Get("lane")); err != nil {
			return refuseParam(codeValue, "lane", "must be interactive or import.")
		}
	}
	for name, to := range map[string]*bool{"skip_invalid": &l.skip, "dry_run": &l.dry} {
		if q.Has(name) {
			if *to, err = strconv.ParseBool(q.Get(name)); err != nil {
				return refuseParam(codeValue, name, "must be a boolean.")
			}
		}
	}
	media, _, err := mime.ParseMediaType(l.r.Header.Get("Content-Type"))
	format, known := formats[media]
	if err != nil || !known {
		return refuse(http.StatusUnsupportedMediaType, codeContentType, "Content-Type is unsupported", "The Content-Type must be text/csv or application/x-ndjson.")
	}
	l.format = format
	return nil
}

// source reads the spooled list from its beginning.
func (l *list) source() (enqueue.Source, error) {
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return l.format.Rows(bufio.NewReader(l.file)).Lane(l.lane).Distinct(), nil
}

// check reads the whole list and collects everything that is wrong with it.
func (l *list) check() *answer {
	source, err := l.source()
	if err != nil {
		return unavailable(errors.New("the spooled list cannot be read"))
	}
	for row, err := range source {
		bad, isBad := errors.AsType[*enqueue.RowError](err)
		_, isDuplicate := errors.AsType[*enqueue.DuplicateError](err)
		l.rows++
		switch {
		case isBad:
			l.note(bad)
		case isDuplicate:
			l.same++
		case err != nil:
			return refuse(http.StatusUnprocessableEntity, codeListInvalid, "The list is invalid", "The list cannot be read: "+err.Error()+".")
		default:
			l.good++
			l.lines = append(l.lines, int32(row.Number))
		}
		if l.ctx.Err() != nil {
			return unavailable(context.Cause(l.ctx))
		}
	}
	switch {
	case l.invalid > 0 && !l.skip:
		return l.refuseRows()
	case l.good == 0:
		return refuse(http.StatusUnprocessableEntity, codeListEmpty, "The list is empty", "The list has no good row, so there is nobody to invite.")
	}
	return nil
}

func (l *list) note(e *enqueue.RowError) {
	l.invalid++
	if len(l.bad)+len(e.Problems) > maxRowProblems {
		l.more++
		return
	}
	for _, p := range e.Problems {
		l.bad = append(l.bad, rowProblems{e.Row, p.Field, p.Reason})
	}
}

// refuseRows names every bad row. Nothing was accepted.
func (l *list) refuseRows() *answer {
	a := &answer{status: http.StatusUnprocessableEntity}
	for _, b := range l.bad {
		p := problem{
			Message: "is invalid", Code: codeRow, LongMessage: fmt.Sprintf("Row %d: %s", b.Row, tasks.Problem{Field: b.Field, Reason: b.Reason}),
			Meta: map[string]any{"row": b.Row, "param_name": b.Field},
		}
		a.problems = append(a.problems, p)
	}
	if l.more > 0 {
		a.problems = append(a.problems, problem{
			Message: "and more", Code: codeMore, LongMessage: fmt.Sprintf("%d more rows are bad.", l.more),
			Meta: map[string]any{"invalid": l.invalid},
		})
	}
	return a
}

// accept puts the good rows into the ledger. It goes on when the client has gone:
// whatever was begun is brought to its end.
func (l *list) accept(ctx context.Context) *answer {
	source, err := l.source()
	if err != nil {
		return unavailable(errors.New("the spooled list cannot be read"))
	}
	result, err := l.cfg.Client.BulkInvite(ctx, source.Invites(func(error) {}), enqueue.BulkOptions{ImportID: l.id, KeepLanes: true})
	l.entry.Invites = result.Admitted + result.Known
	if err != nil {
		a := unavailable(err)
		a.problems[0].Meta = map[string]any{"accepted": result.Done(), "import_id": l.id}
		a.problems[0].LongMessage = "The queue failed half way. Rows that were accepted will be sent; the same request again goes on from there."
		return a
	}
	now, err := l.cfg.Client.Import(ctx, l.id)
	switch {
	case errors.Is(err, enqueue.ErrNotFound): // Every row has an id of its own, which is in the ledger outside of this import.
		now = enqueue.Import{ID: l.id}
	case err != nil:
		return unavailable(err)
	}
	l.entry.Replayed = result.Admitted == 0 && result.Conflicting == 0
	got := ok(l.result(now, result)).replayed(l.entry.Replayed)
	got.err = result.TaskErr
	return got
}

func (l *list) result(i enqueue.Import, r enqueue.BulkResult) acceptedJSON {
	out := acceptedJSON{
		importJSON: newImport(i), Rows: l.rows, Admitted: r.Admitted, Known: r.Known,
		Duplicates: l.same, Invalid: l.invalid, Conflicting: r.Conflicting, Conflicts: []int{}, DryRun: l.dry, Problems: l.bad,
	}
	if out.Problems == nil {
		out.Problems = []rowProblems{}
	}
	for _, c := range r.Conflicts {
		out.Conflicts = append(out.Conflicts, int(l.lines[c.Position]))
	}
	return out
}
