package ledger

import (
	"context"
	"errors"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

const (
	eventsAtOnce   = 100
	eventsBlock    = 5 * time.Second
	eventsSearched = 2000        // in a round trip
	eventsIdle     = time.Minute // after which what a dead consumer held is given to another
	consumersKept  = time.Hour   // for which a consumer is remembered that holds nothing; a living one asks every eventsBlock
)

// ErrPositionGone says that the stream does not hold the event at this position: it was
// so long ago, or Redis was emptied or set back. What came after it may be gone, too.
var ErrPositionGone = errors.New(`there is no event at this position any more, so that some after it may be missing; begin with the oldest that is kept ("0"), and look at the invites themselves`)

// EventPosition returns the position to read on from: p itself, which is "0" (the oldest
// that is kept) or that of an event; for "$" that of the newest event. The error is
// ErrPositionGone if the stream has no such event.
func (l *Ledger) EventPosition(ctx context.Context, p string) (string, error) {
	switch p {
	case "0":
		return p, nil
	case "$":
		newest, err := l.RecentEvents(ctx, 1)
		if err != nil || len(newest) == 0 {
			return "0", err
		}
		return newest[0].Position, nil
	}
	_, found, err := l.Event(ctx, p)
	if err == nil && !found {
		err = ErrPositionGone
	}
	return p, err
}

// EventsAfter returns the next events after a position, at most n of them, the oldest
// first. It does not wait, and does not ask whether there was an event at the position.
func (l *Ledger) EventsAfter(ctx context.Context, position string, n int) ([]tasks.Event, error) {
	return l.readEvents(ctx, position, n, -1)
}

func (l *Ledger) readEvents(ctx context.Context, position string, n int, block time.Duration) ([]tasks.Event, error) {
	streams, err := l.rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{l.keys.of("events"), position}, Count: int64(n), Block: block}).Result()
	if err != nil || len(streams) == 0 {
		return nil, ignoreNil(err)
	}
	events := make([]tasks.Event, len(streams[0].Messages))
	for i, m := range streams[0].Messages {
		events[i] = parseEvent(m)
	}
	return events, nil
}

