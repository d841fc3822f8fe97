package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

type workersCommand struct {
	instanceFlag
	jsonFlag
}

func (workersCommand) Help() string {
	return `Each worker tells the others every ten seconds how it is configured; one that has been silent for 45 seconds is left out. Workers with different limits spend one log by different rules: the command says so, and what counts. The exit code is 1 if no worker is there.

Examples:

  inviteq workers
  inviteq workers --json | jq -r 'select(.problems != "") | .name'`
}

// workerJSON is a worker in --json. The keys are stable and always there.
type workerJSON struct {
	Name        string    `json:"name"` // of the machine, and some letters for the process
	Version     string    `json:"version"`
	Since       time.Time `json:"since"`
	SeenAt      time.Time `json:"seen_at"`
	LimitSingle string    `json:"limit_single"`
	LimitBulk   string    `json:"limit_bulk"`
	LimitOther  string    `json:"limit_other"`
	BulkSize    int       `json:"bulk_size"`
	Reserve     string    `json:"reserve"`
	ClockMs     int64     `json:"clock_ms"` // by how much its clock is ahead of Redis'
	Problems    string    `json:"problems"` // what keeps it from delivering; separated by commas
}

// Run lists them.
func (c *workersCommand) Run(ctx context.Context, p *program) error {
	conn, err := p.connect(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer conn.Close()
	all, err := conn.ledger.Fellows(ctx, ledger.Now)
	if err != nil {
		return err
	}
	now := time.Now()
	var t table
	t.header("worker", "version", "started", "single", "bulk", "all calls", "reserve", "clock", "state")
	for _, f := range all {
		reserve := "auto"
		if f.Reserve >= 0 {
			reserve = strconv.Itoa(f.Reserve)
		}
		if c.JSON {
			j := workerJSON{
				f.Name, f.Version, f.Since.UTC(), f.At.UTC(), f.Limits.Single.String(), f.Limits.Bulk.String(), f.Limits.Other.String(),
				f.Bulk, reserve, f.Clock.Milliseconds(), f.Problem,
			}
			if err := p.printJSON(j); err != nil {
				return err
			}
			continue
		}
		state := text("delivers").in(p.console.onOut.green)
		if f.NoClerk {
			state = text("waits for Clerk, which does not answer").in(p.console.onOut.yellow)
		}
		if f.Problem != "" {
			state = text(f.Problem).in(p.console.onOut.red)
		}
		t.row(text(f.Name), text(cmp.Or(f.Version, "–")), text(show.Ago(now, f.Since)), text(f.Limits.Single.String()),
			text(fmt.Sprintf("%s of %d", f.Limits.Bulk, f.Bulk)), text(f.Limits.Other.String()), text(reserve), text(show.Offset(f.Clock)), state)
	}
	switch {
	case len(all) == 0:
		p.console.note("No worker is running for this instance: start one with `inviteq worker`.")
		return errTold
	case c.JSON:
		return nil
	}
	if differ := ledger.Disagreement(all); differ != "" {
		defer p.console.note("workers are configured differently: %s", differ)
	}
	return t.print(p.console.out, p.console.onOut)
}
