package main

import (
	"cmp"
	"context"
	"fmt"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/show"
)

// audit writes down what a command has done, or whose addresses it shows. What was done
// is done, so that a log that cannot be written is a warning.
func (p *program) audit(ctx context.Context, conn *connection, what, about string, count int) {
	who := "somebody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := conn.tokens().Note(ctx, access.Act{Who: who, Via: access.ViaCommand, What: what, About: about, Count: count}); err != nil {
		p.console.note("warning: the audit log cannot be written: %v", err)
	}
}

type auditCommand struct {
	Log auditLogCommand `cmd:"" default:"withargs" help:"Print who has done what, and who was shown an address."`
}

func (auditCommand) Help() string { return auditLogCommand{}.Help() }

type auditLogCommand struct {
	Since string `default:"24h" placeholder:"DURATION" help:"How far to look back; all prints everything that is kept."`
	Limit int    `default:"0" placeholder:"N" help:"Print the last N lines only; 0 disables the limit."`
	instanceFlag
	jsonFlag
}

func (auditLogCommand) Help() string {
	return fmt.Sprintf(`One line for every act over the HTTP API, on the pages and by a command, and for every time that the addresses of others were shown; the oldest comes first. The lines name ids and keyed hashes, and no address. About the last %s are kept: to keep more, export them.

Examples:

  inviteq audit log --since 168h
  inviteq audit log --since all --json > audit.jsonl`, show.Thousands(access.ActsKept))
}

// Run prints the log.
func (c *auditLogCommand) Run(ctx context.Context, p *program) error {
	var since time.Time
	if c.Since != "all" {
		since = time.Now().Add(-setting(&p.complaints, "since", c.Since, span))
	}
	if c.Limit < 0 {
		p.complaints.add(fmt.Errorf("--limit ($INVITEQ_LIMIT) must not be negative"))
	}
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	acts := conn.tokens().Acts(ctx, since)
	if c.Limit > 0 {
		last, err := conn.tokens().LastActs(ctx, c.Limit)
		if err != nil {
			return err
		}
		slices.Reverse(last)
		acts = func(yield func(access.Act, error) bool) {
			for _, a := range last {
				if !a.At.Before(since) && !yield(a, nil) {
					return
				}
			}
		}
	}
	n := 0
	for a, err := range acts {
		if err != nil {
			return err
		}
		n++
		if c.JSON {
			a.At = a.At.UTC()
			if err := p.printJSON(a); err != nil {
				return err
			}
			continue
		}
		line := []string{a.At.Format("2006-01-02 15:04:05"), a.Via, a.Who, a.What, a.About}
		if a.Count > 1 {
			line = append(line, "("+show.Count(a.Count, "invite")+")")
		}
		if a.Remote != "" {
			line = append(line, "from", a.Remote)
		}
		if _, err := fmt.Fprintln(p.console.out, strings.Join(slices.DeleteFunc(line, func(s string) bool { return s == "" }), "  ")); err != nil {
			return err
		}
	}
	if n == 0 {
		p.console.note("The audit log has nothing %s.", cmp.Or(map[bool]string{true: "in it"}[since.IsZero()], "since "+show.Time(since)))
	}
	return nil
}