// FollowEvents yields events after a position (EventPosition) until ctx ends. It does not
// remember how far it got.
func (l *Ledger) FollowEvents(ctx context.Context, from string) iter.Seq2[tasks.Event, error] {
	return func(yield func(tasks.Event, error) bool) {
		from, err := l.EventPosition(ctx, from)
		for err == nil && ctx.Err() == nil {
			var events []tasks.Event
			events, err = l.readEvents(ctx, from, eventsAtOnce, eventsBlock)
			for _, e := range events {
				from = e.Position
				if !yield(e, nil) {
					return
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			yield(tasks.Event{}, err)
		}
	}
}

// KeptEvents yields every event that is kept, the oldest first.
func (l *Ledger) KeptEvents(ctx context.Context) iter.Seq2[tasks.Event, error] {
	return func(yield func(tasks.Event, error) bool) {
		for from := "0"; ; {
			events, err := l.EventsAfter(ctx, from, 1000)
			if err != nil {
				yield(tasks.Event{}, err)
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				from = e.Position
			}
			if len(events) == 0 {
				return
			}
		}
	}
}

// RecentEvents returns the last n events, the oldest first.
func (l *Ledger) RecentEvents(ctx context.Context, n int) ([]tasks.Event, error) {
	return l.FindEvents(ctx, n, time.Time{}, nil)
}

// FindEvents returns the last n events since a time that wanted, if it is not nil, says
// yes to; the oldest first. It reads back to that time, or to the oldest that is kept.
func (l *Ledger) FindEvents(ctx context.Context, n int, since time.Time, wanted func(tasks.Event) bool) ([]tasks.Event, error) {
	first, last := "-", "+"
	if !since.IsZero() {
		first = strconv.FormatInt(since.UnixMilli(), 10)
	}
	var events []tasks.Event
	for atOnce := n; len(events) < n; atOnce = eventsSearched {
		if wanted != nil {
			atOnce = eventsSearched
		}
		messages, err := l.rdb.XRevRangeN(ctx, l.keys.of("events"), last, first, int64(atOnce)).Result()
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			if e := parseEvent(m); len(events) < n && (wanted == nil || wanted(e)) {
				events = append(events, e)
			}
		}
		if len(messages) < atOnce {
			break
		}
		last = "(" + messages[len(messages)-1].ID
	}
	slices.Reverse(events)
	return events, nil
}

// positions are those of a stream: milliseconds and a number.
var positions = regexp.MustCompile(`^[0-9]{1,16}-[0-9]{1,16}$`)

// Event returns the event at a position. found is false if there is none, or none
// any more, and if it cannot be a position.
func (l *Ledger) Event(ctx context.Context, position string) (e tasks.Event, found bool, err error) {
	if !positions.MatchString(position) {
		return e, false, nil
	}
	messages, err := l.rdb.XRevRangeN(ctx, l.keys.of("events"), position, position, 1).Result()
	if err != nil || len(messages) == 0 {
		return e, false, err
	}
	return parseEvent(messages[0]), true, nil
}

// Event is the last event of the record, apart from the state that it came from.
func (r Record) Event() tasks.Event {
	return tasks.Event{
		ID: eventID(r.Invite.ID, r.Version), InviteID: r.Invite.ID, Version: r.Version, To: r.State.String(), Reason: r.Reason,
		InvitationID: r.InvitationID, ImportID: r.Invite.ImportID, At: r.UpdatedAt,
	}
}

func eventID(invite string, version int) string { return invite + ":" + strconv.Itoa(version) }

// ConsumeEvents yields the events that no member of the group has seen, each at
// least once. One is taken as seen when the next is asked for; those of a
// consumer that has died come to another after a minute. A new group begins with
// the oldest event that is kept.
func (l *Ledger) ConsumeEvents(ctx context.Context, group, consumer string) iter.Seq2[tasks.Event, error] {
	return func(yield func(tasks.Event, error) bool) {
		key := l.keys.of("events")
		if err := l.makeGroup(ctx, key, group); err != nil {
			yield(tasks.Event{}, err)
			return
		}
		l.forgetConsumers(ctx, key, group, consumersKept)
		// What this consumer was given before a restart and has not confirmed comes first.
		own := "0"
		for ctx.Err() == nil {
			messages, err := l.nextEvents(ctx, key, group, consumer, own)
			if err != nil && strings.HasPrefix(err.Error(), "NOGROUP") {
				// Redis was emptied, and the group went with the rest.
				if err = l.makeGroup(ctx, key, group); err == nil {
					continue
				}
			}
			if err != nil {
				if ctx.Err() == nil {
					yield(tasks.Event{}, err)
				}
				return
			}
			if own != ">" {
				if len(messages) == 0 {
					own = ">"
				} else {
					own = messages[len(messages)-1].ID
				}
			}
			for _, m := range messages {
				if len(m.Values) > 0 && !yield(parseEvent(m), nil) {
					return
				}
				if err := l.rdb.XAck(ctx, key, group, m.ID).Err(); err != nil {
					yield(tasks.Event{}, err)
					return
				}
			}
		}
	}
}

// makeGroup makes a group of consumers that begins with the oldest event, unless
// there is one already.
func (l *Ledger) makeGroup(ctx context.Context, key, group string) error {
	err := l.rdb.XGroupCreateMkStream(ctx, key, group, "0").Err()
	if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return nil
	}
	return err
}

// forgetConsumers takes those off a group that have died and hold nothing: each start of
// a process has a name of its own. If it fails, the next start does it.
func (l *Ledger) forgetConsumers(ctx context.Context, key, group string, kept time.Duration) {
	all, _ := l.rdb.XInfoConsumers(ctx, key, group).Result()
	for _, c := range all {
		if c.Pending == 0 && c.Idle > kept {
			_ = l.rdb.XGroupDelConsumer(ctx, key, group, c.Name).Err()
		}
	}
}

// nextEvents returns what is to be seen next: the consumer's own leftovers, what a
// dead consumer left, or new events.
func (l *Ledger) nextEvents(ctx context.Context, key, group, consumer, own string) ([]redis.XMessage, error) {
	if own == ">" {
		left, _, err := l.rdb.XAutoClaim(ctx, &redis.XAutoClaimArgs{
			Stream: key, Group: group, Consumer: consumer, MinIdle: eventsIdle, Start: "0", Count: eventsAtOnce,
		}).Result()
		if err != nil || len(left) > 0 {
			return left, err
		}
	}
	block := eventsBlock
	if own != ">" {
		block = -1
	}
	streams, err := l.rdb.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{key, own}, Count: eventsAtOnce, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) || len(streams) == 0 {
		return nil, ignoreNil(err)
	}
	return streams[0].Messages, err
}

func ignoreNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func parseEvent(m redis.XMessage) tasks.Event {
	field := func(name string) string { s, _ := m.Values[name].(string); return s }
	to, _ := tasks.ParseState(field("to"))
	e := tasks.Event{
		InviteID: field("id"), Version: int(number(field("ver"))), From: field("from"), To: field("to"), Reason: ReadReason(to, field("reason")),
		InvitationID: field("invitation_id"), ImportID: field("import_id"), At: timeOf(field("at")), Position: m.ID,
	}
	e.ID = eventID(e.InviteID, e.Version)
	if e.InviteID == "" {
		e.ID = e.ImportID + ":" + m.ID
	}
	return e
}
