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
	"github.com/inviteq/inviteq/worker/ownership"
	"github.com/inviteq/inviteq/worker/verdict"
)

// delivery makes the calls that turns have claimed.
type delivery struct {
	ledger   *ledger.Ledger
	clerk    *clerk.Client
	reads    *reads
	health   *health
	outcomes *outcomes
	observe  *Observer
	log      zerolog.Logger
	ahead    ahead

	timeout  time.Duration  // of one call
	policy   verdict.Policy // without the window, which depends on the endpoint
	screens  bool           // look for refusals before a bulk call
	mark     string         // the key of public_metadata that holds our id
	doubtful func()         // says that an unknown outcome can be read at once
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
		d.settle(t, verdict.NotSent(t))
		return
	}
	_, call := tracer().Start(ctx, "inviteq call")
	made, failed := d.send(ctx, t)
	endCall(call, failed)
	v := verdict.Judge(d.ledger.Time(), t, made, failed, d.policyFor(t.Endpoint))
	if len(v.Suspect) > 0 {
		v = d.isolate(ctx, v)
	}
	_, settling := tracer().Start(ctx, "inviteq settle")
	d.settle(t, v)
	settling.End()
	d.logAttempt(t, failed, time.Since(start))
}

// send makes the call, once, and returns what it made, by the invite's id.
func (d *delivery) send(ctx context.Context, t ledger.Turn) (map[string]clerk.Invitation, *clerk.Error) {
	if t.Endpoint == ledger.Single {
		one, err := d.clerk.Create(ctx, params(t.Batch[0].Invite, d.mark))
		if err != nil {
			return nil, asError(err)
		}
		return map[string]clerk.Invitation{t.Batch[0].Invite.ID: one}, nil // whatever its spelling
	}
	all := make([]clerk.Params, len(t.Batch))
	for i, r := range t.Batch {
		all[i] = params(r.Invite, d.mark)
	}
	made, err := d.clerk.BulkCreate(ctx, all)
	if err != nil {
		return nil, asError(err)
	}
	byID := make(map[string]clerk.Invitation, len(made))
	for i, inv := range made { // in the order of the request
		byID[t.Batch[i].Invite.ID] = inv
	}
	return byID, nil
}

// settle writes the verdict. It goes on trying for as long as the claim lasts:
// afterwards the members are unknown, and a read settles them.
func (d *delivery) settle(t ledger.Turn, v verdict.Verdict) {
	ctx, cancel := context.WithDeadline(context.Background(), t.Deadline.Add(claimMargin))
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		records, err := d.ledger.SettleTurn(ctx, ledger.Now, t, v.Ending)
		if err == nil {
			d.observe.delivered(t, records)
			d.outcomes.tell(records)
			if slices.ContainsFunc(v.Members, func(s ledger.Settlement) bool { return s.To == tasks.Unknown && s.At.IsZero() }) {
				d.doubtful()
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

func params(i tasks.Invite, mark string) clerk.Params {
	p := clerk.Params{
		EmailAddress: i.EmailAddress.Raw(), PublicMetadata: ownership.Mark(i, mark), RedirectURL: i.RedirectURL,
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

func (d *delivery) policyFor(e ledger.Endpoint) verdict.Policy {
	p, limits := d.policy, d.ledger.Config().Limits
	p.Window = limits.Single.Window
	if e == ledger.Bulk {
		p.Window = limits.Bulk.Window
	}
	return p
}

// logAttempt writes the one line of a delivery attempt.
func (d *delivery) logAttempt(t ledger.Turn, failed *clerk.Error, took time.Duration) {
	line := d.log.Info()
	kind := "delivered"
	if failed != nil {
		kind = failed.Kind.String()
		if failed.Kind != clerk.KindQuota {
			line = d.log.Warn()
		} else {
			line = line.Str("advice", tasks.CauseQuota.Entry().String())
		}
		line = line.Int("status", failed.Status).Str("code", failed.Code).Str("trace_id", failed.TraceID).Str("cause", string(failed.Cause))
	}
	ids := make([]string, len(t.Batch))
	people := make([]string, len(t.Batch))
	for i, r := range t.Batch {
		ids[i], people[i] = r.Invite.ID, d.ledger.Person(r.Invite.EmailAddress)
	}
	line.Str("turn", t.ID).Str("endpoint", string(t.Endpoint)).Str("outcome", kind).Int("invites", len(t.Batch)).
		Strs("ids", ids).Strs("people", people).Bool("probe", t.Probe).Dur("took", took).Msg("delivery")
}
