package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
	"github.com/inviteq/inviteq/worker/reconcile"
)

type reconcileCommand struct {
	Full    bool   `help:"Read every invitation, not only the newest."`
	DryRun  bool   `help:"Print the differences, and change nothing."`
	Adopt   bool   `help:"Record invitations that inviteq did not make."`
	Extra   bool   `name:"revoke-extra" help:"Of several pending invitations for one person, revoke all but the newest."`
	Desired string `placeholder:"FILE" type:"existingfile" help:"A list (CSV or JSON Lines) of the people who should be invited: print a plan that makes Clerk agree with it."`
	Apply   bool   `help:"With --desired: invite the people who are missing at Clerk."`
	Revoke  bool   `name:"revoke-missing" help:"With --desired --apply: revoke pending invitations of people who are not on the list."`
	Yes     bool   `help:"With --revoke-missing: revoke even more than a tenth of all pending invitations."`

	clerkFlag
	instanceFlag
	jsonFlag
}

func (reconcileCommand) Help() string {
	return `Compares the ledger with Clerk's list and settles every difference. Workers do this by themselves: every five minutes with the newest invitations, and once a day with all of them. It needs CLERK_SECRET_KEY or CLERK_SECRET_KEY_FILE, and uses at most a fifth of the read quota.

With --desired it compares Clerk with a list of the people who should be invited, and prints a plan. It changes nothing without --apply, and revokes nothing without --revoke-missing.

Examples:

  inviteq reconcile --full --dry-run
  inviteq reconcile --desired people.csv
  inviteq reconcile --desired people.csv --apply --revoke-missing`
}

// mostRevoked is the share of the pending invitations that a plan may revoke
// without --yes.
const mostRevoked = 0.1

// Run makes one pass, or one plan.
func (c *reconcileCommand) Run(ctx context.Context, p *program) error {
	if c.Desired == "" && (c.Apply || c.Revoke || c.Yes) {
		p.complaints.add(usagef("--apply, --revoke-missing and --yes belong to --desired FILE"))
	}
	if c.Desired != "" && (c.Adopt || c.Extra) {
		p.complaints.add(usagef("--desired makes a plan; --adopt and --revoke-extra belong to a pass without it"))
	}
	if c.Revoke && !c.Apply {
		p.complaints.add(usagef("--revoke-missing needs --apply"))
	}
	api := p.clerkClient(c.ClerkAPIURL, clerk.DefaultTimeout)
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer api.Close()
	pass := reconcile.Pass{
		Ledger: conn.ledger, Clerk: api, Full: c.Full, DryRun: c.DryRun,
		Adopt: c.Adopt, RevokeExtra: c.Extra,
	}
	if c.Desired != "" {
		return c.desired(ctx, p, conn, &pass)
	}
	screen := newLive(p.console)
	defer screen.clear()
	if screen != nil {
		pass.Progress = func(r reconcile.Report) {
			what := fmt.Sprintf("pass %d", r.Passes+1)
			if r.Agreed {
				what = "looking for what is missing"
			}
			screen.draw(fmt.Sprintf("%s invitations in %s calls, %s, %s", show.Thousands(r.Scanned), show.Thousands(r.Reads), what, show.Duration(r.Took)))
		}
	}
	r, err := pass.Run(ctx)
	screen.clear()
	for what, n := range map[string]int{"adopt": r.Adopted, "revoke extra": r.Revoked} {
		if n > 0 && !r.DryRun {
			p.audit(ctx, conn, what, "", n)
		}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(r)
	}
	return p.printReport(r)
}

