package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/redisconn"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker/erase"
)

type forgetCommand struct {
	Address string `arg:"" help:"The person's e-mail address."`
	AtClerk bool   `help:"Delete the person's invitations at Clerk, too, and the copies of their mail that Clerk keeps. Needs CLERK_SECRET_KEY."`
	Yes     bool   `help:"Do not ask."`
	clerkFlag
	instanceFlag
	jsonFlag
}

func (forgetCommand) Help() string {
	return `Removes a person from the queue: the invites for the address with everything that leads to them, requests to revoke it, and asynq tasks, finished and archived ones too. What has not been sent never will be. Afterwards it searches everything of the instance in Redis for the address, and says what backups still hold.

A keyed hash stays, so that the same request under the same id is not sent again, and inviteq reconcile --adopt does not bring the person back. A new invite for the address is a new invite. The exit code is 1 while something is left: an invite whose call to Clerk has had no clear answer is taken back first, which takes a worker a quarter of an hour.

The Redis user needs the rights of the eraser in deployments/redis.acl. Logs name people by a keyed hash, which this prints.

Examples:

  inviteq forget ada@example.com --at-clerk
  inviteq forget ada@example.com --yes --json`
}

// forgottenJSON is what --json prints. The keys are stable and always there.
type forgottenJSON struct {
	enqueue.Forgotten
	DeletedAtClerk int      `json:"deleted_at_clerk"`
	Copies         []string `json:"copies"` // Where the address may still stand beyond inviteq's reach.
}

// Run forgets one person.
func (c *forgetCommand) Run(ctx context.Context, p *program) error {
	e := setting(&p.complaints, "address", c.Address, func(string) (tasks.Email, error) { return tasks.ParseEmail(c.Address) })
	var api *clerk.Client
	if c.AtClerk {
		api = p.clerkClient(c.ClerkAPIURL, clerk.DefaultTimeout)
	}
	if !c.Yes && terminal(p.console.in) == nil {
		p.complaints.add(usagef("there is no terminal to ask on: add --yes if this is meant"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !c.Yes {
		records, err := conn.ledger.FindAddress(ctx, e)
		if err != nil {
			return err
		}
		p.console.note("%s for this address would be forgotten for good. Type yes to go on:", show.Count(len(records), "invite"))
		if answer, _ := bufio.NewReader(p.console.in).ReadString('\n'); strings.TrimSpace(answer) != "yes" {
			return usagef("nothing was done")
		}
	}
	out := forgottenJSON{Copies: []string{}}
	if c.AtClerk {
		defer api.Close()
		if out.DeletedAtClerk, err = (&erase.Clerk{Ledger: conn.ledger, Clerk: api, Share: p.readShare()}).Person(ctx, e); err != nil {
			return fmt.Errorf("%s deleted at Clerk, and nothing forgotten yet; run the same command to go on: %w", show.Count(out.DeletedAtClerk, "invitation"), err)
		}
	}
	out.Forgotten, err = conn.client.Forget(ctx, e)
	p.audit(ctx, conn, "forget", "person:"+conn.ledger.Person(e), len(out.Invites))
	if err != nil {
		return err
	}
	if c.AtClerk {
		out.Pending = []string{}
	}
	out.Copies = redisconn.Copies(ctx, conn.rdb, conn.ledger.Key())
	if c.JSON {
		err = p.printJSON(out)
	} else {
		err = c.print(p, out)
	}
	if err == nil && !out.Done() {
		return errTold
	}
	return err
}

func (c *forgetCommand) print(p *program, f forgottenJSON) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s forgotten (in logs: person %s).", show.Count(len(f.Invites), "invite"), f.Person)
	if f.Canceled > 0 {
		line("%s had not been sent, and never will be.", show.Count(f.Canceled, "invite"))
	}
	if f.Tasks > 0 {
		line("%s of asynq deleted.", show.Count(f.Tasks, "task"))
	}
	if f.Revokes > 0 {
		line("%s of the address dropped that no worker had carried out.", show.Count(f.Revokes, "revoke"))
	}
	switch {
	case c.AtClerk:
		line("%s deleted at Clerk.", show.Count(f.DeletedAtClerk, "invitation"))
	case len(f.Pending) > 0:
		line("At Clerk %s still open (%s): the person can sign up with the link. `inviteq forget` with --at-clerk deletes it.", show.Count(len(f.Pending), "invitation"), strings.Join(f.Pending, ", "))
	default:
		line("Clerk was not asked: what it still has of the person, --at-clerk deletes.")
	}
	if f.Waiting > 0 {
		line("%s not forgotten yet: a call to Clerk may still take effect. They are being taken back, for which a worker must run; repeat the command after %s.",
			show.Count(f.Waiting, "invite"), show.Time(*f.WaitUntil))
	}
	for _, place := range f.Left {
		line("The address still stands in Redis: %s", place)
	}
	if len(f.Left) == 0 {
		line("Redis was searched: the address stands nowhere in this instance.")
	}
	for _, copies := range f.Copies {
		line("%s", copies)
	}
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

type exportCommand struct {
	Address string `arg:"" help:"The person's e-mail address."`
	instanceFlag
}

func (exportCommand) Help() string {
	return `Prints everything that Redis holds about a person, as one JSON object: the invites as they were asked for and what became of them, requests to revoke, tasks, and other places where the address stands. Clerk is not asked.

Example:

  inviteq export ada@example.com > ada.json`
}

// Run exports one person.
func (c *exportCommand) Run(ctx context.Context, p *program) error {
	e := setting(&p.complaints, "address", c.Address, func(string) (tasks.Email, error) { return tasks.ParseEmail(c.Address) })
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	x, err := conn.client.Export(ctx, e)
	if err != nil {
		return err
	}
	p.audit(ctx, conn, "export", "person:"+x.Person, len(x.Invites))
	return p.printJSON(x)
}
