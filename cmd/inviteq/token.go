package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks/show"
)

// tokens is where the tokens are kept.
func (c *connection) tokens() *api.Store { return api.NewStore(c.rdb, c.ledger.Instance()) }

type apiTokenCommand struct {
	Create apiTokenCreateCommand `cmd:"" help:"Make a token and print it, this once."`
	List   apiTokenListCommand   `cmd:"" help:"List the tokens, without their secrets."`
	Revoke apiTokenRevokeCommand `cmd:"" help:"Revoke the tokens of a name, or one by its id, at once."`
}

type apiTokenCreateCommand struct {
	Name     string `arg:"" help:"Who will use it: it stands in the audit log. Several tokens may have one name, so that one can follow the other without a gap."`
	ReadOnly bool   `help:"It may list and look, and neither invite nor revoke."`
	instanceFlag
}

func (apiTokenCreateCommand) Help() string {
	return `The token is the last line, and all that is written to standard output. Only its hash is kept. Idempotency keys belong to the name, so they survive a new token of the same name.

Examples:

  inviteq api token create billing
  inviteq api token create dashboard --read-only
  TOKEN=$(inviteq api token create billing)`
}

// Run makes a token.
func (c *apiTokenCreateCommand) Run(ctx context.Context, p *program) error {
	p.complaints.add(api.CheckTokenName(c.Name))
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	bearer, t, err := conn.tokens().CreateToken(ctx, time.Now(), c.Name, c.ReadOnly)
	if err != nil {
		return err
	}
	p.console.note("%s for %s. It is shown this once; `inviteq api token revoke %s` ends it.", t.ID, t.Name, t.ID)
	_, err = fmt.Fprintln(p.console.out, bearer)
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
	ReadOnly  bool       `json:"read_only"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"used_at"` // to the minute; null: never
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
	t.header("name", "id", "may", "created", "last used")
	for _, token := range tokens {
		if c.JSON {
			j := tokenJSON{ID: token.ID, Name: token.Name, ReadOnly: token.ReadOnly, CreatedAt: token.CreatedAt.UTC()}
			if !token.UsedAt.IsZero() {
				j.UsedAt = new(token.UsedAt.UTC())
			}
			if err := p.printJSON(j); err != nil {
				return err
			}
			continue
		}
		may, used := "read and write", "never"
		if token.ReadOnly {
			may = "read"
		}
		if !token.UsedAt.IsZero() {
			used = show.Ago(now, token.UsedAt)
		}
		t.row(text(token.Name), text(token.ID), text(may), text(show.Time(token.CreatedAt)), text(used))
	}
	if c.JSON {
		return nil
	}
	return t.print(p.console.out, p.console.onOut)
}

type apiTokenRevokeCommand struct {
	Name string `arg:"" help:"The name of the tokens, or the id of one (tok_…)."`
	instanceFlag
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
	gone, err := conn.tokens().RevokeTokens(ctx, c.Name)
	if errors.Is(err, api.ErrToken) {
		return errors.New("there is no such token; `inviteq api token list` shows all")
	}
	if err != nil {
		return err
	}
	for _, t := range gone {
		if _, err := fmt.Fprintf(p.console.out, "%s (%s) is revoked\n", t.ID, t.Name); err != nil {
			return err
		}
	}
	return nil
}