// printReport writes what a pass has found.
func (p *program) printReport(r reconcile.Report) error {
	did := "settled"
	if r.DryRun {
		did = "would be settled"
	}
	var t table
	t.header(r.Kind+" pass", "number", "")
	t.row(text("scanned"), number(int64(r.Scanned)), text("invitations at Clerk"))
	t.row(text("agreed"), number(int64(r.Same)), text("the ledger says the same"))
	for _, change := range slices.Sorted(maps.Keys(r.Settled)) {
		t.row(text(change), number(int64(r.Settled[change])), text(did))
	}
	rows := []struct {
		name string
		n    int
		what string
	}{
		{"lagging", r.Lagging, reconcile.Lagging.Means()},
		{"foreign", r.Foreign, reconcile.Foreign.Means() + "; --adopt records them"},
		{"adopted", r.Adopted, "recorded now"},
		{"doubled", r.Doubled, reconcile.Doubled.Means() + "; --revoke-extra revokes the older ones"},
		{"revoked", r.Revoked, "of those, now"},
		{"missing", r.Missing, reconcile.Missing.Means()},
		{"gone", r.Gone, reconcile.Gone.Means()},
		{"rebuilt", r.Rebuilt, reconcile.Rebuilt.Means()},
		{"unconfirmed", r.Unconfirmed, "probably missing too, but too many to look for: is CLERK_SECRET_KEY the right one?"},
		{"forgotten", r.Forgotten, "settled longer ago than the ledger remembers"},
	}
	for _, row := range rows {
		if row.n > 0 || row.name == "missing" || row.name == "foreign" {
			t.row(text(row.name), number(int64(row.n)), text(row.what))
		}
	}
	t.row(text("reads"), number(int64(r.Reads)), text("calls to Clerk, in "+show.Duration(r.Took)))
	if err := t.print(p.console.out, p.console.onOut); err != nil {
		return err
	}
	for _, id := range r.MissingIDs {
		fmt.Fprintf(p.console.out, "missing: %s\n", id)
	}
	if !r.Agreed {
		p.console.note("Clerk's list kept changing (%s), so an invitation that is absent from it was not counted as missing.", r.Doubt)
	}
	return nil
}

// planJSON is a plan in --json. The keys are stable and always there.
type planJSON struct {
	Invite  int  `json:"invite"`
	Revoke  int  `json:"revoke"`
	Leave   int  `json:"leave"`
	Pending int  `json:"pending"` // pending invitations at Clerk
	Applied bool `json:"applied"`

	ImportID string      `json:"import_id"` // under which --apply invites
	Invites  []string    `json:"invites"`   // addresses
	Revokes  []extraJSON `json:"revokes"`
}

type extraJSON struct {
	InvitationID string `json:"invitation_id"`
	EmailAddress string `json:"email_address"` // "" if it is none that we would invite
}

func planOf(plan reconcile.Plan, importID string) planJSON {
	j := planJSON{
		Invite: len(plan.Invite), Revoke: len(plan.Revoke), Leave: plan.Leave, Pending: plan.Pending,
		ImportID: importID, Invites: []string{}, Revokes: []extraJSON{},
	}
	for _, i := range plan.Invite {
		j.Invites = append(j.Invites, i.EmailAddress.Raw())
	}
	for _, x := range plan.Revoke {
		j.Revokes = append(j.Revokes, extraJSON{x.InvitationID, x.EmailAddress.Raw()})
	}
	return j
}

func (c *reconcileCommand) desired(ctx context.Context, p *program, conn *connection, pass *reconcile.Pass) error {
	wanted, id, err := c.wanted(ctx, p)
	if err != nil {
		return err
	}
	plan, err := pass.Desired(ctx, wanted)
	if err != nil {
		return err
	}
	j := planOf(plan, id)
	if !c.JSON {
		if err := p.printPlan(plan, j); err != nil {
			return err
		}
	}
	if len(plan.Invite)+len(plan.Revoke) == 0 {
		p.console.note("There is nothing to do: Clerk has exactly who is on the list.")
	} else if c.Apply {
		if err := c.apply(ctx, p, conn, plan, id); err != nil {
			return err
		}
		j.Applied = true
	} else if !c.JSON {
		p.console.note("Nothing was done. --apply invites; --apply --revoke-missing revokes as well.")
	}
	if c.JSON {
		return p.printJSON(j)
	}
	return nil
}

