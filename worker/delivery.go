package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

// delivery makes the calls of turns.
type delivery struct {
	ledger     *ledger.Ledger
	clerk      *clerk.Client
	reads      *reads
	policy     verdict.Policy
	outcomes   *outcomes
	health     *health
	observe    *Observer
	log        zerolog.Logger
	timeout    time.Duration // of one call
	bulk       int           // how many a full bulk holds
	screening  bool
	wakeChores func()
}

// deliver makes the one call of a turn. The turn has written the claim; the call
// is made once; what is known afterwards is settled under the claim. None of it
// is interrupted by a shutdown: once the POST has left, its outcome is written.
func (d *delivery) deliver(ctx context.Context, t ledger.Turn, asked time.Time) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.Deadline)
	defer cancel()
	ctx, span := traceDelivery(ctx, t, asked, d.outcomes)
	defer span.End()
	start := time.Now()

	reading, read := context.WithTimeout(ctx, screenTimeout)
	t.Batch = d.recall(reading, t)
	t.Batch = d.screen(reading, t)
	read()
	if len(t.Batch) == 0 || time.Until(t.Deadline) < d.timeout+claimMargin/2 {
		d.settle(t, verdict.NotSent(t.Batch).Ending)
		return
	}
	_, call := tracer().Start(ctx, "inviteq call")
	made, err := d.send(ctx, t)
	endCall(call, err)
	v := d.policy.Judge(time.Now(), t, made, err)
	if len(v.Suspects) > 0 {
		v.Members = append(v.Members, d.reads.isolate(ctx, v.Suspects)...)
	}
	_, settling := tracer().Start(ctx, "inviteq settle")
	d.settle(t, v.Ending)
	settling.End()
	d.logAttempt(t, err, time.Since(start))
}

// send makes the call, once, and matches the answer to the batch by address.
func (d *delivery) send(ctx context.Context, t ledger.Turn) (map[string]clerk.Invitation, *clerk.Error) {
	var made []clerk.Invitation
	var err error
	if t.Endpoint == ledger.Single {
		var one clerk.Invitation
		one, err = d.clerk.Create(ctx, params(t.Batch[0].Invite))
		made = []clerk.Invitation{one}
	} else {
		all := make([]clerk.Params, len(t.Batch))
		for i, r := range t.Batch {
			all[i] = params(r.Invite)
		}
		made, err = d.clerk.BulkCreate(ctx, all)
	}
	if err != nil {
		return nil, asError(err)
	}
	ids := make(map[string]string, len(t.Batch))
	for _, r := range t.Batch {
		ids[r.Invite.EmailAddress.Key()] = r.Invite.ID
	}
	byID := make(map[string]clerk.Invitation, len(made))
	for _, inv := range made {
		byID[ids[tasks.EmailKey(inv.EmailAddress)]] = inv
	}
	return byID, nil
}

// settle writes what the turn has come to. It goes on trying for as long as the
// claim lasts: afterwards the members are unknown, and a read settles them.
func (d *delivery) settle(t ledger.Turn, e ledger.Ending) {
	ctx, cancel := context.WithDeadline(context.Background(), t.Deadline.Add(claimMargin))
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		records, err := d.ledger.SettleTurn(ctx, time.Now(), t, e)
		if err == nil {
			d.observe.delivered(t, records)
			d.outcomes.tell(records)
			if slices.ContainsFunc(e.Members, func(s ledger.Settlement) bool { return s.To == tasks.Unknown && s.At.IsZero() }) {
				d.wakeChores()
			}
			return
		}
		d.health.redis(err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			d.log.Error().Str("turn", t.ID).Err(err).Msg("an outcome could not be written; reading at Clerk will settle it")
			return
		}
	}
}

func params(i tasks.Invite) clerk.Params {
	p := clerk.Params{
		EmailAddress: i.EmailAddress.Raw(), PublicMetadata: i.PublicMetadata, RedirectURL: i.RedirectURL,
		IgnoreExisting: i.IgnoreExisting, ExpiresInDays: i.ExpiresInDays, TemplateSlug: i.TemplateSlug,
	}
	if i.NoNotify {
		p.Notify = new(false)
	}
	return p
}

func asError(err error) *clerk.Error {
	if e, ok := errors.AsType[*clerk.Error](err); ok {
		return e
	}
	return &clerk.Error{Kind: clerk.KindOf(err)}
}

// logAttempt writes the one line of a delivery attempt.
func (d *delivery) logAttempt(t ledger.Turn, e *clerk.Error, took time.Duration) {
	line := d.log.Info()
	kind := "delivered"
	if e != nil {
		kind = e.Kind.String()
		if e.Kind != clerk.KindQuota {
			line = d.log.Warn()
		}
		line = line.Int("status", e.Status).Str("code", e.Code).Str("trace_id", e.TraceID).Str("cause", string(e.Cause))
	}
	ids := make([]string, len(t.Batch))
	people := make([]string, len(t.Batch))
	for i, r := range t.Batch {
		ids[i], people[i] = r.Invite.ID, d.ledger.Person(r.Invite.EmailAddress)
	}
	line.Str("turn", t.ID).Str("endpoint", string(t.Endpoint)).Str("outcome", kind).Int("invites", len(t.Batch)).
		Strs("ids", ids).Strs("people", people).Bool("probe", t.Probe).Dur("took", took).Msg("delivery")
}
