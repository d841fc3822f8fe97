package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/cmd/inviteq/agent"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

type mcpCommand struct {
	Serve   mcpServeCommand   `cmd:"" default:"withargs" help:"Speak with an agent over standard input and output; plain inviteq mcp does this too."`
	Plans   mcpPlansCommand   `cmd:"" help:"List what agents have planned in the last day, and what waits for you."`
	Approve mcpApproveCommand `cmd:"" help:"Allow an agent to apply a plan."`
	Reject  mcpRejectCommand  `cmd:"" help:"Forbid it."`
}

func (mcpCommand) Help() string {
	return `Serves the Model Context Protocol, so that an agent can look: status, imports, quota, explain. With --write it can invite people and take invites back, in two steps each: a preview says how many people it is about and what would become of them, and names a plan; applying the plan does it. A plan about more people than --approve-above waits until you approve it here. The first mail waits for --hold, and until then all of it can be taken back. Repeated calls do nothing twice. Addresses are masked in every answer. With CLERK_SECRET_KEY a preview asks Clerk who has an account or an invitation.

What is invited is the agent's choice, the rest is yours: --redirect-url, --metadata and --expires-in-days are the same for all of them.

Examples:

  claude mcp add inviteq -- inviteq mcp
  inviteq mcp --write --allow-domain example.com
  inviteq mcp plans
  inviteq mcp approve plan_0123456789abcdef`
}

type mcpServeCommand struct {
	Write         bool          `help:"Let the agent invite people and take invites back. Without it, it can only look."`
	ApproveAbove  int           `default:"20" placeholder:"PEOPLE" help:"How many people an agent may invite in a day, and from how many take invites back, without inviteq mcp approve; 0 means none."`
	Hold          time.Duration `default:"10m" placeholder:"DURATION" help:"How long an agent's invites wait before the first mail goes."`
	AllowDomain   []string      `placeholder:"DOMAIN" help:"Agents may invite addresses of this domain only. Repeatable. Without it: of any domain."`
	Name          string        `default:"mcp" placeholder:"NAME" help:"Who asks, as it is shown with imports and plans."`
	RedirectURL   string        `placeholder:"URL" help:"Where the link in the mails leads."`
	Metadata      string        `placeholder:"JSON" help:"The public_metadata of all who are invited."`
	ExpiresInDays string        `placeholder:"DAYS" help:"How long the links are valid, 1 to 365 days. Defaults to Clerk's 30."`
	clerkFlag
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
		cfg.Forecast = look.over(conn.ledger)
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
				cfg.Forecast = look.over(conn.ledger)
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
