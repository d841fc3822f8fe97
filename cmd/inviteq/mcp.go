package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
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

type mcpCommand struct {
	Serve   mcpServeCommand   `cmd:"" default:"withargs" help:"Speak with an agent over standard input and output; plain inviteq mcp does this too."`
	Plans   mcpPlansCommand   `cmd:"" help:"List what agents have planned in the last day, and what waits for you."`
	Approve mcpApproveCommand `cmd:"" help:"Allow an agent to apply a plan."`
	Reject  mcpRejectCommand  `cmd:"" help:"Forbid it."`
}

func (mcpCommand) Help() string {
	return `Serves the Model Context Protocol, so that an agent can look: status, imports, quota, explain. With --write it can invite people and take invites back, in two steps each: a preview says how many people it is about and what would become of them, and names a plan; applying the plan does it. A plan about more people than --approve-above waits until you approve it here. The first mail waits for --hold, and until then all of it can be taken back. Repeated calls do nothing twice. Addresses are masked in every answer.

What is invited is the agent's choice, the rest is yours: --redirect-url, --metadata and --expires-in-days are the same for all of them.

Examples:

  claude mcp add inviteq -- inviteq mcp
  inviteq mcp --write --allow-domain example.com
  inviteq mcp plans
  inviteq mcp approve plan_0123456789abcdef`
}

type mcpServeCommand struct {
	Write         bool          `help:"Let the agent invite people and take invites back. Without it, it can only look."`
	ApproveAbove  int           `default:"20" placeholder:"PEOPLE" help:"Plans about more people need inviteq mcp approve; 0 means all plans."`
	Hold          time.Duration `default:"10m" placeholder:"DURATION" help:"How long an agent's invites wait before the first mail goes."`
	AllowDomain   []string      `placeholder:"DOMAIN" help:"Agents may invite addresses of this domain only. Repeatable. Without it: of any domain."`
	Name          string        `default:"mcp" placeholder:"NAME" help:"Who asks, as it is shown with imports and plans."`
	RedirectURL   string        `placeholder:"URL" help:"Where the link in the mails leads."`
	Metadata      string        `placeholder:"JSON" help:"The public_metadata of all who are invited."`
	ExpiresInDays string        `placeholder:"DAYS" help:"How long the links are valid, 1 to 365 days. Defaults to Clerk's 30."`
	ClerkAPIURL   string        `name:"clerk-api-url" variable:"CLERK_API_URL" default:"https://api.clerk.com/v1" placeholder:"URL" help:"Where Clerk is. It is asked for previews only, and only if there is CLERK_SECRET_KEY."`
	instanceFlag
}

func (mcpServeCommand) Help() string { return mcpCommand{}.Help() }

// template is what the flags say about every invite.
func (c *mcpServeCommand) template(p *program) tasks.Invite {
	flags := invitesCommand{
		Address: []string{"somebody@example.com"}, Lane: tasks.Import.String(),
		RedirectURL: c.RedirectURL, Metadata: c.Metadata, ExpiresInDays: c.ExpiresInDays,
	}
	if list := flags.invites(p); len(list) == 1 {
		return list[0]
	}
	return tasks.Invite{}
}

