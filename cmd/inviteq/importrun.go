package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

// importRun is one run of the command.
type importRun struct {
	*importCommand
	p      *program
	conn   *connection
	list   *lists.List
	report *report
	found  lists.Survey
	result lists.Accepted

	done string // with rows: enqueued, or sent
}

// badRowJSON is a bad row in --json; a row with several problems has several.
type badRowJSON struct {
	Row    int    `json:"row"`
	Item   int    `json:"item,omitzero"` // of a JSON array
	Field  string `json:"field"`         // "" if the whole row is at fault
	Reason string `json:"reason"`
}

// check lists every bad row. Unless they are to be skipped, they end the run.
func (r *importRun) check(ctx context.Context) (err error) {
	p := r.p
	bad := func(e *lists.RowError) error {
		if !r.JSON {
			p.console.note("%s", flagged(e))
			return nil
		}
		for _, problem := range e.Problems {
			if err := p.printJSON(badRowJSON{e.Row, e.Item, problem.Field, problem.Reason}); err != nil {
				return err
			}
		}
		return nil
	}
	if r.found, err = p.survey(ctx, r.File, r.list, bad); err != nil {
		return err
	}
	if r.ImportID == "" {
		r.ImportID = r.list.ImportID()
	}
	switch name := listName(r.File); {
	case r.found.Bad > 0 && !r.SkipInvalid:
		are, them := "are", "them"
		if r.found.Bad == 1 {
			are, them = "is", "it"
		}
		return usagef("%s of %s %s bad, so nothing was %s: fix %s, or leave %s out with --skip-invalid",
			show.Thousands(r.found.Bad), show.Count(r.found.Rows(), "row"), are, r.done, them, them)
	case r.found.Rows() == 0:
		return usagef("%s has no rows, so there is nobody to invite", name)
	case r.found.Good == 0:
		return usagef("%s has no good row, so there is nobody to invite", name)
	}
	return nil
}

// importResultJSON is the end of an import in --json. The keys are stable and
// always there.
type importResultJSON struct {
	Rows        int  `json:"rows"`
	Invalid     int  `json:"invalid"`
	Duplicates  int  `json:"duplicates"`
	Admitted    int  `json:"admitted"`    // new
	Known       int  `json:"known"`       // from an earlier run
	Conflicting int  `json:"conflicting"` // the id has other content
	DryRun      bool `json:"dry_run"`

	Ignored  []string `json:"ignored"`  // columns that are not used
	Preamble int      `json:"preamble"` // rows above the names of the columns
	Comments int      `json:"comments"` // rows that begin with #
	Footer   int      `json:"footer"`   // rows below the list
	Sheets   []string `json:"sheets"`   // other sheets that hold addresses, and are not read
	Hidden   int      `json:"hidden"`   // rows that the workbook hides, and that are on the list
	importJSON
}

func (r *importRun) json(i enqueue.Import) importResultJSON {
	return importResultJSON{
		Rows: r.found.Rows(), Invalid: r.found.Bad, Duplicates: r.found.Duplicates,
		Admitted: r.result.Admitted, Known: r.result.Known, Conflicting: r.result.Conflicting, DryRun: r.DryRun,
		Ignored: append([]string{}, r.found.Ignored...), Preamble: r.found.Preamble, Comments: r.found.Comments, Footer: r.found.Footer,
		Sheets: append([]string{}, r.found.Sheets...), Hidden: r.found.Hidden,
		importJSON: importOf(i),
	}
}

// leftOut says which rows are not among the invites; "" if all are.
func (r *importRun) leftOut() string {
	var words []string
	if r.found.Duplicates > 0 {
		words = append(words, show.Thousands(r.found.Duplicates)+" with the address of an earlier row")
	}
	if r.found.Bad > 0 {
		words = append(words, show.Thousands(r.found.Bad)+" bad")
	}
	if len(words) == 0 {
		return ""
	}
	return "; left out: " + strings.Join(words, ", ")
}

func (r *importRun) dry(ctx context.Context) error {
	conflicts, err := r.compare(ctx)
	if err != nil {
		return r.stopped(ctx, err)
	}
	for _, c := range conflicts {
		r.p.console.note("%v: would not be %s: %s", c.Place, r.done, r.conflict(c))
	}
	r.result.Conflicting = len(conflicts)
	if r.JSON {
		err = r.p.printJSON(r.json(enqueue.Import{ID: r.ImportID}))
	} else {
		_, err = fmt.Fprintf(r.p.console.out, "%s would be enqueued as %s%s. Nothing was done.\n",
			show.Count(r.found.Good-len(conflicts), "invite"), r.ImportID, r.leftOut())
	}
	if err == nil && len(conflicts) > 0 {
		return errTold
	}
	return err
}

