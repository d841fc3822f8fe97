package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

// Clerk is what a pass needs of a Clerk client.
type Clerk interface {
	List(ctx context.Context, o clerk.ListOptions) (clerk.Page, error)
	Revoke(ctx context.Context, invitationID string) (clerk.Invitation, error)
}

// Pass is one comparison. Fill in Ledger and Clerk, and call Run once.
type Pass struct {
	Ledger *ledger.Ledger
	Clerk  Clerk

	Full        bool          // Read everything. Default: the newest, down to known ground.
	DryRun      bool          // Find, and change nothing.
	Adopt       bool          // Record invitations that we did not create.
	AdoptBefore time.Time     // With Adopt: only those that were made before. Defaults to all.
	RevokeExtra bool          // Of several pending invitations for one person revoke all but the newest.
	Retention   time.Duration // How long the ledger remembers settled invites. Default: as the last report says; negative: for ever.
	ReadShare   float64       // Share of the read quota that it may use. Defaults to 0.2.
	Progress    func(Report)  // Called now and then.

	// Facts is what decisions about ownership rest on. Defaults to the ledger's clock,
	// no epochs and no mark.
	Facts func() ownership.Facts

	report  Report
	rows    []Row
	kept    map[Finding]int // rows of a finding, those beyond RowsKept included
	seed    maphash.Seed
	seen    map[uint64]struct{}  // Clerk's ids
	pending map[uint64]candidate // by person
	newest  time.Time            // when the newest invitation was created that the list has shown
}

const (
	batchSize   = 200
	lookApart   = 15 * time.Second // between two looks for one that is missing: the list may lag
	longestWait = time.Minute      // for a read that Clerk refuses for lack of quota
	recentBack  = 15 * time.Minute // how far a recent pass reads beyond the start of the last one
)

// Run makes the pass. The report says what was done even if there is an error.
func (p *Pass) Run(ctx context.Context) (Report, error) {
	p.seed = maphash.MakeSeed()
	p.kept = map[Finding]int{}
	p.seen, p.pending = map[uint64]struct{}{}, map[uint64]candidate{}
	p.report = Report{Kind: p.kind(), DryRun: p.DryRun, StartedAt: time.Now(), Retention: p.Retention, Settled: map[string]int{}, MissingIDs: []string{}}
	if p.ReadShare <= 0 || p.ReadShare > 1 {
		p.ReadShare = 0.2
	}
	last, err := LastReports(ctx, p.Ledger)
	if err == nil {
		p.report.Retention = cmp.Or(p.Retention, last["full"].Retention, last["recent"].Retention)
		err = p.scan(ctx, last)
	}
	if err == nil && p.Full && p.report.Agreed {
		err = p.missing(ctx)
	}
	p.report.Took = time.Since(p.report.StartedAt)
	if err != nil || p.DryRun {
		return p.report, err
	}
	rows, err := p.encodeRows()
	if err == nil {
		err = p.Ledger.SaveReport(ctx, p.report.Kind, p.report, rows)
	}
	return p.report, err
}

func (p *Pass) kind() string {
	if p.Full {
		return "full"
	}
	return "recent"
}

