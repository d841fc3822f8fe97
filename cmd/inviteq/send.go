package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/cmd/inviteq/store"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker"
)

type sendCommand struct {
	File string `arg:"" help:"A CSV, JSON or JSON Lines file or an Excel workbook (.xlsx), perhaps compressed by gzip; - is standard input."`

	listFlags
	SkipInvalid bool   `help:"Leave bad rows out, instead of sending nothing."`
	DryRun      bool   `help:"Check the list, say what would happen, and send nothing."`
	Retry       bool   `help:"Queue the rows again that have failed or are parked, as inviteq retry does. Look at why they did first: a parked one may have been sent."`
	Yes         bool   `help:"Do not ask before sending; needed where there is no terminal."`
	Report      string `placeholder:"FILE" help:"Write the outcome of every row to a CSV file when all is done."`
	clerkFlag
	limitFlags
	RequestTimeout string `default:"10s" placeholder:"DURATION" help:"How long one call to Clerk may take."`
	Mark           string `placeholder:"KEY" help:"The key of public_metadata under which every invitation carries its id, by which a lost answer is settled for certain. Defaults to inviteq_id for a list that has a row with ignore_existing, and to none otherwise; none disables it."`
	jsonFlag
}

func (sendCommand) Help() string {
	return `For a list and no Redis: one command checks the list, says what would happen, asks, sends at the full rate of Clerk's limits, and tells what became of each person. Needs CLERK_SECRET_KEY, or CLERK_SECRET_KEY_FILE, which names a file that holds it. The list is read as inviteq import reads it.

It may take hours: Clerk's published limits allow 350 invitations an hour. Ctrl-C, or whatever ends it, does no harm: the same command goes on where it was, and invites nobody twice. What it must remember for that lies in $XDG_STATE_HOME/inviteq (~/.local/state/inviteq), in a folder for each key.

Examples:

  CLERK_SECRET_KEY_FILE=clerk.key inviteq send team.csv
  inviteq send team.xlsx --sheet Guests --report outcomes.csv
  inviteq send team.csv --dry-run
  CLERK_SECRET_KEY=sk_test_clerksim CLERK_API_URL=http://127.0.0.1:9090/v1 inviteq send team.csv`
}

// sendRun is one run of the command: an import, and a worker that sends nothing else.
type sendRun struct {
	importRun
	command *sendCommand
	store   *store.Store
	worker  worker.Config
	engine  *engine
}

// Run sends the list.
func (c *sendCommand) Run(ctx context.Context, p *program) error {
	r := sendRun{command: c, importRun: importRun{p: p, done: "sent", importCommand: &importCommand{
		File: c.File, listFlags: c.listFlags, SkipInvalid: c.SkipInvalid, DryRun: c.DryRun, Report: c.Report, jsonFlag: c.jsonFlag,
	}}}
	options := c.options(p)
	limits, bulk := c.limits(&p.complaints)
	timeout := setting(&p.complaints, "request-timeout", c.RequestTimeout, span)
	p.readKeys()
	r.worker = worker.Config{
		Ledger: ledger.Config{Limits: limits, Bulk: bulk, EncryptionKeys: p.keys}, Clerk: p.clerkClient(c.ClerkAPIURL, timeout),
		RequestTimeout: timeout, ShutdownTimeout: max(35*time.Second, timeout+25*time.Second), // longer than a claim
		Redis: new(redis.UniversalOptions), Mark: c.Mark, // as far as is known yet
	}
	if r.worker.Clerk != nil {
		p.complaints.add(r.worker.Check())
	}
	dir, err := p.stateFolder(c.ClerkAPIURL)
	p.complaints.add(err)
	if !c.Yes && !c.DryRun && (terminal(p.console.in) == nil || c.File == "-") {
		p.complaints.add(errors.New("there is no terminal on which to ask before sending: say --yes"))
	}
	if err := p.complaints.usage(); err != nil {
		return err
	}
	defer r.worker.Clerk.Close()
	if r.list, err = p.openList(ctx, c.File, options); err != nil {
		return err
	}
	defer r.list.Close()
	if err := r.check(ctx); err != nil {
		return err
	}
	if r.report, err = newReport(c.Report); err != nil {
		return err
	}
	defer r.report.discard()
	if err := r.open(ctx, dir); err != nil {
		return err
	}
	return errors.Join(r.send(ctx), r.close())
}

// send does the work between open and close.
func (r *sendRun) send(ctx context.Context) error {
	before, err := r.conn.client.Import(ctx, r.ImportID)
	isNew := errors.Is(err, enqueue.ErrNotFound)
	if err != nil && !isNew {
		return err
	}
	if err := r.onlyThis(ctx); err != nil {
		return err
	}
	if r.worker.Mark, err = r.mark(ctx); err != nil {
		return err
	}
	// No call without the mark leaves from now on: there is no other worker.
	l := r.conn.ledger
	if _, err := l.PublishMark(ctx, l.Time().Add(-ledger.MarkSettles), r.worker.Mark); err != nil {
		return err
	}
	if isNew {
		if goes, err := r.announce(ctx); err != nil || !goes {
			return err
		}
	} else {
		r.p.console.note("%s was begun before: %s of %s are settled.", listName(r.File), show.Thousands(before.Total-before.Open), show.Thousands(before.Total))
		if r.DryRun {
			return nil
		}
	}
	if err := r.handOver(ctx); err != nil {
		return err
	}
	if r.command.Retry && !isNew {
		again := requeuer{p: r.p, conn: r.conn, from: []tasks.State{tasks.Failed, tasks.Parked}, json: r.JSON}
		if err := again.all(ctx, enqueue.ListOptions{ImportID: r.ImportID, States: again.from}, ""); err != nil {
			return err
		}
	}
	now, err := r.conn.client.Import(ctx, r.ImportID)
	if err == nil && now.Open > 0 {
		now, err = r.deliver(ctx)
	}
	if err != nil {
		return err
	}
	return r.told(ctx, now)
}

