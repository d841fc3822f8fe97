package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

type retryCommand struct {
	What     []string `arg:"" optional:"" help:"Addresses, or ids of inviteq (inq_…) or of Clerk (inv_…)."`
	ImportID string   `placeholder:"ID" help:"Invites of this import."`
	State    []string `placeholder:"STATE" help:"Invites in this state: failed, parked or rejected. Repeatable."`
	Reason   string   `placeholder:"WORD" help:"Only invites with this reason, as inviteq list shows it."`
	DryRun   bool     `help:"Print which invites it would queue, and change nothing."`
	instanceFlag
	jsonFlag
}

func (retryCommand) Help() string {
	return `Queues invites again that have failed, are parked, or were rejected for a cause that you have fixed. Their attempts begin at zero. An invite whose invitation was deleted at Clerk (gone_at_clerk) is queued again only if it is named itself. With --import-id and without --state it takes those that have failed or are parked.

Examples:

  inviteq retry ada@example.com
  inviteq retry --state failed --dry-run
  inviteq retry --import-id imp_0123456789abcdef --state rejected --reason blocked`
}

// Run queues them again.
func (c *retryCommand) Run(ctx context.Context, p *program) error {
	states := p.statesAmong(c.State, ledger.Requeueable, "retried")
	if len(c.What) == 0 && c.ImportID == "" && len(states) == 0 {
		p.complaints.add(usagef("say what to retry: addresses or ids, --import-id, or --state"))
	}
	if len(c.What) > 0 && (c.ImportID != "" || len(states) > 0 || c.Reason != "") {
		p.complaints.add(usagef("give either addresses and ids, or --import-id, --state and --reason"))
	}
	reason := ledger.ReadReason(tasks.Parked, c.Reason) // Scripts may give the word of an earlier version.
	if _, err := tasks.ParseReason(string(reason)); err != nil && reason != "" {
		p.complaints.add(usagef("--reason: %w", err))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	w := requeuer{p: p, conn: conn, from: ledger.Requeueable, dry: c.DryRun, json: c.JSON}
	if len(c.What) > 0 {
		return w.targets(ctx, c.What)
	}
	if len(states) == 0 {
		states = []tasks.State{tasks.Failed, tasks.Parked}
	}
	w.from = states
	return w.all(ctx, enqueue.ListOptions{ImportID: c.ImportID, States: states}, reason)
}

type releaseCommand struct {
	What   []string `arg:"" help:"Addresses or ids."`
	DryRun bool     `help:"Print which invites it would queue, and change nothing."`
	instanceFlag
	jsonFlag
}

func (releaseCommand) Help() string {
	return `An invite is parked when only a person can decide: it may have been sent and ignore_existing would send it twice, or three workers died while they sent it. Look first, with inviteq status ADDRESS and in Clerk's dashboard.

Example:

  inviteq release inq_0123456789abcdef`
}

// Run queues parked invites again.
func (c *releaseCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	w := requeuer{p: p, conn: conn, from: []tasks.State{tasks.Parked}, dry: c.DryRun, json: c.JSON}
	return w.targets(ctx, c.What)
}

// requeuer puts invites back into the queue, a few hundred at a time.
type requeuer struct {
	p         *program
	conn      *connection
	from      []tasks.State
	dry, json bool
	done      int
}

// requeueBatch is how many go in one step.
const requeueBatch = 200

// targets requeues what was named. Whatever cannot be requeued is said, and
// makes the command fail.
func (w *requeuer) targets(ctx context.Context, targets []string) error {
	failed := false
	for n, target := range targets {
		list, err := w.conn.client.Status(ctx, target)
		if errors.Is(err, enqueue.ErrNotFound) {
			w.p.console.note("argument %d: nothing is known of it", n+1)
			failed = true
			continue
		}
		if err != nil {
			return err
		}
		fitting := slices.DeleteFunc(slices.Clone(list), func(s enqueue.Status) bool {
			return !slices.Contains(w.from, s.State) && s.Reason != tasks.ReasonGoneAtClerk
		})
		if len(fitting) == 0 {
			w.p.console.note("argument %d: %s is %s, so there is nothing to queue again", n+1, list[0].ID, list[0].State)
			failed = true
			continue
		}
		if err := w.requeue(ctx, fitting[:1]); err != nil { // the newest: older ones for an address are history
			return err
		}
	}
	if err := w.summary(); err != nil {
		return err
	}
	if failed {
		return errTold
	}
	return nil
}

// all requeues a whole list. It is read to its end first, because requeueing
// would change it while it is read.
func (w *requeuer) all(ctx context.Context, o enqueue.ListOptions, reason tasks.Reason) error {
	var found []enqueue.Status
	for s, err := range w.conn.client.All(ctx, o) {
		if err != nil {
			return err
		}
		if reason == "" || s.Reason == reason {
			found = append(found, s)
		}
	}
	for batch := range slices.Chunk(found, requeueBatch) {
		if err := w.requeue(ctx, batch); err != nil {
			return err
		}
	}
	return w.summary()
}

func (w *requeuer) requeue(ctx context.Context, batch []enqueue.Status) error {
	done := make([]bool, len(batch))
	if w.dry {
		for i := range done {
			done[i] = true
		}
	} else {
		ids := make([]string, len(batch))
		for i, s := range batch {
			ids[i] = s.ID
		}
		var err error
		if done, err = w.conn.ledger.Requeue(ctx, ledger.Now, tasks.ReasonQueuedByHand, append(slices.Clone(w.from), tasks.Revoked), ids...); err != nil {
			return err
		}
		w.p.audit(ctx, w.conn, "queue again", ids[0], len(ids))
	}
	var shown []enqueue.Status
	for i, s := range batch {
		if done[i] {
			w.done++
			shown = append(shown, s)
		}
	}
	if w.json {
		return w.p.printStatuses(shown, true)
	}
	for _, s := range shown {
		if _, err := fmt.Fprintf(w.p.console.out, "%s  %s  %s\n", s.ID, s.EmailAddress.Raw(), s.Reason); err != nil {
			return err
		}
	}
	return nil
}

func (w *requeuer) summary() error {
	verb := "queued again"
	if w.dry {
		verb = "would be queued again"
	}
	w.p.console.note("%s %s", show.Count(w.done, "invite"), verb)
	return nil
}
