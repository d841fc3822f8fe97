package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/show"
)

type importsCommand struct {
	Limit  int `default:"20" help:"How many at most, 1 to 1000."`
	Offset int `default:"0" help:"How many of the newest to leave out."`
	instanceFlag
	jsonFlag
}

func (importsCommand) Help() string {
	return `The newest come first. An import is running, paused (inviteq pause --import-id), held until its first row may go (inviteq import --hold), revoking, or done.

Examples:

  inviteq imports
  inviteq imports --json | jq -r 'select(.state == "paused") | .import_id'`
}

// Run lists the imports.
func (c *importsCommand) Run(ctx context.Context, p *program) error {
	if c.Limit < 1 || c.Limit > 1000 || c.Offset < 0 {
		p.complaints.add(usagef("--limit must be 1 to 1000, and --offset not negative"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	all, total, err := conn.client.Imports(ctx, c.Offset, c.Limit)
	if err != nil {
		return err
	}
	now := time.Now()
	var t table
	t.header("import", "file", "by", "begun", "state", "invites", "delivered", "open", "last goes")
	for _, i := range all {
		if c.JSON {
			if err := p.printJSON(importOf(i)); err != nil {
				return err
			}
			continue
		}
		goes := "–"
		if !i.ETA.IsZero() {
			goes = show.In(now, i.ETA)
		}
		delivered, _, _ := tally(i.States)
		t.row(text(i.ID), text(cmp.Or(i.Name, "–")), text(cmp.Or(i.Owner, "–")), text(show.Ago(now, i.CreatedAt)), p.standing(i),
			number(i.Total), number(delivered), number(i.Open), text(goes))
	}
	if c.JSON {
		return nil
	}
	if len(all) == 0 {
		p.console.note("no imports")
		return nil
	}
	if err := t.print(p.console.out, p.console.onOut); err != nil {
		return err
	}
	if shown := int64(c.Offset + len(all)); shown < total {
		p.console.note("%s of %s; --limit shows more", show.Thousands(len(all)), show.Thousands(total))
	}
	return nil
}

// halted says why an import does not go; "" if it does.
func halted(now time.Time, i enqueue.Import) string {
	resume := fmt.Sprintf("`inviteq resume --import-id %s`", i.ID)
	switch i.State {
	case tasks.ImportPaused:
		return fmt.Sprintf("It was paused %s; %s resumes it.", show.Ago(now, i.PausedAt), resume)
	case tasks.ImportHeld:
		return fmt.Sprintf("Its first row goes %s (%s); %s lets it go at once.", show.In(now, i.HeldUntil), show.Time(i.HeldUntil), resume)
	case tasks.ImportRevoking:
		return "It stands still while its invites are canceled."
	case tasks.ImportRunning, tasks.ImportDone:
	}
	return ""
}
