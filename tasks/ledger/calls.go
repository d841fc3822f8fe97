package ledger

import (
	"context"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// ArrivalBound is how long after it was given up a call may still be carried out
// at Clerk: a request that stood in a queue there, or on the way. It is inferred;
// Clerk documents nothing. What arrives later still is taken for somebody else's.
const ArrivalBound = 15 * time.Minute

// Call is one call of an invite that got no clear answer. It may have made the
// invite's invitation at any time between Sent and Bound, in the ledger's time.
type Call struct {
	Sent  time.Time // When it was claimed: no byte left before.
	Bound time.Time // After this it will not be carried out any more.
}

// clockStep is how exact the comparison of two times is at best: Redis and Clerk
// both count milliseconds, and both are set by the second.
const clockStep = time.Second

// MayHaveMade reports whether the call may have made an invitation that was
// created at the given time, which is known within uncertainty.
func (c Call) MayHaveMade(created time.Time, uncertainty time.Duration) bool {
	slack := clockStep + uncertainty
	return !created.Before(c.Sent.Add(-slack)) && !created.After(c.Bound.Add(slack))
}

// Calls returns the calls of each invite that got no clear answer, by the invite's
// id; an invite that has none is left out.
func (l *Ledger) Calls(ctx context.Context, records ...Record) (map[string][]Call, error) {
	calls := map[string][]Call{}
	var doubtful []Record
	var ids []string
	for _, r := range records {
		if r.Doubt || r.State == tasks.Unknown {
			doubtful = append(doubtful, r)
			ids = append(ids, r.Invite.ID)
		}
	}
	if len(ids) == 0 {
		return calls, nil
	}
	values, err := l.rdb.HMGet(ctx, l.keys.of("calls"), ids...).Result()
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		s, _ := v.(string)
		if found := parseCalls(s); len(found) > 0 {
			calls[ids[i]] = found
		} else if from := unkept(doubtful[i]); !from.IsZero() {
			calls[ids[i]] = []Call{{Sent: from, Bound: doubtful[i].SentAt.Add(l.cfg.ClaimTTL + ArrivalBound)}}
		}
	}
	return calls, nil
}

// unkept returns from when on a call of an invite may have made an invitation that has
// no call in the ledger: a worker from before calls were kept has made it. It is the
// zero time if there was none. Such a worker marked an invite in doubt only when it went
// back to the queue; then it may have been any of its calls.
func unkept(r Record) time.Time {
	switch {
	case r.SentAt.IsZero():
	case r.Doubt:
		return r.CreatedAt
	case r.State == tasks.Unknown && (r.Reason == tasks.ReasonNoClearAnswer || r.Reason == tasks.ReasonWorkerDied || r.Reason == tasks.ReasonChecking):
		return r.SentAt
	}
	return time.Time{}
}

// parseCalls reads what note_call in lib.lua writes: sent:bound, separated by commas.
func parseCalls(s string) []Call {
	var calls []Call
	for one := range strings.SplitSeq(s, ",") {
		if sent, bound, ok := strings.Cut(one, ":"); ok {
			calls = append(calls, Call{Sent: timeOf(sent), Bound: timeOf(bound)})
		}
	}
	return calls
}

// DueWatches hands out at most n settled invites for whose address a call that got
// no clear answer may still arrive. They come up again after the lease.
func (l *Ledger) DueWatches(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Record, error) {
	return l.due(ctx, now, "watch", lease, n)
}

// EndWatch notes that nothing can arrive for an invite any more. An invite that is
// open again, or has been sent again meanwhile, is left as it is.
func (l *Ledger) EndWatch(ctx context.Context, now time.Time, id string) error {
	return l.run(ctx, "unwatch", millis(now), id).Err()
}

// Arrived counts an invitation that a lost call made after its invite had ended.
func (l *Ledger) Arrived(ctx context.Context) error {
	return l.rdb.HIncrBy(ctx, l.keys.of("totals"), arrivedField, 1).Err()
}

const arrivedField = "arrived_late"
