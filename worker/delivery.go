package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// deliver makes the one call of a turn. The turn has written the claim; the call
// is made once; what is known afterwards is settled under the claim. None of it
// is interrupted by a shutdown: once the POST has left, its outcome is written.
func (w *Worker) deliver(ctx context.Context, t ledger.Turn, asked time.Time) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.Deadline)
	defer cancel()
	ctx, span := w.traceDelivery(ctx, t, asked)
	defer span.End()
	start := time.Now()

	reading, read := context.WithTimeout(ctx, screenTimeout)
	t.Batch = w.recall(reading, t)
	t.Batch = w.screen(reading, t)
	read()
	if len(t.Batch) == 0 || time.Until(t.Deadline) < w.cfg.RequestTimeout+claimMargin/2 {
		w.settle(t, giveBack(t))
		return
	}
	_, call := tracer().Start(ctx, "inviteq call")
	made, err := w.send(ctx, t)
	endCall(call, err)
	v := judge(time.Now(), t, t.Batch, made, err, &w.cfg, w.window(t.Endpoint))
	if len(v.suspect) > 0 {
		v.members = append(v.members, w.isolate(ctx, v.suspect)...)
	}
	_, settling := tracer().Start(ctx, "inviteq settle")
	w.settle(t, v)
	settling.End()
	w.logAttempt(t, err, time.Since(start))
}

// send makes the call, once, and matches the answer to the batch by address.
func (w *Worker) send(ctx context.Context, t ledger.Turn) (map[string]clerk.Invitation, error) {
	var made []clerk.Invitation
	var err error
	if t.Endpoint == ledger.Single {
		var one clerk.Invitation
		one, err = w.clerk.Create(ctx, params(t.Batch[0].Invite))
		made = []clerk.Invitation{one}
	} else {
		all := make([]clerk.Params, len(t.Batch))
		for i, r := range t.Batch {
			all[i] = params(r.Invite)
		}
		made, err = w.clerk.BulkCreate(ctx, all)
	}
	if err != nil {
		return nil, err
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

// settle writes the verdict. It goes on trying for as long as the claim lasts:
// afterwards the members are unknown, and a read settles them.
func (w *Worker) settle(t ledger.Turn, v verdict) {
	ctx, cancel := context.WithDeadline(context.Background(), t.Deadline.Add(claimMargin))
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		records, err := w.ledger.SettleTurn(ctx, time.Now(), t, ledger.Ending{Token: v.token, Gate: v.gate, Members: v.members})
		if err == nil {
			w.cfg.Observe.delivered(t, records)
			w.outcomes.tell(records)
			if slices.ContainsFunc(v.members, func(s ledger.Settlement) bool { return s.To == tasks.Unknown && s.At.IsZero() }) {
				w.nudgeChores()
			}
			return
		}
		w.health.redis(err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			w.log.Error().Str("turn", t.ID).Err(err).Msg("an outcome could not be written; reading at Clerk will settle it")
			return
		}
	}
}

// giveBack is the verdict on a turn from which nothing was sent.
func giveBack(t ledger.Turn) verdict {
	v := verdict{token: ledger.RefundToken}
	for _, r := range t.Batch {
		v.members = append(v.members, settled(r, tasks.Queued, tasks.ReasonNotSent, ""))
	}
	return v
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

func (w *Worker) window(e ledger.Endpoint) time.Duration {
	if e == ledger.Bulk {
		return w.cfg.Ledger.Limits.Bulk.Window
	}
	return w.cfg.Ledger.Limits.Single.Window
}

// logAttempt writes the one line of a delivery attempt.
func (w *Worker) logAttempt(t ledger.Turn, err error, took time.Duration) {
	line := w.log.Info()
	kind := "delivered"
	if err != nil {
		e := asError(err)
		kind = e.Kind.String()
		if e.Kind != clerk.KindQuota {
			line = w.log.Warn()
		}
		line = line.Int("status", e.Status).Str("code", e.Code).Str("trace_id", e.TraceID).Str("cause", string(e.Cause))
	}
	ids := make([]string, len(t.Batch))
	people := make([]string, len(t.Batch))
	for i, r := range t.Batch {
		ids[i], people[i] = r.Invite.ID, w.ledger.Person(r.Invite.EmailAddress)
	}
	line.Str("turn", t.ID).Str("endpoint", string(t.Endpoint)).Str("outcome", kind).Int("invites", len(t.Batch)).
		Strs("ids", ids).Strs("people", people).Bool("probe", t.Probe).Dur("took", took).Msg("delivery")
}
