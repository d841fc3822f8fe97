package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/show"
)

type importCommand struct {
	File string `arg:"" help:"A CSV, JSON or JSON Lines file or an Excel workbook (.xlsx), perhaps compressed by gzip; - is standard input."`

	listFlags
	Lane        string        `enum:"interactive,import" default:"import" placeholder:"LANE" help:"The lane of rows that name none: import, or interactive for a short list whose people wait for the mail."`
	ImportID    string        `placeholder:"ID" help:"Names the import. Defaults to one made of the list's content, so that the same list again is the same import."`
	Hold        time.Duration `placeholder:"DURATION" help:"Wait so long before the first row goes, such as 10m. Until then no invitation is sent, and you can still take the import back."`
	MaxWaiting  int64         `default:"2000000" placeholder:"INVITES" help:"The most invites of the instance that may wait, the list's included."`
	SkipInvalid bool          `help:"Leave bad rows out, instead of enqueueing nothing."`
	DryRun      bool          `help:"Check every row and do nothing. It needs no Redis; ids are compared with those of earlier lists if there is one."`
	Preflight   bool          `help:"Say what would become of the list, by free reads at Clerk, and do nothing: who has an account, who is invited already, how long it would take. Needs CLERK_SECRET_KEY."`
	Wait        bool          `help:"Follow the import until every row is settled, and print the outcomes. The exit code is 1 if any row has failed or is parked."`
	Report      string        `placeholder:"FILE" help:"Write the outcome of every row to a CSV file, as it is when the command ends."`
	clerkFlag
	instanceFlag
	jsonFlag
}

func (importCommand) Help() string {
	return `Hand it the file that another program has exported. The first row names the columns, in any order; email, E-mail Address and their like hold the address, and these mean the same as the flags of inviteq invite: public_metadata.KEY or public_metadata, redirect_url, notify, ignore_existing, expires_in_days, template_slug, id, lane, not_before, deadline. Other columns are ignored, and named. JSON has an object with these fields for each person.

Every row is checked before anything is enqueued. Rows with the address of an earlier row are left out. Importing the same file again enqueues nothing twice: repeat the command after whatever went wrong.

Examples:

  inviteq import team.csv --dry-run
  inviteq import team.csv --preflight
  inviteq import team.xlsx --column email_address="Work mail" --wait --report outcomes.csv
  sqlite3 -csv -header app.db 'select email from waitlist' | inviteq import - --import-id waitlist-may`
}

// Run checks the list, enqueues it, and follows it if it is told to.
func (c *importCommand) Run(ctx context.Context, p *program) error {
	if c.ImportID != "" {
		if err := tasks.CheckID(c.ImportID); err != nil {
			p.complaints.add(fmt.Errorf("--import-id ($INVITEQ_IMPORT_ID) %w", err))
		}
	}
	options := c.options(p)
	options.Interactive = c.Lane == tasks.Interactive.String()
	// Redis is not needed for this, but its address is: all complaints at once.
	p.redisOptions()
	p.instance(c.Instance)
	if options.Hold = c.Hold; c.Hold < 0 {
		p.complaints.add(errors.New("--hold ($INVITEQ_HOLD) must not be negative"))
	}
	if c.DryRun && c.Preflight {
		p.complaints.add(errors.New("--preflight does what --dry-run does, and more; leave one of them out"))
	}
	var api *clerk.Client
	if c.Preflight {
		api = p.clerkClient(c.ClerkAPIURL, clerk.DefaultTimeout)
	}
	if err := p.complaints.usage(); err != nil {
		return err
	}
	list, err := p.openList(ctx, c.File, options)
	if err != nil {
		return err
	}
	defer list.Close()

	r := importRun{importCommand: c, p: p, list: list, done: "enqueued"}
	if err := r.check(ctx); err != nil {
		return err
	}
	if c.DryRun {
		return r.dry(ctx)
	}
	if r.report, err = newReport(c.Report); err != nil {
		return err
	}
	defer r.report.discard()
	if r.conn, err = p.connect(ctx, c.Instance); err != nil {
		return err
	}
	defer r.conn.Close()
	if c.Preflight {
		defer api.Close()
		return r.preflight(ctx, api)
	}
	if err = r.announceMemory(ctx); err == nil {
		err = r.enqueue(ctx)
	}
	if err == nil {
		err = r.finish(ctx)
	}
	if ctx.Err() != nil && r.ImportID != "" {
		// Told to stop, it still says what has become of every row so far.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if late := r.writeReport(late); late != nil {
			err = errors.Join(err, late)
		}
	}
	return err
}

// inviteBytes is what an invite without metadata takes of Redis once it is delivered: with
// its record, its asynq task's share, Clerk's id and the indexes (make bench, memory).
const inviteBytes = 700

// announceMemory says how much of Redis' memory a long list will take when it is
// delivered, which is more than it takes while it waits, and whether that is there.
func (r *importRun) announceMemory(ctx context.Context) error {
	need := int64(r.found.Good)*inviteBytes + r.found.Content
	left, limited, err := redisconn.RoomLeft(ctx, r.conn.rdb, r.conn.ledger.Key())
	if err != nil || !limited {
		return err
	}
	words := fmt.Sprintf("When it is delivered, the list will take about %s MB of Redis' memory; %s MB are left for imports.", show.Thousands(need>>20), show.Thousands(left>>20))
	switch {
	case need > left:
		r.p.console.note("%s Raise maxmemory before it is used up: what is accepted then is still delivered, but no other import is taken.", words)
	case need > left/10 && need > 100<<20:
		r.p.console.note("%s", words)
	}
	return nil
}
