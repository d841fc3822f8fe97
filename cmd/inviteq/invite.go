package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// invitesCommand is `inviteq invite`.
type invitesCommand struct {
	Address []string `arg:"" help:"The addresses to invite."`

	ID             string `placeholder:"ID" help:"The idempotency key, for one address: the same id and content is the same invite. Defaults to a new one."`
	Lane           string `enum:"interactive,import" default:"interactive" placeholder:"LANE" help:"interactive, or import, which lets interactive invites go first."`
	RedirectURL    string `placeholder:"URL" help:"Where the link in the mail leads: an absolute http(s) URL, or a path that begins with /."`
	Metadata       string `placeholder:"JSON" help:"The public_metadata of the user to be, a JSON object of at most 8 KB."`
	ExpiresInDays  string `placeholder:"DAYS" help:"How long the link is valid, 1 to 365 days. Defaults to Clerk's 30."`
	NoNotify       bool   `help:"Create the invitation, but let Clerk send no mail."`
	IgnoreExisting bool   `help:"Invite a person even if they have a pending invitation, which sends another mail."`
	Template       string `placeholder:"SLUG" help:"The mail's template: invitation or waitlist_invitation."`
	NotBefore      string `placeholder:"TIME" help:"Send no earlier than this: a time such as 2026-01-31T09:00:00Z, or a duration from now, such as 2h."`
	Deadline       string `placeholder:"TIME" help:"Give up after this, written like --not-before."`
	Wait           bool   `help:"Wait until Clerk has taken or refused each; the exit code is 1 unless all were taken."`
	instanceFlag
	jsonFlag
}

func (invitesCommand) Help() string {
	return `The invite is safe as soon as the command returns: a worker delivers it, whatever crashes.

Examples:

  inviteq invite ada@example.com
  inviteq invite ada@example.com --id signup-4711 --metadata '{"plan":"pro"}' --wait
  inviteq invite ada@example.com grace@example.com --expires-in-days 7 --not-before 2h`
}

// Run enqueues the invites, and waits for them if it is told to.
func (c *invitesCommand) Run(ctx context.Context, p *program) error {
	invites := c.invites(p)
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	list := make([]enqueue.Status, 0, len(invites))
	for _, i := range invites {
		r, err := conn.client.Invite(ctx, i)
		if err != nil {
			if len(list) > 0 {
				err = errors.Join(err, p.printStatuses(list, c.JSON))
			}
			return err
		}
		if r.Existing {
			p.console.note("%s is known already: it stays as it is", r.ID)
		}
		p.warnTask(r.TaskErr)
		p.audit(ctx, conn, "invite", r.ID, 1)
		list = append(list, r.Status)
	}
	if c.Wait {
		return c.wait(ctx, p, conn, list)
	}
	for n := range list {
		// With the estimate, which the answer to an invite does not hold.
		if known, err := conn.client.Status(ctx, list[n].ID); err == nil && len(known) == 1 {
			list[n] = known[0]
		}
	}
	if err := p.printStatuses(list, c.JSON); err != nil {
		return err
	}
	p.hint(ctx, conn)
	return nil
}

// wait waits for each invite and prints what became of it.
func (c *invitesCommand) wait(ctx context.Context, p *program, conn *connection, list []enqueue.Status) error {
	p.hint(ctx, conn)
	delivered := true
	for n, s := range list {
		settled, err := conn.client.Wait(ctx, s.ID)
		if ctx.Err() != nil {
			p.console.note("Still %s. It goes on without this command: `inviteq status %s` tells.", settled.State, s.ID)
			return errors.Join(p.printStatuses(list[:n], c.JSON), context.Canceled)
		}
		if err != nil {
			return err
		}
		list[n] = settled
		delivered = delivered && settled.State.Delivered()
	}
	if c.JSON {
		if err := p.printStatuses(list, true); err != nil {
			return err
		}
	} else {
		for _, s := range list {
			if err := p.printStatus(s); err != nil {
				return err
			}
		}
	}
	if !delivered {
		return errTold
	}
	return nil
}

// invites puts together what the flags say; all that is wrong goes to the
// complaints. They do not quote an address.
func (c *invitesCommand) invites(p *program) []tasks.Invite {
	now := time.Now()
	day := func(s string) *int {
		if s == "" {
			return nil
		}
		n := setting(&p.complaints, "expires-in-days", s, positive)
		return &n
	}
	when := func(flag, s string) *time.Time {
		if s == "" {
			return nil
		}
		at := setting(&p.complaints, flag, s, func(s string) (time.Time, error) { return parseWhen(now, s) })
		return &at
	}
	common := tasks.InviteJSON{
		PublicMetadata: json.RawMessage(c.Metadata), RedirectURL: c.RedirectURL, IgnoreExisting: c.IgnoreExisting,
		ExpiresInDays: day(c.ExpiresInDays), TemplateSlug: c.Template, ID: c.ID, Lane: c.Lane,
		NotBefore: when("not-before", c.NotBefore), Deadline: when("deadline", c.Deadline),
	}
	if c.NoNotify {
		common.Notify = new(false)
	}
	if err := tasks.CheckCallerID(c.ID); c.ID != "" && err != nil {
		p.complaints.add(fmt.Errorf("--id %w", err))
		common.ID = ""
	}
	if c.ID != "" && len(c.Address) > 1 {
		p.complaints.add(errors.New("--id is for one address; leave it out, or invite one at a time"))
	}
	var invites []tasks.Invite
	seen, told := map[string]int{}, map[tasks.Problem]bool{}
	for n, address := range c.Address {
		j := common
		j.EmailAddress = address
		i, err := j.Invite()
		if v, ok := errors.AsType[*tasks.ValidationError](err); ok {
			for _, problem := range v.Problems {
				switch {
				case problem.Field == "email_address":
					p.complaints.add(fmt.Errorf("address %d %s", n+1, problem.Reason))
				case problem.Field == "expires_in_days" && c.ExpiresInDays != "" && *common.ExpiresInDays == 0:
					// It was no number, which has been said.
				case !told[problem]: // It is the same for all of them.
					told[problem] = true
					p.complaints.add(fmt.Errorf("--%s %s", flagOf(problem.Field), problem.Reason))
				}
			}
			continue
		}
		if first, ok := seen[i.EmailAddress.Key()]; ok {
			p.console.note("address %d is the same as address %d: invited once", n+1, first)
			continue
		}
		seen[i.EmailAddress.Key()] = n + 1
		invites = append(invites, i)
	}
	return invites
}

// flagOf is the flag for a field of an invite.
func flagOf(field string) string {
	switch field {
	case "public_metadata":
		return "metadata"
	case "template_slug":
		return "template"
	}
	return dashed(field)
}

// parseWhen understands a point in time, and a duration from now.
func parseWhen(now time.Time, s string) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, errors.New("must be a time such as 2026-01-31T09:00:00Z, or a duration from now, such as 2h")
	}
	return at, nil
}
