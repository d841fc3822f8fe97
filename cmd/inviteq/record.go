package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
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
	now := time.Now()
	var t table
	t.header("state", "address", "lane", "when", "id", "reason")
	for _, s := range list {
		t.row(p.state(s.State), text(s.EmailAddress.Raw()), text(s.Lane.String()), text(when(now, s)), text(s.ID), text(s.Reason))
	}
	return t.print(p.console.out, p.console.onOut)
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
	line("state", paintState(c, s.State, s.State.String())+", "+meaning(s.State))
	if s.Reason != "" {
		line("reason", strings.TrimSuffix(s.Reason+": "+advice(s.Reason), ": "))
	}
	line("id", s.ID)
	line("invitation", s.InvitationID)
	line("import", s.ImportID)
	line("lane", s.Lane.String())
	if s.Attempts > 0 {
		line("attempts", fmt.Sprint(s.Attempts))
	}
	if !s.NotBefore.IsZero() {
		line("not before", moment(s.NotBefore))
	}
	if !s.ETA.IsZero() {
		line("sent", fmt.Sprintf("%s (%s) at the current rate", in(now, s.ETA), moment(s.ETA)))
	}
	line("created", fmt.Sprintf("%s (%s)", moment(s.CreatedAt), ago(now, s.CreatedAt)))
	line("changed", fmt.Sprintf("%s (%s)", moment(s.UpdatedAt), ago(now, s.UpdatedAt)))
	_, err := fmt.Fprint(p.console.out, b.String())
	return err
}

// when says when a waiting invite goes, or when another has changed last.
func when(now time.Time, s enqueue.Status) string {
	if s.ETA.IsZero() {
		return ago(now, s.UpdatedAt)
	}
	return in(now, s.ETA)
}

// meaning explains a state in a few words.
func meaning(s tasks.State) string {
	switch s {
	case tasks.Queued:
		return "waits for its turn"
	case tasks.Sending:
		return "a call to Clerk is under way"
	case tasks.Unknown:
		return "may have been sent; a worker looks it up"
	case tasks.Pending:
		return "Clerk has sent the invitation"
	case tasks.Accepted:
		return "the person has signed up"
	case tasks.Expired:
		return "the invitation ran out"
	case tasks.Revoked:
		return "taken back after it was sent"
	case tasks.Rejected:
		return "Clerk will not take it"
	case tasks.Canceled:
		return "taken back before it was sent"
	case tasks.Failed:
		return "given up; `inviteq retry` queues it again"
	case tasks.Parked:
		return "waits for a person; `inviteq release` queues it again"
	}
	return ""
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

// advices say in plain words what a reason means and what can be done. They read
// on after the reason, without a capital.
var advices = map[string]string{
	// Refused, for good.
	"already_invited": "has a pending invitation already",
	"existing_user":   "has an account already",
	"blocked":         "Clerk's block list forbids the address; change it in Clerk's dashboard, then `inviteq retry`",
	"invalid":         "Clerk refuses something in it",

	// Ended otherwise.
	"attempts_exhausted":           "Clerk said \"not now\" too often; `inviteq retry` queues it again",
	"too_old":                      "its deadline passed before Clerk took it",
	"malformed_request":            "Clerk cannot read what we send; look for a newer version, then `inviteq release`",
	"worker_died_three_times":      "three workers died with it; see their logs, then `inviteq release`",
	"unknown_with_ignore_existing": "it may have been sent; look in Clerk's dashboard, then `inviteq release` sends it again",
	"revoked":                      "somebody took it back",
	"adopted":                      "made by somebody else, and found at Clerk",
	"seen_at_clerk":                "a comparison with Clerk has found it",
	"found":                        "its call got no answer, but Clerk has it",
	"extra":                        "the person had a newer invitation, so `inviteq reconcile --revoke-extra` took this one back",

	// Waits.
	"quota":            "Clerk's limit was reached; it keeps its place",
	"overload":         "Clerk is overloaded; it keeps its place",
	"not_sent":         "Clerk could not be reached; it keeps its place",
	"unauthorized":     "Clerk refuses the workers' key; it keeps its place",
	"edge_blocked":     "the edge in front of Clerk turns the workers away; it keeps its place",
	"redirected":       "Clerk's address redirects; check CLERK_API_URL",
	"busy":             "Clerk was busy with this address; it tries again soon",
	"by_hand":          "queued again by a person",
	"missing_at_clerk": "Clerk did not have its invitation any more, so it goes again",
	"no_answer":        "its call was not answered; a worker looks it up",
	"unknown":          "its call got no usable answer; a worker looks it up",
	"claim_expired":    "its worker did not come back; another one looks it up",
	"unconfirmed":      "a call was refused or came to nothing; a worker looks whether it took effect after all",
	"duplicate":        "Clerk knows an invitation for it; a worker looks whether it is ours",
}

// advice returns what is said of a reason; "" if the word says it all.
func advice(reason string) string {
	if field, ok := strings.CutPrefix(reason, "invalid_"); ok {
		return "Clerk refuses its " + field
	}
	return advices[reason]
}