// compare looks whether ids of the list have other content in the ledger. That can be
// where it has ids of its own, or goes on with an import; without Redis it is left out.
func (r *importRun) compare(ctx context.Context) ([]lists.Conflict, error) {
	if !r.found.Named && r.ImportID == r.list.ImportID() {
		return nil, nil
	}
	reach, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := r.p.connect(reach, r.Instance)
	if err != nil {
		r.p.console.note("Redis cannot be reached, so the ids were not compared with those of earlier lists.")
		return nil, nil // A dry run needs no Redis.
	}
	defer conn.Close()
	return r.list.Compare(ctx, conn.client, r.ImportID)
}

// handOver enqueues the good rows, as far as they are new.
func (r *importRun) handOver(ctx context.Context) (err error) {
	p := r.p
	screen := newLive(p.console)
	defer screen.clear()
	r.result, err = r.list.Accept(ctx, r.conn.client, r.found, lists.Acceptance{
		ImportID: r.ImportID, MaxWaiting: r.MaxWaiting,
		Progress: func(done enqueue.BulkResult) {
			screen.progress(r.found.Good, fmt.Sprintf("%s of %s enqueued", show.Thousands(done.Done()), show.Thousands(r.found.Good)),
				part{int64(done.Done()), "█", p.console.onErr.blue})
		},
	})
	screen.clear()
	p.audit(ctx, r.conn, "import", r.ImportID, r.result.Done())
	if err != nil {
		return r.stopped(ctx, err)
	}
	p.warnTask(r.result.TaskErr)
	for _, conflict := range r.result.Conflicts {
		p.console.note("%v: not %s: %s", conflict.Place, r.done, r.conflict(conflict))
	}
	return nil
}

// enqueue hands the good rows over, and says so.
func (r *importRun) enqueue(ctx context.Context) error {
	if err := r.handOver(ctx); err != nil || r.JSON {
		return err
	}
	p := r.p
	words := show.Count(r.result.Admitted, "invite") + " enqueued"
	if r.result.Known > 0 {
		words += fmt.Sprintf(", %s known from an earlier run", show.Thousands(r.result.Known))
	}
	_, err := fmt.Fprintf(p.console.out, "%s: %s%s.\n", p.console.onOut.bold(r.ImportID), words, r.leftOut())
	if r.Hold > 0 && !r.result.Held {
		p.console.note("The import had begun before, so --hold has no effect; `inviteq pause --import-id %s` pauses it.", r.ImportID)
	}
	if r.result.Admitted == 0 && err == nil {
		p.console.note("To invite the same list anew, give it another --import-id.")
	}
	return err
}

// conflict says who has the id of a row.
func (r *importRun) conflict(c lists.Conflict) string {
	switch c.ImportID {
	case r.ImportID:
		return "its id or address is in this import (" + r.ImportID + ") already, with other content"
	case "":
		return "an invite that belongs to no import has its id (" + c.ID + "), with other content"
	}
	return "import " + c.ImportID + " has its id (" + c.ID + ") already, with other content"
}

// stopped says how to go on after the list was handed over in part.
func (r *importRun) stopped(ctx context.Context, err error) error {
	if _, full := errors.AsType[*lists.WaitingError](err); full {
		return fmt.Errorf("%w (--max-waiting, $INVITEQ_MAX_WAITING)", err)
	}
	if other, ok := errors.AsType[*lists.OtherIDsError](err); ok {
		r.GlobalIDs = other.Global
		return usagef("%w (--global-ids). Nothing was enqueued: go on with `%s`", err, r.again())
	}
	e, ok := errors.AsType[*enqueue.ImportError](err)
	if !ok {
		return err
	}
	why := r.p.explain(e.Err)
	if ctx.Err() != nil {
		why = errors.New("interrupted")
	}
	return fmt.Errorf("%w. %s of %s rows are enqueued; go on with `%s`", why, show.Thousands(e.Done), show.Thousands(r.found.Good), r.again())
}

