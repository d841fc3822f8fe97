package ledger

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// An event says when its invite had changed before (before, in lib.lua), so that the
// changes of one invite are found one from the other, without reading the whole
// stream: an event stands in it at the time of its step, or a moment off.
const (
	trailLongest = 64                     // changes; beyond that the oldest are left out
	trailEarly   = 10 * time.Millisecond  // by so much a position may be before the time of its step
	trailLate    = 100 * time.Millisecond // and by so much after
	trailAtOnce  = 500
	trailPages   = 10 // of events of the same moment: an import that is canceled has hundreds
)

// Trail returns the changes of an invite, the oldest first, as far as they are kept:
// whole is false if there were more.
func (l *Ledger) Trail(ctx context.Context, r Record) (trail []tasks.Event, whole bool, _ error) {
	at := r.UpdatedAt
	for version := r.Version; version > 0 && len(trail) < trailLongest && !at.IsZero(); version-- {
		e, before, err := l.eventAt(ctx, at, r.Invite.ID, version)
		if err != nil {
			return nil, false, err
		}
		if e.InviteID == "" {
			break
		}
		trail, at = append([]tasks.Event{e}, trail...), before
	}
	return trail, len(trail) == r.Version, nil
}

// eventAt finds the event of a change by its time; the zero event if it is not kept.
func (l *Ledger) eventAt(ctx context.Context, at time.Time, id string, version int) (e tasks.Event, before time.Time, _ error) {
	first, last := strconv.FormatInt(at.Add(-trailEarly).UnixMilli(), 10), strconv.FormatInt(at.Add(trailLate).UnixMilli(), 10)
	for range trailPages {
		messages, err := l.rdb.XRangeN(ctx, l.keys.of("events"), first, last, trailAtOnce).Result()
		if err != nil {
			return e, before, err
		}
		for _, m := range messages {
			if found := parseEvent(m); found.InviteID == id && found.Version == version {
				return found, timeOf(field(m, "before")), nil
			}
		}
		if len(messages) < trailAtOnce {
			break
		}
		first = "(" + messages[len(messages)-1].ID
	}
	return e, before, nil
}

func field(m redis.XMessage, name string) string { s, _ := m.Values[name].(string); return s }
