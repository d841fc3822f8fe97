package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/cmd/inviteq/agent"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// mcpTools is what an agent can do.
type mcpTools struct {
	p     *program
	conn  *connection
	plans *agent.Plans
	act   access.Act // who asks
	log   zerolog.Logger
}

const mcpLooking = `inviteq delivers invitations through Clerk. Its quotas are small (350 people an hour), so what is accepted may wait: status and explain say for how long and why. Addresses are masked in every answer.`

const mcpWriting = ` To invite people or to take invites back, make a preview, show it to the person who asked you, then apply the plan that it names. Applying it again does nothing. Never apply a plan that nobody has seen.` //nolint:gosec // no credentials

// server has the tools. What each is annotated with is true of it.
func (t *mcpTools) server(write bool) *mcp.Server {
	instructions := mcpLooking
	if write {
		instructions += mcpWriting
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "inviteq", Version: version}, &mcp.ServerOptions{Instructions: instructions, Capabilities: &mcp.ServerCapabilities{}})
	reads := &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: new(false)}
	addTool(s, t, "status", "What became of an invite, a person or an import; without a target, how many invites are in each state.", reads, t.status)
	addTool(s, t, "imports", "The newest imports: how far they are, and whether they go.", reads, t.imports)
	addTool(s, t, "quota", "What is left of Clerk's limits, how many invites wait, and when they go.", reads, t.quota)
	addTool(s, t, "explain", "Why an invite is as it is and what to do about it; without a target, why nothing is sent.", reads, t.explain)
	if !write {
		return s
	}
	// A preview writes down a plan that needs an approval, and asks Clerk.
	previews := &mcp.ToolAnnotations{DestructiveHint: new(false), IdempotentHint: true, OpenWorldHint: new(true)}
	addTool(s, t, "invite_preview", "Plans to invite people, and does not invite them: how many, who has an account, when the last mail would go.", previews,
		func(ctx context.Context, in struct {
			EmailAddresses []string `json:"email_addresses" jsonschema:"at most 1000"`
		}) (agent.Plan, error) {
			return t.plans.PreviewInvites(ctx, in.EmailAddresses)
		})
	addTool(s, t, "invite_apply", "Invites the people of a plan. Each gets a mail, unless they are taken back before the hold ends.",
		&mcp.ToolAnnotations{DestructiveHint: new(false), IdempotentHint: true, OpenWorldHint: new(true)}, t.apply(agent.Invite))
	addTool(s, t, "revoke_preview", "Plans to take invites back, and does not take them back: those of people or ids, or all of an import.", previews,
		func(ctx context.Context, in struct {
			Targets  []string `json:"targets,omitempty" jsonschema:"addresses, or ids of inviteq (inq_…) or of Clerk (inv_…)"`
			ImportID string   `json:"import_id,omitempty" jsonschema:"all of this import"`
		}) (agent.Plan, error) {
			return t.plans.PreviewRevokes(ctx, in.Targets, in.ImportID)
		})
	addTool(s, t, "revoke_apply", "Takes back the invites of a plan: links that were mailed stop working.",
		&mcp.ToolAnnotations{DestructiveHint: new(true), IdempotentHint: true, OpenWorldHint: new(true)}, t.apply(agent.Revoke))
	return s
}

// addTool adds a tool whose calls are written to the log, without what they are about.
func addTool[In, Out any](s *mcp.Server, t *mcpTools, name, description string, notes *mcp.ToolAnnotations, do func(context.Context, In) (Out, error)) {
	mcp.AddTool(s, &mcp.Tool{Name: name, Description: description, Annotations: notes}, func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		began := time.Now()
		out, err := do(ctx, in)
		line := t.log.Info().Str("by", t.act.Who).Str("tool", name).Dur("took_ms", time.Since(began)).Bool("ok", err == nil)
		switch o := any(out).(type) {
		case agent.Plan:
			line = line.Str("plan", o.ID).Int("people", o.People).Int("refused", len(o.Refused)).Bool("needs_approval", o.NeedsApproval)
		case agent.Applied:
			line = line.Str("plan", o.ID).Int("people", o.People).Bool("applied_before", o.Before).Str("import", o.Import)
			if err == nil && !o.Before {
				act := t.act
				act.What, act.About, act.Count = string(o.Kind), o.ID, o.People
				err = t.conn.tokens().Note(context.WithoutCancel(ctx), act)
			}
		}
		line.Msg("agent")
		if err != nil {
			err = errors.New(string(tasks.Mask([]byte(t.p.explain(err).Error()))))
		}
		return nil, out, err
	})
}

type mcpPlan struct {
	Plan string `json:"plan" jsonschema:"as the preview names it"`
}

func (t *mcpTools) apply(kind agent.Kind) func(context.Context, mcpPlan) (agent.Applied, error) {
	return func(ctx context.Context, in mcpPlan) (agent.Applied, error) { return t.plans.Apply(ctx, kind, in.Plan) }
}

