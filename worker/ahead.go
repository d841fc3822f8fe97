package worker

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	aheadRows = 50               // that are screened before their turn: five bulk calls
	aheadFor  = 30 * time.Second // for how long what was read then counts
)

// ahead screens the rows of imports that come next while bulk calls are on the wire,
// so that the calls follow each other as fast as Clerk answers. What it finds is kept
// in memory and used when the rows have their turn; it claims nothing.
type ahead struct {
	mu      sync.Mutex
	told    map[string]*foretold // by the invite's id
	running sync.WaitGroup
}

// foretold is what reads say of an invite. out and read are set before done is closed.
type foretold struct {
	asked time.Time
	done  chan struct{}
	read  bool               // the reads were made
	out   *ledger.Settlement // nil: Clerk would not refuse it
}

// look begins to read about those of the rows that come next who have not been asked
// for yet.
func (a *ahead) look(ctx context.Context, d *delivery) {
	a.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), screenTimeout)
		defer cancel()
		next, err := d.ledger.Next(ctx, tasks.Import, aheadRows)
		if err != nil {
			return // The turn itself will tell.
		}
		asked, answers := a.begin(next)
		out, err := d.ruledOut(ctx, asked)
		for i, r := range asked {
			if s, ok := out[r.Invite.ID]; ok {
				answers[i].out = &s
			}
			answers[i].read = err == nil
			close(answers[i].done)
		}
	})
}

// begin notes who is asked for now, and forgets what is too old.
func (a *ahead) begin(next []ledger.Record) (asked []ledger.Record, answers []*foretold) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.told == nil {
		a.told = map[string]*foretold{}
	}
	maps.DeleteFunc(a.told, func(_ string, f *foretold) bool { return now.Sub(f.asked) > aheadFor })
	for _, r := range next {
		if a.told[r.Invite.ID] == nil {
			f := &foretold{asked: now, done: make(chan struct{})}
			a.told[r.Invite.ID] = f
			asked, answers = append(asked, r), append(answers, f)
		}
	}
	return asked, answers
}

// known splits a batch into what is known by now, or will be as soon as reads that
// are under way are answered, and those who must be asked for.
func (a *ahead) known(ctx context.Context, batch []ledger.Record) (out map[string]ledger.Settlement, unread []ledger.Record) {
	out = map[string]ledger.Settlement{}
	for _, r := range batch {
		a.mu.Lock()
		f := a.told[r.Invite.ID]
		a.mu.Unlock()
		if f == nil || time.Since(f.asked) > aheadFor {
			unread = append(unread, r)
			continue
		}
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		switch {
		case ctx.Err() != nil || !f.read:
			unread = append(unread, r)
		case f.out != nil:
			s := *f.out
			s.Turn = r.Turn // The claim came after the reading.
			out[r.Invite.ID] = s
		}
	}
	return out, unread
}
