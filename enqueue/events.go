package enqueue

import (
	"context"
	"fmt"
	"iter"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Events yields what happens to invites, to a group of consumers that share the
// work: each event reaches one of them, at least once. An event counts as handled
// when the next one is asked for; what a consumer has not handled when it dies
// comes again, to itself when it starts again under the same name, or to another
// after a minute. A new group begins with the oldest event that is kept (about the
// last hundred thousand). It ends with ctx, or after it has yielded an error: range
// over it again to go on.
//
// Because an event may come twice, use its ID, or its Version for the order of one
// invite's events.
func (c *Client) Events(ctx context.Context, group, consumer string) iter.Seq2[tasks.Event, error] {
	return c.events(ctx, func(l *ledger.Ledger) iter.Seq2[tasks.Event, error] { return l.ConsumeEvents(ctx, group, consumer) })
}

// ErrPositionGone says that there is no event at a position any more, so that some after
// it may be missing. Begin with "0", and ask Status or Import how things stand.
var ErrPositionGone = ledger.ErrPositionGone

// FollowEvents yields events to this caller alone, from a position in the stream
// on: Event.Position of the last one that was seen, "0" for all that are kept, or
// "$" for new ones only. It ends as Events does; with ErrPositionGone if the position
// is too long ago, or Redis was set back.
func (c *Client) FollowEvents(ctx context.Context, from string) iter.Seq2[tasks.Event, error] {
	return c.events(ctx, func(l *ledger.Ledger) iter.Seq2[tasks.Event, error] { return l.FollowEvents(ctx, from) })
}

func (c *Client) events(ctx context.Context, of func(*ledger.Ledger) iter.Seq2[tasks.Event, error]) iter.Seq2[tasks.Event, error] {
	return func(yield func(tasks.Event, error) bool) {
		l, err := c.open(ctx)
		if err != nil {
			yield(tasks.Event{}, fmt.Errorf("events: %w", err))
			return
		}
		for e, err := range of(l) {
			if err != nil {
				err = fmt.Errorf("events: %w", err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
