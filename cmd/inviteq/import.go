package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

type importCommand struct {
	File string `arg:"" help:"A CSV or JSON Lines file; - is standard input."`

	Format      string `placeholder:"FORMAT" help:"csv or jsonl. Defaults to what the file's name or beginning tells."`
	Lane        string `enum:"interactive,import" default:"import" placeholder:"LANE" help:"The lane of rows that name none: import, or interactive for a short list that somebody waits for."`
	ImportID    string `placeholder:"ID" help:"Names the import. Defaults to one made of the file's content, so that the same file again is the same import."`
	SkipInvalid bool   `help:"Leave bad rows out, instead of enqueueing nothing."`
	DryRun      bool   `help:"Check every row and do nothing; needs no Redis."`
	Wait        bool   `help:"Follow the import until every row is settled, and print the outcomes. The exit code is 1 if any row has failed or is parked."`
	Report      string `placeholder:"FILE" help:"Write the outcome of every row to a CSV file, as it is when the command ends."`
	instanceFlag
	jsonFlag
}

func (importCommand) Help() string {
	return `The first row of a CSV file names the columns, in any order: email_address (or email), public_metadata.KEY or public_metadata, redirect_url, notify, ignore_existing, expires_in_days, template_slug, id, lane, not_before, deadline. Commas, semicolons or tabs. A JSON Lines file has one object with these fields a line.

Every row is checked before anything is enqueued. Rows with the address of an earlier row are left out. Importing the same file again enqueues nothing twice: repeat the command after whatever went wrong.

Examples:

  inviteq import team.csv --dry-run
  inviteq import team.csv --wait --report outcomes.csv
  sqlite3 -csv -header app.db 'select email from waitlist' | inviteq import - --import-id waitlist-may`
}

// Run checks the list, enqueues it, and follows it if it is told to.
func (c *importCommand) Run(ctx context.Context, p *program) error {
	if c.ImportID != "" {
		if err := tasks.CheckID(c.ImportID); err != nil {
			p.complaints.add(fmt.Errorf("--import-id ($INVITEQ_IMPORT_ID) %w", err))
		}
	}
	if c.Format != "" {
		_, err := enqueue.ParseFormat(c.Format)
		p.complaints.add(err)
	}
	// Redis is not needed for this, but its address is: all complaints at once.
	p.redisOptions()
	p.instance(c.Instance)
	if err := p.complaints.usage(); err != nil {
		return err
	}
	lane, err := tasks.ParseLane(c.Lane)
	if err != nil {
		return &usageError{err}
	}
	if c.File == "-" && terminal(p.console.in) != nil {
		p.console.note("Reading the list from this terminal; Ctrl-D ends it.")
	}
	file, err := openImport(ctx, c.File, c.Format, lane, p.console.in)
	if err != nil {
		return err
	}
	defer file.Close()

	r := importRun{importCommand: c, p: p, file: file}
	if err := r.check(ctx); err != nil {
		return err
	}
	if c.DryRun {
		return r.dry()
	}
	if r.report, err = newReport(c.Report); err != nil {
		return err
	}
	defer r.report.discard()
	if r.conn, err = p.connect(ctx, c.Instance); err != nil {
		return err
	}
	defer r.conn.Close()
	if err := r.enqueue(ctx); err != nil {
		return err
	}
	return r.finish(ctx)
}

// importRun is one run of the command.
type importRun struct {
	*importCommand
	p      *program
	conn   *connection
	file   *importFile
	report *report
	found  survey
	rows   []int32 // The line of each row that was handed over, for conflicts.
	result enqueue.BulkResult

	conflicts map[int]bool // The lines of the rows that were not accepted.
}

// badRowJSON is a bad row in --json; a row with several problems has several.
type badRowJSON struct {
	Row    int    `json:"row"`
	Field  string `json:"field"` // "" if the whole row is at fault
	Reason string `json:"reason"`
}