type mcpTarget struct {
	Target string `json:"target,omitempty" jsonschema:"an address, or the id of an invite (inq_…), an invitation (inv_…), a revoke (rvk_…) or an import"`
}

// mcpInvite is an invite as agents see it.
type mcpInvite struct {
	enqueue.Status
	Means string `json:"means"`
	Do    string `json:"do,omitempty"`
}

type mcpStatus struct {
	Counts  map[string]int64      `json:"counts,omitempty" jsonschema:"of all invites, by state"`
	Invites []mcpInvite           `json:"invites,omitempty"`
	Import  *importJSON           `json:"import,omitempty"`
	Revoke  *enqueue.RevokeStatus `json:"revoke,omitempty"`
	Why     []string              `json:"nothing_is_sent_because,omitempty"`
}

// status is what `inviteq status` tells.
func (t *mcpTools) status(ctx context.Context, in mcpTarget) (s mcpStatus, err error) {
	switch {
	case in.Target == "":
		o, err := t.conn.ledger.Overview(ctx, ledger.Now)
		if err != nil {
			return s, err
		}
		s.Counts = quotaOf(t.conn.ledger.Instance(), o).States
	case strings.HasPrefix(in.Target, "rvk_"):
		r, err := t.conn.client.RevokeStatus(ctx, in.Target)
		if err != nil {
			return s, err
		}
		s.Revoke = &r
	default:
		list, err := t.conn.client.Status(ctx, in.Target)
		if errors.Is(err, enqueue.ErrNotFound) && !strings.Contains(in.Target, "@") {
			i, importErr := t.conn.client.Import(ctx, in.Target)
			if err = importErr; err == nil {
				s.Import = new(importOf(i))
			}
		}
		if err != nil {
			return s, err
		}
		for _, one := range list {
			s.Invites = append(s.Invites, mcpInviteOf(one))
		}
	}
	s.Why = t.p.obstacles(ctx, t.conn)
	return s, nil
}

func mcpInviteOf(s enqueue.Status) mcpInvite {
	means := strings.TrimSpace(s.State.Entry().Means + " " + s.Reason.Entry().Means)
	return mcpInvite{s, means, tasks.Advice(s.State, s.Reason)}
}

type mcpImports struct {
	Total   int64        `json:"total"`
	Imports []importJSON `json:"imports"`
}

// imports are the newest ones.
func (t *mcpTools) imports(ctx context.Context, in struct {
	Limit int `json:"limit,omitempty" jsonschema:"how many at most, 1 to 100; 20 without it"`
}) (mcpImports, error) {
	list, total, err := t.conn.client.Imports(ctx, 0, max(1, min(100, cmp.Or(in.Limit, 20))))
	out := mcpImports{Total: total, Imports: make([]importJSON, len(list))}
	for n, i := range list {
		out.Imports[n] = importOf(i)
	}
	return out, err
}

type nothing struct{}

// quota is what `inviteq quota` tells.
func (t *mcpTools) quota(ctx context.Context, _ nothing) (quotaJSON, error) {
	o, err := t.conn.ledger.Overview(ctx, ledger.Now)
	return quotaOf(t.conn.ledger.Instance(), o), err
}

type mcpExplained struct {
	Sentences []string `json:"sentences"`
}

// explain says it in sentences.
func (t *mcpTools) explain(ctx context.Context, in mcpTarget) (mcpExplained, error) {
	s, err := t.status(ctx, in)
	if err != nil {
		return mcpExplained{}, err
	}
	var out mcpExplained
	say := func(format string, args ...any) { out.Sentences = append(out.Sentences, fmt.Sprintf(format, args...)) }
	now := time.Now()
	for _, i := range s.Invites {
		say("%s for %s is %s since %s. %s", i.ID, i.EmailAddress, i.State, show.Time(i.UpdatedAt), i.Means)
		if i.Do != "" {
			say("What to do: %s", i.Do)
		}
		if !i.ETA.IsZero() {
			say("It goes %s (%s), at the current rate.", show.In(now, i.ETA), show.Time(i.ETA))
		}
	}
	if i := s.Import; i != nil {
		say("%s has %s, of which %d are not settled; it is %s.", i.ImportID, show.Count(int(i.Total), "invite"), i.Open, i.State)
		if i.ETA != nil {
			say("The last one goes %s (%s), at the current rate.", show.In(now, *i.ETA), show.Time(*i.ETA))
		}
	}
	if r := s.Revoke; r != nil {
		say("%s", manyLine(*r))
	}
	if out.Sentences = append(out.Sentences, s.Why...); len(out.Sentences) == 0 {
		say("Nothing is in the way: invites go as Clerk's limits permit. The tool quota shows when.")
	}
	return out, nil
}