// wanted reads the list. A bad row ends it, since the plan would revoke the
// person whom that row was meant to name.
func (c *reconcileCommand) wanted(ctx context.Context, p *program) ([]tasks.Invite, string, error) {
	list, err := p.openList(ctx, c.Desired, lists.Options{})
	if err != nil {
		return nil, "", err
	}
	defer list.Close()
	found, err := p.survey(ctx, c.Desired, list, func(e *lists.RowError) error {
		p.console.note("%v", e)
		return nil
	})
	switch {
	case err != nil:
		return nil, "", err
	case found.Bad > 0:
		return nil, "", usagef("%s rows of the list are bad, so there is no plan: fix them first", show.Thousands(found.Bad))
	}
	wanted := make([]tasks.Invite, 0, found.Good)
	for row, err := range list.Rows(ctx, "") {
		if _, dup := errors.AsType[*lists.DuplicateError](err); dup {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		row.Invite.ID = "" // The import gives it one.
		wanted = append(wanted, row.Invite)
	}
	// A list applied again next week is another import: a person on it may have
	// been revoked since.
	return wanted, list.ImportID() + "-" + time.Now().UTC().Format("20060102T150405"), nil
}

// peopleShown is how many of each kind a plan names on a terminal.
const peopleShown = 10

func (p *program) printPlan(plan reconcile.Plan, j planJSON) error {
	var t table
	t.header("plan", "people", "")
	t.row(text("invite"), number(int64(j.Invite)), text("on the list, neither invited nor waiting"))
	t.row(text("revoke"), number(int64(j.Revoke)), text(fmt.Sprintf("pending and not on the list: %.1f %% of %s pending", 100*plan.RevokeShare(), show.Thousands(plan.Pending))))
	t.row(text("leave"), number(int64(j.Leave)), text("on the list, and invited, accepted or waiting already"))
	if err := t.print(p.console.out, p.console.onOut); err != nil {
		return err
	}
	var b strings.Builder
	name := func(verb, who string, n, of int) {
		switch {
		case n < peopleShown:
			fmt.Fprintf(&b, "%s  %s\n", verb, who)
		case n == peopleShown:
			fmt.Fprintf(&b, "%s  … and %s more, whom --json names\n", verb, show.Thousands(of-peopleShown))
		}
	}
	for n, who := range j.Invites {
		name("invite", who, n, j.Invite)
	}
	for n, x := range j.Revokes {
		name("revoke", strings.TrimSpace(x.EmailAddress+"  "+x.InvitationID), n, j.Revoke)
	}
	if b.Len() > 0 {
		fmt.Fprint(p.console.out, "\n"+b.String())
	}
	return nil
}

func (c *reconcileCommand) apply(ctx context.Context, p *program, conn *connection, plan reconcile.Plan, id string) error {
	if c.Revoke && plan.RevokeShare() > mostRevoked && !c.Yes {
		return usagef("this would revoke %.1f %% of all pending invitations, so nothing was done: if that is meant, add --yes", 100*plan.RevokeShare())
	}
	if len(plan.Invite) > 0 {
		r, err := conn.client.BulkInvite(ctx, enqueue.Each(plan.Invite), enqueue.BulkOptions{ImportID: id})
		if err != nil {
			return err
		}
		p.warnTask(r.TaskErr)
		p.audit(ctx, conn, "import", id, r.Admitted)
		p.console.note("%s enqueued as %s.", show.Count(r.Admitted, "invite"), id)
	}
	if !c.Revoke {
		return nil
	}
	for n, x := range plan.Revoke {
		if _, err := conn.client.Revoke(ctx, x.InvitationID); err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return fmt.Errorf("%w. %d of %d revokes are under way; run the same command to go on", err, n, len(plan.Revoke))
		}
	}
	p.audit(ctx, conn, "revoke missing", id, len(plan.Revoke))
	p.console.note("%s revokes are under way.", show.Thousands(len(plan.Revoke)))
	return nil
}
