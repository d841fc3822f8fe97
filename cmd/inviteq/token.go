package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// tokens is where the tokens and the audit log are kept.
func (c *connection) tokens() *access.Store {
	return access.NewStore(c.rdb, ledger.KeyPrefix(c.ledger.Instance()))
}

type apiTokenCommand struct {
	Create  apiTokenCreateCommand  `cmd:"" help:"Make a token and print it, this once."`
	Restore apiTokenRestoreCommand `cmd:"" help:"Write down again a token that Redis has lost and its user still has."`
	List    apiTokenListCommand    `cmd:"" help:"List the tokens, without their secrets."`
	Revoke  apiTokenRevokeCommand  `cmd:"" help:"Revoke the tokens of a name, or one by its id, at once."`
}

// tokenFlags say whose a token is, and what it may.
type tokenFlags struct {
	Name  string `arg:"" help:"Who will use it: it owns what it asks for, and stands in the audit log. Several tokens may have one name, so that one can follow the other without a gap."`
	Role  string `enum:"viewer,operator,admin" default:"operator" placeholder:"ROLE" help:"viewer looks, and sees no address; operator invites, revokes and pauses, and sees the addresses that tokens of its name have given; admin sees every address in its scope, and with the scope instance forgets people and manages tokens."`
	Scope string `enum:"own,instance" default:"own" placeholder:"SCOPE" help:"own: for it nothing exists but what tokens of its name have asked for. instance: everything, also what was made on the command line."`
	instanceFlag
}

// connect checks the flags, and opens the queue.
func (f tokenFlags) connect(ctx context.Context, p *program) (conn *connection, role access.Role, scope access.Scope, err error) {
	p.complaints.add(access.CheckTokenName(f.Name))
	if err := errors.Join(role.UnmarshalText([]byte(f.Role)), scope.UnmarshalText([]byte(f.Scope))); err != nil {
		return nil, 0, 0, err
	}
	conn, err = p.connect(ctx, f.Instance)
	return conn, role, scope, err
}

type apiTokenCreateCommand struct {
	tokenFlags
	jsonFlag
}

func (apiTokenCreateCommand) Help() string {
	return `The token is the last line, and all that is written to standard output. Only its hash is kept. Idempotency keys belong to the name and the scope, so they survive a new token of the same name and scope.

A service that changes the base URL of its Clerk SDK, and should see everything as at Clerk, needs --scope instance.

Examples:

  inviteq api token create billing
  inviteq api token create backend --scope instance
  inviteq api token create dashboard --role viewer --scope instance
  TOKEN=$(inviteq api token create billing)`
}

// Run makes a token.
func (c *apiTokenCreateCommand) Run(ctx context.Context, p *program) error {
	conn, role, scope, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	bearer, t, err := conn.tokens().Create(ctx, time.Now(), c.Name, role, scope)
	if err != nil {
		return err
	}
	p.audit(ctx, conn, "create token", t.ID, 0)
	if c.JSON {
		return p.printJSON(struct {
			Token string `json:"token"`
			tokenJSON
		}{bearer, tokenOf(t)})
	}
	p.console.note("%s for %s (%s, scope %s). It is shown this once; `inviteq api token revoke %s` ends it.", t.ID, t.Name, t.Role, t.Scope, t.ID)
	_, err = fmt.Fprintln(p.console.out, bearer)
	return err
}

type apiTokenRestoreCommand struct{ tokenFlags }

func (apiTokenRestoreCommand) Help() string {
	return `Reads the token from standard input. It is for a Redis that was emptied: the services keep their tokens, and their idempotency keys go on meaning the same invites. Say the role and the scope that it had.

Example:

  inviteq api token restore billing < billing-token`
}

// Run restores a token.
func (c *apiTokenRestoreCommand) Run(ctx context.Context, p *program) error {
	conn, role, scope, err := c.connect(ctx, p)
	if err != nil {
		return err
	}
	defer conn.Close()
	text, err := io.ReadAll(io.LimitReader(p.console.in, 4096))
	if err != nil {
		return err
	}
	t, err := conn.tokens().Restore(ctx, time.Now(), strings.TrimSpace(string(text)), c.Name, role, scope)
	if err != nil {
		return err
	}
	p.audit(ctx, conn, "restore token", t.ID, 0)
	_, err = fmt.Fprintf(p.console.out, "%s (%s) is restored\n", t.ID, t.Name)
	return err
}

type apiTokenListCommand struct {
	instanceFlag
	jsonFlag
}

func (apiTokenListCommand) Help() string {
	return `Example:

  inviteq api token list`
}

// tokenJSON is a token in --json. The keys are stable and always there.
type tokenJSON struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	Scope     string     `json:"scope"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at"` // to the minute; null: never
}

func tokenOf(t access.Token) tokenJSON {
	return tokenJSON{
		ID: t.ID, Name: t.Name, Role: t.Role.String(), Scope: t.Scope.String(), CreatedAt: t.CreatedAt.UTC(), UsedAt: tasks.TimeOrNull(t.UsedAt),
	}
}

// Run lists the tokens.
func (c *apiTokenListCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	tokens, err := conn.tokens().Tokens(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	var t table
	t.header("name", "id", "role", "scope", "created", "last used")
	for _, token := range tokens {
		if c.JSON {
			if err := p.printJSON(tokenOf(token)); err != nil {
				return err
			}
			continue
		}
		used := "never"
		if !token.UsedAt.IsZero() {
			used = show.Ago(now, token.UsedAt)
		}
		t.row(text(token.Name), text(token.ID), text(token.Role.String()), text(token.Scope.String()), text(show.Time(token.CreatedAt)), text(used))
	}
	if c.JSON {
		return nil
	}
	return t.print(p.console.out, p.console.onOut)
}

type apiTokenRevokeCommand struct {
	Name string `arg:"" help:"The name of the tokens, or the id of one (tok_…)."`
	instanceFlag
	jsonFlag
}

func (apiTokenRevokeCommand) Help() string {
	return `The next request that comes with it is refused. The exit code is 1 if there is no such token.

Example:

  inviteq api token revoke billing`
}

// Run revokes tokens.
func (c *apiTokenRevokeCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	gone, err := conn.tokens().Revoke(ctx, c.Name)
	if errors.Is(err, access.ErrToken) {
		return errors.New("there is no such token; `inviteq api token list` shows all")
	}
	if err != nil {
		return err
	}
	for _, t := range gone {
		p.audit(ctx, conn, "revoke token", t.ID, 0)
		if c.JSON {
			if err := p.printJSON(tokenOf(t)); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(p.console.out, "%s (%s) is revoked\n", t.ID, t.Name); err != nil {
			return err
		}
	}
	return nil
}
