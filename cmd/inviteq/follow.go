package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/worker/ledger"
)

// plainEvery is how often progress is told where no line can be drawn again.
const plainEvery = 10 * time.Second

// follow shows how an import goes until every invite is settled, and returns
// its last counts. On a terminal it draws a bar; elsewhere it writes a line now
// and then. A Redis that restarts is waited for.
func (p *program) follow(ctx context.Context, conn *connection, id string) (enqueue.Import, error) {
	screen := newLive(p.console)
	defer screen.clear()
	var last enqueue.Import
	var told time.Time
	for i, err := range conn.client.Follow(ctx, id) {
		switch {
		case err == nil:
			last = i
		case ctx.Err() != nil:
			return last, err
		case errors.Is(err, enqueue.ErrNotFound):
			return last, err
		default:
			screen.draw(p.console.onErr.yellow("Redis does not answer; trying again…"))
			continue
		}
		if screen != nil {
			screen.draw(importLines(screen.width(), screen.paint, i)...)
		} else if time.Since(told) >= plainEvery {
			told = time.Now()
			p.console.note("%s", importLine(i))
		}
	}
	return last, nil
}

// importLines is the live view of an import.
func importLines(width int, c paint, i enqueue.Import) []string {
	delivered, refused, trouble := tally(i.States)
	return []string{
		bar(min(width-1, 72), i.Total, c,
			part{delivered, "█", c.green}, part{refused, "█", c.yellow}, part{trouble, "█", c.red},
			part{i.States[ledger.Sending], "▒", c.blue}),
		importLine(i),
	}
}

// importLine is the same in words.
func importLine(i enqueue.Import) string {
	words := []string{fmt.Sprintf("%s of %s settled", thousands(i.Total-i.Open), thousands(i.Total))}
	for _, s := range slices.Concat(ledger.States[ledger.Pending:], ledger.States[:ledger.Pending]) {
		if n := i.States[s]; n > 0 {
			words = append(words, thousands(n)+" "+s.String())
		}
	}
	if !i.ETA.IsZero() {
		words = append(words, "done "+in(time.Now(), i.ETA))
	}
	return strings.Join(words, " · ")
}

// tally sums up the settled states: with Clerk, refused or taken back, and those
// that need a person.
func tally(states map[ledger.State]int64) (delivered, refused, trouble int64) {
	for s, n := range states {
		switch {
		case s.Delivered():
			delivered += n
		case s == ledger.Rejected || s == ledger.Canceled:
			refused += n
		case s == ledger.Failed || s == ledger.Parked:
			trouble += n
		}
	}
	return delivered, refused, trouble
}
