package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

// printStatuses writes one line per invite.
func (p *program) printStatuses(list []enqueue.Status, asJSON bool) error {
	if asJSON {
		for _, s := range list {
			if err := p.printJSON(s.JSON()); err != nil {
				return err
			}
		}
		return nil
	}
	return p.printPart(list, true)
}

// printPart prints statuses as a table, whose header stands over the first part only.
func (p *program) printPart(list []enqueue.Status, first bool) error {
	now := time.Now()
	var t table
	t.header("state", "address", "lane", "when", "id", "reason")
	for _, s := range list {
		t.row(p.state(s.State), text(s.EmailAddress.Raw()), text(s.Lane.String()), text(when(now, s)), text(s.ID), text(explained(s.Reason)))
	}
	lines := t.lines(p.console.onOut)
	if !first {
		lines = lines[1:]
	}
	_, err := fmt.Fprintln(p.console.out, strings.Join(lines, "\n"))
	return err
}

// printStatus writes everything that is known of one invite.
func (p *program) printStatus(s enqueue.Status) error {
	c, now := p.console.onOut, time.Now()
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %s  %s\n", c.dim(fmt.Sprintf("%-10s", name)), value)
		}
	}
	fmt.Fprintln(&b, c.bold(s.EmailAddress.Raw()))
	line("state", paintState(c, s.State, s.State.String())+": "+s.State.Entry().Means)
	line("reason", explained(s.Reason))
	line("do", tasks.Advice(s.State, s.Reason))
	line("id", s.ID)
	line("invitation", s.InvitationID)
	line("import", s.ImportID)
	line("lane", s.Lane.String())
	if s.Attempts > 0 {
		line("attempts", fmt.Sprint(s.Attempts))
	}
	if !s.NotBefore.IsZero() {
		line("not before", show.Time(s.NotBefore))
	}
	if !s.ETA.IsZero() {
		line("sent", fmt.Sprintf("%s (%s) at the current rate", show.In(now, s.ETA), show.Time(s.ETA)))
	}
	if s.Refusal != nil {
		line("revoke", refusal(now, *s.Refusal))
	} else if s.Revoking {
		line("revoke", "wanted; a worker will revoke it")
	}
	line("created", fmt.Sprintf("%s (%s)", show.Time(s.CreatedAt), show.Ago(now, s.CreatedAt)))
	line("changed", fmt.Sprintf("%s (%s)", show.Time(s.UpdatedAt), show.Ago(now, s.UpdatedAt)))
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

// when says when a waiting invite goes, or when another has changed last.
func when(now time.Time, s enqueue.Status) string {
	if s.ETA.IsZero() {
		return show.Ago(now, s.UpdatedAt)
	}
	return show.In(now, s.ETA)
}

// state is a cell in the colour of the state.
func (p *program) state(s tasks.State) cell {
	return text(s.String()).in(func(t string) string { return paintState(p.console.onOut, s, t) })
}

func paintState(c paint, s tasks.State, t string) string {
	switch s {
	case tasks.Pending, tasks.Accepted:
		return c.green(t)
	case tasks.Rejected, tasks.Canceled, tasks.Revoked, tasks.Expired:
		return c.yellow(t)
	case tasks.Failed, tasks.Parked, tasks.Unknown:
		return c.red(t)
	case tasks.Sending:
		return c.blue(t)
	default:
		return t
	}
}

// explained is a reason with what it means.
func explained(r tasks.Reason) string {
	return strings.TrimSuffix(string(r)+": "+r.Entry().Means, ": ")
}