// again is the command that goes on with this import.
func (r *importRun) again() string {
	words := []string{"inviteq import", quoted(r.File), "--import-id", r.ImportID}
	if r.done == "sent" {
		words = []string{"inviteq send", quoted(r.File)}
	}
	for _, rule := range r.Column {
		words = append(words, "--column", quoted(rule))
	}
	if r.Sheet != "" {
		words = append(words, "--sheet", quoted(r.Sheet))
	}
	if r.GlobalIDs {
		words = append(words, "--global-ids")
	}
	if r.Hold > 0 {
		words = append(words, "--hold", r.Hold.String())
	}
	if r.SkipInvalid {
		words = append(words, "--skip-invalid")
	}
	if r.Wait {
		words = append(words, "--wait")
	}
	if r.Report != "" {
		words = append(words, "--report", quoted(r.Report))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell reads it.
func quoted(s string) string {
	if !strings.ContainsAny(s, " '\"$\\`*?;&|<>()[]{}~#!\t\n") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// finish follows the import, or says how to.
func (r *importRun) finish(ctx context.Context) error {
	p := r.p
	p.hint(ctx, r.conn)
	var now enqueue.Import
	var err error
	if r.Wait {
		now, err = p.follow(ctx, r.conn, r.ImportID, nil)
		if ctx.Err() != nil {
			p.console.note("The import goes on without this command; `inviteq status %s` tells how far it is. To follow it again: `%s`", r.ImportID, r.again())
			return context.Canceled
		}
	} else {
		now, err = r.conn.client.Import(ctx, r.ImportID)
	}
	if err != nil {
		return err
	}
	if err := r.writeReport(ctx); err != nil {
		return err
	}
	switch {
	case r.JSON:
		err = p.printJSON(r.json(now))
	case r.Wait:
		err = r.printOutcomes(ctx, now)
	case now.State == tasks.ImportHeld:
		_, err = fmt.Fprintf(p.console.out, "%s\n`inviteq revoke --import-id %s` cancels it before any mail is sent.\n",
			halted(time.Now(), now), r.ImportID)
	case !now.ETA.IsZero():
		_, err = fmt.Fprintf(p.console.out, "The last one goes %s (%s) at the current rate. `inviteq status %s` tells how far it is.\n",
			show.In(time.Now(), now.ETA), show.Time(now.ETA), r.ImportID)
	case now.Open > 0:
		_, err = fmt.Fprintf(p.console.out, "`inviteq status %s` tells how far it is.\n", r.ImportID)
	}
	if err != nil {
		return err
	}
	if _, _, trouble := tally(now.States); r.Wait && trouble > 0 || r.result.Conflicting > 0 {
		return errTold
	}
	return nil
}

func (r *importRun) writeReport(ctx context.Context) error {
	if r.report == nil || r.report.file == nil { // none was asked for, or it is written
		return nil
	}
	if err := r.report.write(ctx, r); err != nil {
		return fmt.Errorf("the report cannot be written: %w; the import itself is not affected", err)
	}
	r.p.console.note("report: %s", r.Report)
	return nil
}

// printOutcomes is the table at the end of --wait: every state, and the reasons
// of all that was not delivered.
func (r *importRun) printOutcomes(ctx context.Context, i enqueue.Import) error {
	p := r.p
	if err := p.outcomes(i).print(p.console.out, p.console.onOut); err != nil {
		return err
	}
	reasons := map[tasks.Reason]int64{}
	for s, err := range r.conn.client.All(ctx, enqueue.ListOptions{ImportID: r.ImportID, States: undelivered}) {
		if err != nil {
			return err
		}
		reasons[s.Reason]++
	}
	if len(reasons) == 0 {
		return nil
	}
	fmt.Fprintln(p.console.out)
	return reasonTable(reasons).print(p.console.out, p.console.onOut)
}

// undelivered are the ends at which nobody got a mail.
var undelivered = []tasks.State{tasks.Rejected, tasks.Canceled, tasks.Failed, tasks.Parked}

// reasonTable counts reasons, the most frequent first.
func reasonTable(reasons map[tasks.Reason]int64) table {
	var t table
	t.header("reason", "invites", "")
	for _, word := range slices.SortedFunc(maps.Keys(reasons), func(a, b tasks.Reason) int {
		if reasons[a] != reasons[b] {
			return int(reasons[b] - reasons[a])
		}
		return cmp.Compare(a, b)
	}) {
		shown := string(word)
		if shown == "" {
			shown = "–"
		}
		t.row(text(shown), number(reasons[word]), text(word.Entry().Means))
	}
	return t
}