// check lists every bad row. Unless they are to be skipped, they end the run.
func (r *importRun) check(ctx context.Context) (err error) {
	p := r.p
	bad := func(e *enqueue.RowError) error {
		if !r.JSON {
			p.console.note("row %d: %s", e.Row, problemsOf(e))
			return nil
		}
		for _, problem := range e.Problems {
			if err := p.printJSON(badRowJSON{e.Row, problem.Field, problem.Reason}); err != nil {
				return err
			}
		}
		return nil
	}
	duplicate := func(e *enqueue.DuplicateError) {
		if !e.Same {
			p.console.note("%v", e) // Something is lost by leaving it out.
		}
	}
	if r.found, err = r.file.check(ctx, bad, duplicate); err != nil {
		return err
	}
	if r.ImportID == "" {
		r.ImportID = r.found.id
	}
	rows := r.found.good + r.found.bad + r.found.duplicates
	switch {
	case r.found.bad > 0 && !r.SkipInvalid:
		return usagef("%s of %s rows are bad, so nothing was enqueued: mend them, or leave them out with --skip-invalid", thousands(int64(r.found.bad)), thousands(int64(rows)))
	case rows == 0:
		return usagef("%s has no rows, so there is nobody to invite", r.file.name)
	case r.found.good == 0:
		return usagef("%s has no good row, so there is nobody to invite", r.file.name)
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
	importJSON
}

func (r *importRun) json(i enqueue.Import) importResultJSON {
	return importResultJSON{
		Rows: r.found.good + r.found.bad + r.found.duplicates, Invalid: r.found.bad, Duplicates: r.found.duplicates,
		Admitted: r.result.Admitted, Known: r.result.Known, Conflicting: r.result.Conflicting, DryRun: r.DryRun,
		importJSON: importOf(i),
	}
}

// leftOut says which rows are not among the invites; "" if all are.
func (r *importRun) leftOut() string {
	var words []string
	if r.found.duplicates > 0 {
		words = append(words, thousands(int64(r.found.duplicates))+" with the address of an earlier row")
	}
	if r.found.bad > 0 {
		words = append(words, thousands(int64(r.found.bad))+" bad")
	}
	if len(words) == 0 {
		return ""
	}
	return "; left out: " + strings.Join(words, ", ")
}

func (r *importRun) dry() error {
	if r.JSON {
		return r.p.printJSON(r.json(enqueue.Import{ID: r.ImportID}))
	}
	_, err := fmt.Fprintf(r.p.console.out, "%s invites would be enqueued as %s%s. Nothing was done.\n",
		thousands(int64(r.found.good)), r.ImportID, r.leftOut())
	return err
}

// enqueue hands the good rows over.
func (r *importRun) enqueue(ctx context.Context) error {
	p := r.p
	rows, err := r.file.rows(ctx, io.Discard)
	if err != nil {
		return err
	}
	screen := newLive(p.console)
	defer screen.clear()
	skip := func(error) {}
	if !r.SkipInvalid {
		skip = nil // Good a moment ago, bad now: the file is being written to.
	}
	r.rows = make([]int32, 0, r.found.good)
	r.result, err = r.conn.client.BulkInvite(ctx, r.counted(rows).Invites(skip), enqueue.BulkOptions{
		ImportID: r.ImportID, KeepLanes: true,
		Progress: func(done enqueue.BulkResult) {
			if screen != nil {
				n := int64(done.Done())
				screen.draw(bar(min(screen.width()-1, 72), int64(r.found.good), screen.paint, part{n, "█", screen.paint.blue}),
					fmt.Sprintf("%s of %s enqueued", thousands(n), thousands(int64(r.found.good))))
			}
		},
	})
	screen.clear()
	if err != nil {
		return r.stopped(ctx, err)
	}
	p.warnTask(r.result.TaskErr)
	r.conflicts = make(map[int]bool, len(r.result.Conflicts))
	for _, conflict := range r.result.Conflicts {
		row := int(r.rows[conflict.Position])
		r.conflicts[row] = true
		p.console.note("row %d: not enqueued: its id or address stands in %s already, with other content", row, r.ImportID)
	}
	if r.JSON {
		return nil
	}
	words := thousands(int64(r.result.Admitted)) + " invites enqueued"
	if r.result.Known > 0 {
		words += fmt.Sprintf(", %s known from an earlier run", thousands(int64(r.result.Known)))
	}
	_, err = fmt.Fprintf(p.console.out, "%s: %s%s.\n", p.console.onOut.bold(r.ImportID), words, r.leftOut())
	if r.result.Admitted == 0 && err == nil {
		p.console.note("To invite the same list anew, give it another --import-id.")
	}
	return err
}

// counted notes the line of every row that goes through.
func (r *importRun) counted(rows enqueue.Source) enqueue.Source {
	return func(yield func(enqueue.Row, error) bool) {
		for row, err := range rows {
			if err == nil {
				r.rows = append(r.rows, int32(row.Number))
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// stopped says how to go on after the list was handed over in part.
func (r *importRun) stopped(ctx context.Context, err error) error {
	e, ok := errors.AsType[*enqueue.ImportError](err)
	if !ok {
		return err
	}
	why := r.p.explain(e.Err)
	if ctx.Err() != nil {
		why = errors.New("interrupted")
	}
	return fmt.Errorf("%w. %s of %s rows are enqueued; go on with `%s`", why, thousands(int64(e.Done)), thousands(int64(r.found.good)), r.again())
}

// again is the command that goes on with this import.
func (r *importRun) again() string {
	words := []string{"inviteq import", quoted(r.File), "--import-id", r.ImportID}
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
		now, err = p.follow(ctx, r.conn, r.ImportID)
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
	case !now.ETA.IsZero():
		_, err = fmt.Fprintf(p.console.out, "The last one goes %s (%s), as things stand. `inviteq status %s` tells how far it is.\n",
			in(time.Now(), now.ETA), moment(now.ETA), r.ImportID)
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
	if r.report == nil {
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
