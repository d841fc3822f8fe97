package enqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"
)

// How often Wait and Follow look. A lone invite is usually sent within a third
// of a second; nothing is gained by looking at a long queue more than once in
// a second.
const (
	firstLook = 50 * time.Millisecond
	nextLook  = time.Second
)

// Wait returns when the sending of an invite has ended in some way (its state
// is not open any more: pending, rejected, canceled, …), or with the context's
// error and the status as it was last seen. Behind a long queue that takes
// hours. If Redis fails meanwhile, so does Wait; it may be called again.
func (c *Client) Wait(ctx context.Context, id string) (Status, error) {
	last := Status{ID: id}
	for pause := firstLook; ; pause = min(pause*3/2, nextLook) {
		l, err := c.open(ctx)
		if err != nil {
			return last, fmt.Errorf("invite %s: %w", id, err)
		}
		r, err := l.Read(ctx, id)
		if err != nil {
			return last, fmt.Errorf("invite %s: %w", id, err)
		}
		last = newStatus(r)
		if !last.State.Open() {
			return last, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return last, fmt.Errorf("invite %s is still %s: %w", id, last.State, err)
		}
	}
}

// Follow yields the counts of an import at once, and again every second in
// which they have changed, until none of its invites is open. The last that it
// yields is how the import ended.
//
// An error does not end it, so that a caller may live through a restart of Redis
// and range on; a caller that does not want that breaks off. It ends with the
// context, whose error comes last, and with ErrNotFound.
func (c *Client) Follow(ctx context.Context, importID string) iter.Seq2[Import, error] {
	return func(yield func(Import, error) bool) {
		var seen Import
		for {
			i, err := c.Import(ctx, importID)
			switch {
			case ctx.Err() != nil:
				yield(seen, context.Cause(ctx))
				return
			case err != nil:
				if !yield(seen, err) || errors.Is(err, ErrNotFound) {
					return
				}
			case !maps.Equal(i.States, seen.States):
				seen = i
				if !yield(i, nil) {
					return
				}
			}
			if err == nil && i.Open == 0 {
				return
			}
			if err := sleep(ctx, nextLook); err != nil {
				yield(seen, err)
				return
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