// Run speaks until the other side hangs up, or the context ends.
func (c *mcpServeCommand) Run(ctx context.Context, p *program) error {
	template, look := c.template(p), p.optionalAsker(c.ClerkAPIURL)
	if c.ApproveAbove < 0 || c.Hold < 0 {
		p.complaints.add(errors.New("--approve-above and --hold must not be negative"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	cfg := agent.Config{
		Client: conn.client, Ledger: conn.ledger, Store: agent.NewStore(conn.rdb, c.Instance),
		ApproveAbove: c.ApproveAbove, Hold: c.Hold, Domains: c.AllowDomain, Owner: c.Name, Template: template,
	}
	if look != nil {
		defer look.clerk.Close()
		cfg.Forecast = look.forAgents(conn.ledger)
	}
	tools := mcpTools{
		p: p, conn: conn, plans: agent.NewPlans(cfg), act: access.Act{Who: c.Name, Via: access.ViaAgent},
		log: zerolog.New(p.console.err).With().Timestamp().Logger(), // Standard output is the agent's.
	}
	err = tools.server(c.Write).Run(ctx, &mcp.IOTransport{Reader: io.NopCloser(p.console.in), Writer: keepOpen{p.console.out}})
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// keepOpen is standard output, which outlives the conversation.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// forAgents asks Clerk about the people of a plan.
func (a *asker) forAgents(l *ledger.Ledger) func(context.Context, iter.Seq2[tasks.Invite, error], int) (agent.Forecast, error) {
	ask := a.over(l)
	return func(ctx context.Context, people iter.Seq2[tasks.Invite, error], size int) (agent.Forecast, error) {
		f, err := ask(ctx, people, size)
		return agent.Forecast{ToSend: f.ToSend, HaveAccount: f.Users, InvitedByNow: f.Invited, WaitingByNow: f.Waiting, KnownFromPlan: f.Known, LastGoes: f.ETA}, err
	}
}

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

// agentsOverHTTP serves the agents that come with a token: those that may act can
// invite. They share their plans by the name of the token.
func (p *program) agentsOverHTTP(conn *connection, look *asker, log zerolog.Logger) func(access.Token) http.Handler {
	store := agent.NewStore(conn.rdb, conn.ledger.Instance())
	var mu sync.Mutex
	plans := map[string]*agent.Plans{}
	return func(token access.Token) http.Handler {
		mu.Lock()
		defer mu.Unlock()
		if plans[token.Name] == nil {
			cfg := agent.Config{
				Client: conn.client, Ledger: conn.ledger, Store: store, Owner: token.Name,
				ApproveAbove: mcpApproveAbove, Hold: mcpHold,
			}
			if look != nil {
				cfg.Forecast = look.forAgents(conn.ledger)
			}
			plans[token.Name] = agent.NewPlans(cfg)
		}
		tools := mcpTools{p: p, conn: conn, plans: plans[token.Name], log: log, act: access.Act{Who: token.Name, TokenID: token.ID, Via: access.ViaAgent}}
		server := tools.server(token.Acts())
		return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	}
}

// What inviteq mcp has flags for.
const (
	mcpApproveAbove = 20
	mcpHold         = 10 * time.Minute
)

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
	state, reason := s.State.Entry(), s.Reason.Entry()
	means := strings.TrimSpace(state.Means + " " + reason.Means)
	return mcpInvite{s, means, cmp.Or(reason.Do, state.Do)}
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

type mcpPlansCommand struct {
	instanceFlag
	jsonFlag
}

// Run lists the plans.
func (c *mcpPlansCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	plans, err := agent.NewStore(conn.rdb, c.Instance).All(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, r := range plans {
			if err := p.printJSON(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(plans) == 0 {
		p.console.note("no plans")
		return nil
	}
	var t table
	t.header("plan", "what", "people", "such as", "by", "", "state")
	for _, r := range plans {
		t.row(text(r.ID), text(string(r.Kind)), number(int64(r.People)), text(strings.Join(r.Sample[:min(2, len(r.Sample))], ", ")),
			text(r.Owner), text(show.Ago(time.Now(), r.At)), text(r.State()))
	}
	return t.print(p.console.out, p.console.onOut)
}

type (
	mcpApproveCommand struct{ mcpDecision }
	mcpRejectCommand  struct{ mcpDecision }
	mcpDecision       struct {
		Plan string `arg:"" help:"The plan (plan_…)."`
		instanceFlag
	}
)

// Run allows it.
func (c *mcpApproveCommand) Run(ctx context.Context, p *program) error { return c.decide(ctx, p, true) }

// Run forbids it.
func (c *mcpRejectCommand) Run(ctx context.Context, p *program) error { return c.decide(ctx, p, false) }

func (c *mcpDecision) decide(ctx context.Context, p *program, approve bool) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := agent.NewStore(conn.rdb, c.Instance).Decide(ctx, c.Plan, approve)
	if err != nil {
		return err
	}
	what := "reject plan"
	if approve {
		what = "approve plan"
	}
	p.audit(ctx, conn, what, r.ID, r.People)
	_, err = fmt.Fprintf(p.console.out, "%s is %s: to %s %s, asked by %s.\n", r.ID, r.State(), r.Kind, show.Thousands(r.People)+" people", r.Owner)
	return err
}