// scan reads Clerk's list and settles it a batch at a time.
func (p *Pass) scan(ctx context.Context, last map[string]Report) error {
	scan := &clerk.Scan{Lister: p.Clerk, Before: p.waitForRead}
	rows := scan.All(ctx)
	if !p.Full {
		rows = scan.Recent(ctx, p.knownGround(last))
	}
	batch := make([]clerk.Invitation, 0, batchSize)
	for inv, err := range rows {
		if err != nil && patience(ctx, err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list invitations: %w", err)
		}
		p.seen[maphash.String(p.seed, inv.ID)] = struct{}{}
		if inv.CreatedAt.After(p.newest) {
			p.newest = inv.CreatedAt
		}
		if batch = append(batch, inv); len(batch) == batchSize {
			if err := p.settle(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
			p.note(scan.Report())
		}
	}
	if err := p.settle(ctx, batch); err != nil {
		return err
	}
	p.note(scan.Report())
	return nil
}

// patience waits as long as Clerk says after a refusal for lack of quota, if that is
// not long: others read, too. It reports whether to read again.
func patience(ctx context.Context, err error) bool {
	e, ok := errors.AsType[*clerk.Error](err)
	if !ok || e.Kind != clerk.KindQuota || e.RetryAt.IsZero() {
		return false
	}
	wait := time.Until(e.RetryAt)
	if wait > longestWait {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

func (p *Pass) note(r clerk.Report) {
	p.report.Reads, p.report.Passes, p.report.Agreed, p.report.Doubt = r.Reads, r.Passes, r.Agreed, r.Doubt
	p.report.Scanned = len(p.seen)
	p.tell()
}

// tell shows how far the pass has come.
func (p *Pass) tell() {
	if p.Progress != nil {
		p.report.Took = time.Since(p.report.StartedAt)
		p.Progress(p.report)
	}
}

// knownGround is where a recent pass stops: a while before the last one began.
func (p *Pass) knownGround(last map[string]Report) time.Time {
	ground := time.Time{}
	for _, r := range last {
		if r.StartedAt.After(ground) {
			ground = r.StartedAt
		}
	}
	if ground.IsZero() {
		ground = p.report.StartedAt.Add(-24 * time.Hour)
	}
	return ground.Add(-recentBack)
}

// settle compares a batch of invitations with the ledger.
func (p *Pass) settle(ctx context.Context, batch []clerk.Invitation) error {
	if len(batch) == 0 {
		return nil
	}
	ids := make([]string, len(batch))
	for i, inv := range batch {
		ids[i] = inv.ID
	}
	owners, err := p.Ledger.FindInvitations(ctx, ids...)
	if err != nil {
		return err
	}
	var ours []string
	for _, id := range owners {
		ours = append(ours, id)
	}
	records, err := p.Ledger.Get(ctx, ours...)
	if err != nil {
		return err
	}
	byID := make(map[string]ledger.Record, len(records))
	for _, r := range records {
		byID[r.Invite.ID] = r
	}
	var changes []ledger.Observation
	var strangers []clerk.Invitation
	for _, inv := range batch {
		r, ok := byID[owners[inv.ID]]
		if !ok {
			strangers = append(strangers, inv)
			continue
		}
		if r.InvitationID != inv.ID {
			// The record has another one by now: this one was missing, and is back.
			p.stranger(Unadoptable, inv)
			continue
		}
		switch f, to := compare(r.State, inv.Status); f {
		case agree, leave:
			p.report.Same++
		case lag:
			p.report.Lagging++
			p.row(rowOf(Lagging, r, inv))
		case settle:
			p.settled(r, inv, to)
			changes = append(changes, ledger.Observation{ID: r.Invite.ID, From: r.State, To: to, Reason: reasonOf(r, to)})
		}
		if r.RevokeWanted && inv.Status == clerk.Pending && !p.DryRun {
			// A worker asks Clerk; this only makes sure that the wish is on its list.
			if _, err := p.Ledger.Cancel(ctx, ledger.Now, r.Invite.ID); err != nil {
				return err
			}
		}
	}
	if !p.DryRun {
		if _, err := p.Ledger.Observe(ctx, ledger.Now, changes...); err != nil {
			return err
		}
	}
	if err := p.meet(ctx, strangers); err != nil {
		return err
	}
	for _, inv := range batch {
		if err := p.double(ctx, inv); err != nil {
			return err
		}
	}
	return nil
}

// waitForRead waits for a token of the share of the read quota that passes have.
func (p *Pass) waitForRead(ctx context.Context) error { return p.Ledger.AwaitShare(ctx, p.ReadShare) }

// reasonOf is why an invite is in the state that Clerk shows. One whose revoke was
// asked for is seen here before its worker, which has carried it out, can say so.
func reasonOf(r ledger.Record, to tasks.State) tasks.Reason {
	if r.RevokeWanted && r.State == tasks.Pending && to == tasks.Revoked {
		return tasks.ReasonRevokeRequested
	}
	return tasks.ReasonSeenAtClerk
}
