package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

// plainEvery is how often progress is told where no line can be drawn again.
const plainEvery = 10 * time.Second

// followEvery is how often it is looked how far an import has come.
const followEvery = time.Second

// follow shows how an import goes until every invite is settled, and returns
// its last counts. On a terminal it draws a bar; elsewhere it writes a line now
// and then. A Redis that restarts is waited for. trouble is asked for what else
// should be told, each once; nil is nothing, and the pace.
func (p *program) follow(ctx context.Context, conn *connection, id string, trouble func(enqueue.Import) []string) (enqueue.Import, error) {
	screen := newLive(p.console)
	defer screen.clear()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var last enqueue.Import
	var told time.Time
	var pace pace
	said := map[string]bool{}
	for {
		i, err := conn.client.Import(ctx, id)
		switch {
		case ctx.Err() != nil:
			return last, context.Cause(ctx)
		case errors.Is(err, enqueue.ErrNotFound):
			return last, err
		case err != nil:
			screen.draw(p.console.onErr.yellow("Redis does not answer; trying again…"))
		default:
			moved := !maps.Equal(i.States, last.States)
			last = i
			if trouble == nil {
				pace.see(time.Now(), i)
			}
			p.tellOnce(screen, said, trouble, i)
			if screen != nil {
				screen.draw(importBar(screen.width(), screen.paint, i), importLine(i)+pace.String())
			} else if moved && time.Since(told) >= plainEvery {
				told = time.Now()
				p.console.note("%s%s", importLine(i), pace)
			}
			if i.Open == 0 {
				return last, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// tellOnce says what has not been said yet.
func (p *program) tellOnce(screen *live, said map[string]bool, trouble func(enqueue.Import) []string, i enqueue.Import) {
	if trouble == nil {
		return
	}
	for _, words := range trouble(i) {
		if !said[words] {
			said[words] = true
			screen.clear()
			p.console.note("%s", words)
		}
	}
}

// pace is how fast an import goes, measured while it is followed.
type pace struct {
	since  time.Time
	before int64 // settled when it began
	now    time.Time
	done   int64
}

func (r *pace) see(now time.Time, i enqueue.Import) {
	if r.since.IsZero() {
		r.since, r.before = now, i.Total-i.Open
	}
	r.now, r.done = now, i.Total-i.Open
}

// paceAfter is how long is measured before anything is said.
const paceAfter = 3 * time.Second

// String says how many an hour, to go behind other words; "" before it is known.
func (r pace) String() string {
	took := r.now.Sub(r.since)
	if took < paceAfter || r.done == r.before {
		return ""
	}
	return fmt.Sprintf(" · %s/h", show.Thousands(int64(float64(r.done-r.before)/took.Hours())))
}

// importBar is the live view of an import.
func importBar(width int, c paint, i enqueue.Import) string {
	delivered, refused, trouble := tally(i.States)
	return bar(min(width-1, 72), i.Total, c,
		part{delivered, "█", c.green}, part{refused, "█", c.yellow}, part{trouble, "█", c.red},
		part{i.States[tasks.Sending], "▒", c.blue})
}

// importLine is the same in words.
func importLine(i enqueue.Import) string {
	words := []string{fmt.Sprintf("%s of %s settled", show.Thousands(i.Total-i.Open), show.Thousands(i.Total))}
	for _, s := range slices.Concat(tasks.States[tasks.Pending:], tasks.States[:tasks.Pending]) {
		if n := i.States[s]; n > 0 {
			words = append(words, show.Thousands(n)+" "+s.String())
		}
	}
	if !i.ETA.IsZero() {
		words = append(words, "done "+show.In(time.Now(), i.ETA))
	}
	return strings.Join(words, " · ")
}

// tally sums up the settled states: with Clerk, refused or taken back, and those
// that need a person.
func tally(states map[tasks.State]int64) (delivered, refused, trouble int64) {
	for s, n := range states {
		switch {
		case s.Delivered():
			delivered += n
		case s == tasks.Rejected || s == tasks.Canceled:
			refused += n
		case s == tasks.Failed || s == tasks.Parked:
			trouble += n
		}
	}
	return delivered, refused, trouble
}
