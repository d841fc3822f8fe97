package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

type statusCommand struct {
	Target string `arg:"" optional:"" name:"what" help:"An address, an id of inviteq (inq_…) or of Clerk (inv_…), the id of a revoke (rvk_…) or of an import, or the Idempotency-Key of a request to the HTTP API. Without one: counts of all invites."`
	instanceFlag
	jsonFlag
}

func (statusCommand) Help() string {
	return `An address shows all of its invites, the newest first. A revoke shows what it has done, for a week after it is done. The exit code is 1 if nothing is known of the argument.

Without an argument it counts the invites in each state, names the one that has waited longest, and shows what the last comparisons with Clerk found.

Examples:

  inviteq status
  inviteq status ada@example.com
  inviteq status imp_0123456789abcdef --json
  inviteq status rvk_0123456789abcdefghjkmnpq`
}

// Run finds what is meant and prints it.
func (c *statusCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.Target == "" {
		return c.everything(ctx, p, conn)
	}
	if strings.HasPrefix(c.Target, "rvk_") {
		return c.revoke(ctx, p, conn)
	}
	list, err := conn.client.Status(ctx, c.Target)
	if errors.Is(err, enqueue.ErrNotFound) && !strings.Contains(c.Target, "@") {
		imp, importErr := conn.client.Import(ctx, c.Target)
		if errors.Is(importErr, enqueue.ErrNotFound) {
			list, imp, importErr = c.byKey(ctx, conn)
		}
		if importErr == nil && len(list) == 0 {
			if imp.Open > 0 {
				defer p.hint(ctx, conn)
			}
			return p.printImport(imp, c.JSON)
		}
		err = importErr
	}
	if err != nil {
		return err
	}
	if !strings.Contains(c.Target, "@") { // Else whoever asks knows it.
		p.audit(ctx, conn, "reveal", list[0].ID, len(list))
	}
	if slices.ContainsFunc(list, func(s enqueue.Status) bool { return s.State.Open() }) {
		defer p.hint(ctx, conn)
	}
	if c.JSON {
		return p.printStatuses(list, true)
	}
	for _, s := range list {
		if err := p.printStatus(s); err != nil {
			return err
		}
	}
	return nil
}

// byKey finds what a request to the HTTP API has made that came with this
// Idempotency-Key: invites, or an import. A key belongs to the name of a token.
func (c *statusCommand) byKey(ctx context.Context, conn *connection) (list []enqueue.Status, imp enqueue.Import, err error) {
	tokens, err := conn.tokens().Tokens(ctx)
	if err != nil {
		return nil, imp, err
	}
	tried := map[string]bool{}
	for _, t := range tokens {
		ids, importID := api.KeyIDs(t, c.Target)
		if tried[importID] {
			continue // A token of the same name and scope has been here.
		}
		tried[importID] = true
		imports, err := conn.client.ImportsOf(ctx, ids...)
		if err != nil {
			return nil, imp, err
		}
		for _, id := range ids {
			if _, there := imports[id]; !there {
				continue
			}
			one, err := conn.client.Status(ctx, id)
			if err != nil {
				return nil, imp, err
			}
			list = append(list, one...)
		}
		if len(list) > 0 {
			continue
		}
		if imp, err = conn.client.Import(ctx, importID); err == nil || !errors.Is(err, enqueue.ErrNotFound) {
			return nil, imp, err
		}
	}
	if len(list) == 0 {
		return nil, imp, fmt.Errorf("%s: %w", c.Target, enqueue.ErrNotFound)
	}
	return list, imp, nil
}

// revoke shows what a revoke has done.
func (c *statusCommand) revoke(ctx context.Context, p *program, conn *connection) error {
	s, err := conn.client.RevokeStatus(ctx, c.Target)
	if err != nil {
		return err
	}
	if !s.Done() {
		defer p.hint(ctx, conn)
	}
	if c.JSON {
		return p.printJSON(s)
	}
	return p.printRevoke(s)
}

// importJSON is an import in --json. The keys are stable and always there.
type importJSON struct {
	ImportID  string           `json:"import_id"`
	Name      string           `json:"name"`       // of the file
	Owner     string           `json:"owner"`      // a token of the API
	State     string           `json:"state"`      // running, paused, held, revoking or done
	PausedAt  *time.Time       `json:"paused_at"`  // null: it is not paused
	HeldUntil *time.Time       `json:"held_until"` // null: its first row may go
	Total     int64            `json:"total"`
	Open      int64            `json:"open"`
	States    map[string]int64 `json:"states"` // every state
	CreatedAt *time.Time       `json:"created_at"`
	ETA       *time.Time       `json:"eta"` // when the last one will be sent; null when none is open
}

func importOf(i enqueue.Import) importJSON {
	j := importJSON{
		ImportID: i.ID, Name: i.Name, Owner: i.Owner, State: string(i.State), PausedAt: tasks.TimeOrNull(i.PausedAt), HeldUntil: tasks.TimeOrNull(i.HeldUntil),
		Total: i.Total, Open: i.Open, States: map[string]int64{}, CreatedAt: tasks.TimeOrNull(i.CreatedAt), ETA: tasks.TimeOrNull(i.ETA),
	}
	for _, s := range tasks.States {
		j.States[s.String()] = i.States[s]
	}
	return j
}

// printImport writes how far an import has got.
func (p *program) printImport(i enqueue.Import, asJSON bool) error {
	if asJSON {
		return p.printJSON(importOf(i))
	}
	now := time.Now()
	var b strings.Builder
	file := ""
	if i.Name != "" {
		file = " of " + i.Name
	}
	fmt.Fprintf(&b, "%s: %s%s, begun %s\n", p.console.onOut.bold(i.ID), show.Count(i.Total, "invite"), file, show.Ago(now, i.CreatedAt))
	for _, line := range p.outcomes(i).lines(p.console.onOut) {
		fmt.Fprintln(&b, line)
	}
	if i.Open > 0 {
		eta := "."
		if !i.ETA.IsZero() {
			eta = fmt.Sprintf("; the last one goes %s (%s) at the current rate.", show.In(now, i.ETA), show.Time(i.ETA))
		}
		fmt.Fprintf(&b, "%s still open%s\n", show.Thousands(i.Open), eta)
		if why := halted(now, i); why != "" {
			fmt.Fprintln(&b, p.console.onOut.yellow(why))
		}
	} else {
		fmt.Fprintf(&b, "All are settled; `inviteq list --import-id %s` lists them.\n", i.ID)
	}
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

// outcomes is the table of an import's states.
func (p *program) outcomes(i enqueue.Import) table { return p.statesTable(i.States) }

// statesTable counts the invites in each state that has some, the settled first.
func (p *program) statesTable(states map[tasks.State]int64) table {
	var t table
	t.header("state", "invites", "")
	order := slices.Concat(tasks.States[tasks.Pending:], tasks.States[:tasks.Pending])
	for _, s := range order {
		if n := states[s]; n > 0 {
			t.row(p.state(s), number(n), text(s.Entry().Means).in(p.console.onOut.dim))
		}
	}
	return t
}