// announce says what would happen, and asks.
func (r *sendRun) announce(ctx context.Context) (goes bool, _ error) {
	p := r.p
	f, err := p.forecast(ctx, r.conn.ledger, r.worker.Clerk, r.list, r.found, r.ImportID, true)
	if err != nil {
		return false, err
	}
	if r.JSON {
		err = p.printJSON(preflightJSON{r.found.Rows(), r.found.Bad, r.found.Duplicates, r.ImportID, f.Forecast})
	} else {
		err = p.printForecast(r.found, f, true)
	}
	switch {
	case err != nil:
		return false, err
	case r.DryRun:
		p.console.note("Nothing was sent.")
		return false, nil
	case f.ToSend == 0:
		p.console.note("There is nobody to invite, so nothing was sent.")
		return false, nil
	}
	if r.worker.Mark != "" {
		p.console.note("Each invitation carries its id in public_metadata.%s, so that none is sent twice (--mark).", r.worker.Mark)
	}
	if r.command.Yes {
		return true, nil
	}
	yes, err := p.ask(ctx, fmt.Sprintf("Send %s now?", show.Count(f.ToSend, "invitation")))
	if err == nil && !yes {
		p.console.note("Nothing was sent.")
	}
	return yes, err
}

// ask puts a question to the terminal.
func (p *program) ask(ctx context.Context, question string) (yes bool, _ error) {
	fmt.Fprintf(p.console.err, "%s [y/N] ", p.console.onErr.bold(question))
	answer := make(chan string, 1)
	go func() { // A read may wait for ever; then it ends with the process.
		line, err := bufio.NewReader(p.console.in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			fmt.Fprintln(p.console.err)
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		fmt.Fprintln(p.console.err)
		return false, context.Cause(ctx)
	}
}

// deliver works until every row is settled, or until it is told to stop.
func (r *sendRun) deliver(ctx context.Context) (now enqueue.Import, err error) {
	p := r.p
	working, gone := context.WithCancelCause(ctx)
	defer gone(nil)
	go func() {
		select {
		case <-r.store.Done():
			gone(r.store.Err())
		case <-working.Done():
		}
	}()
	if r.engine, working, err = startEngine(working, r.worker); err != nil {
		return now, err
	}
	now, err = p.follow(working, r.conn, r.ImportID, r.trouble(working))
	if err != nil && ctx.Err() != nil {
		p.console.note("Stopping; calls to Clerk that are under way are finished first. A second Ctrl-C stops at once.")
	}
	if failed := r.engine.halt(); failed != nil {
		return now, failed
	}
	if err == nil || ctx.Err() == nil {
		return now, err
	}
	if now, err = r.conn.client.Import(context.WithoutCancel(ctx), r.ImportID); err != nil {
		return now, err
	}
	p.console.note("%s of %s are settled. To go on: `%s`", show.Thousands(now.Total-now.Open), show.Thousands(now.Total), r.again())
	return now, context.Canceled
}

// trouble is what keeps the list from going on, and what to do about it.
func (r *sendRun) trouble(ctx context.Context) func(enqueue.Import) []string {
	return func(i enqueue.Import) []string {
		var words []string
		asking, problems := r.engine.Asking(), r.engine.Problems()
		delete(problems, tasks.ProblemDraining)
		for _, what := range slices.Sorted(maps.Keys(problems)) {
			if what == tasks.ProblemClerkUnreached && asking {
				continue
			}
			words = append(words, r.p.console.onErr.yellow("Nothing is sent now: ")+problems[what])
		}
		n := i.States[tasks.Unknown]
		if n == 0 || n < i.Open {
			return words
		}
		if at, err := r.conn.ledger.NextLook(ctx); err == nil && time.Until(at) > time.Minute {
			words = append(words, fmt.Sprintf("Clerk gave no clear answer about %s; at %s it is certain what became of them.", show.Count(n, "invitation"), show.Time(at)))
		}
		return words
	}
}

// told says how it ended.
func (r *sendRun) told(ctx context.Context, now enqueue.Import) error {
	if err := r.writeReport(ctx); err != nil {
		return err
	}
	var err error
	if r.JSON {
		err = r.p.printJSON(r.json(now))
	} else {
		err = r.printOutcomes(ctx, now)
	}
	if err != nil {
		return err
	}
	delivered, refused, trouble := tally(now.States)
	if r.report == nil && !r.JSON && refused+trouble > 0 && delivered+refused+trouble > 0 {
		r.p.console.note("`%s --report outcomes.csv` names the people; it sends nothing again.", r.again())
	}
	if trouble > 0 && !r.JSON {
		r.p.console.note("`%s --retry` tries those again that have failed or are parked.", r.again())
	}
	if trouble > 0 || r.result.Conflicting > 0 {
		return errTold
	}
	return nil
}
