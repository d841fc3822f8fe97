package main

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker/preflight"
)

// preflightJSON is a forecast in --json. The keys are stable and always there.
type preflightJSON struct {
	Rows       int    `json:"rows"`
	Invalid    int    `json:"invalid"`
	Duplicates int    `json:"duplicates"`
	ImportID   string `json:"import_id"`
	tasks.Forecast
}

// preflight says what would become of the list, and does nothing.
func (r *importRun) preflight(ctx context.Context, clerkAPI *clerk.Client) error {
	f, err := r.p.forecast(ctx, r.conn.ledger, clerkAPI, r.list, r.found, r.ImportID, false)
	if err != nil {
		return err
	}
	if r.JSON {
		return r.p.printJSON(preflightJSON{r.found.Rows(), r.found.Bad, r.found.Duplicates, r.ImportID, f.Forecast})
	}
	if err := r.p.printForecast(r.found, f, false); err != nil {
		return err
	}
	r.p.hint(ctx, r.conn)
	r.p.console.note("Nothing was done.")
	return nil
}

// forecast looks at the list with free reads, and shows how far it has come.
// With deliver the program is going to deliver it itself.
func (p *program) forecast(
	ctx context.Context, l *ledger.Ledger, clerkAPI *clerk.Client, list *lists.List, found lists.Survey, importID string, deliver bool,
) (preflight.Forecast, error) {
	screen := newLive(p.console)
	defer screen.clear()
	screen.draw("asking Clerk who is invited already …")
	check := preflight.Check{Ledger: l, Clerk: clerkAPI, ReadShare: p.readShare(), Deliver: deliver, Progress: func(f preflight.Forecast) {
		screen.progress(found.Good, fmt.Sprintf("%s of %s looked at, %s", show.Thousands(f.Asked), show.Thousands(found.Good), show.Count(f.Reads, "read")),
			part{int64(f.Asked), "█", p.console.onErr.blue})
	}}
	return check.Run(ctx, list.Invites(ctx, importID), found.Good)
}

// asker looks around at Clerk for the HTTP API, and for agents.
type asker struct {
	clerk *clerk.Client
	share float64
}

// optionalAsker is nil without a key for Clerk.
func (p *program) optionalAsker(url string) *asker {
	if raw, _ := p.env.secret("CLERK_SECRET_KEY"); raw == "" { // an error comes up where the key is needed
		return nil
	}
	return &asker{p.clerkClient(url, clerk.DefaultTimeout), p.readShare()}
}

// over works with the ledger that the API has.
func (a *asker) over(l *ledger.Ledger) func(context.Context, iter.Seq2[tasks.Invite, error], int) (tasks.Forecast, error) {
	return func(ctx context.Context, list iter.Seq2[tasks.Invite, error], size int) (tasks.Forecast, error) {
		check := preflight.Check{Ledger: l, Clerk: a.clerk, ReadShare: a.share}
		f, err := check.Run(ctx, list, size)
		return f.Forecast, err
	}
}

// lookingShare is the share of the published read quota that looking around may take
// when the true quota is this.
func lookingShare(other ledger.Limit) float64 {
	const most = 0.2
	published := ledger.ClerkLimits.Other
	if other.Calls <= 0 || other.Window <= 0 {
		return most
	}
	rate := float64(other.Calls) / other.Window.Seconds()
	return most * min(1, rate/(float64(published.Calls)/published.Window.Seconds()))
}

// readShare is the share for the instance of the key. A development instance has a
// tenth of the published quota.
func (p *program) readShare() float64 {
	limit := ledger.ClerkLimits.Other
	raw, _ := p.env.secret("CLERK_SECRET_KEY") // clerkClient has complained
	if key, err := clerk.ParseSecretKey(raw); err == nil && !key.Live() {
		limit.Calls /= 10
	}
	return lookingShare(limit)
}

// printForecast tells it as a table. alone is true if nobody else uses the ledger.
func (p *program) printForecast(found lists.Survey, f preflight.Forecast, alone bool) error {
	var t table
	t.header("what would happen", "people", "")
	t.row(text("to be invited"), number(int64(f.ToSend)), text("one mail each"))
	for _, row := range []struct {
		name string
		n    int
		what string
	}{
		{"  of these invited already", f.Again, "and mailed again, because of ignore_existing"},
		{"existing users", f.Users, "have an account: Clerk will refuse them"},
		{"invited already", f.Invited, "have a pending invitation: not mailed again"},
		{"waiting already", f.Waiting, "an earlier invite for the same person goes first"},
		{"known", f.Known, "from an earlier run of this import: nothing happens"},
		{"same address", found.Duplicates, "as an earlier row: left out"},
		{"bad rows", found.Bad, "left out"},
	} {
		if row.n > 0 {
			t.row(text(row.name), number(int64(row.n)), text(row.what))
		}
	}
	if err := t.print(p.console.out, p.console.onOut); err != nil {
		return err
	}
	var words []string
	if f.ETA != nil {
		words = append(words, fmt.Sprintf("The last one goes %s (%s), at the current rate.", show.In(time.Now(), *f.ETA), show.Time(*f.ETA)))
	}
	if f.Before > 0 {
		words = append(words, "Before it go "+show.Count(f.Before, "invite")+" of other imports.")
	}
	if f.ToSend > 0 && !alone {
		words = append(words, "While it is sent, people who click are served before it, and other imports take turns with it.")
	}
	if len(words) > 0 {
		_, err := fmt.Fprintf(p.console.out, "\n%s\n", strings.Join(words, " "))
		return err
	}
	return nil
}
