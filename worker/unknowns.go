package worker

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/verdict"
)

const (
	lookLease  = 30 * time.Second // while one worker looks, the others do not
	lookAtOnce = 100              // unknown invites that share a look
)

// unknowns settles unknown invites by reading.
type unknowns struct {
	ledger   *ledger.Ledger
	reads    *reads
	outcomes *outcomes
	policy   verdict.Policy
	log      zerolog.Logger
}

// settle looks at those that are due, and returns how many there were. Those that
// cannot be looked up come up again when their lease ends.
func (u *unknowns) settle(ctx context.Context) (int, error) {
	due, err := u.ledger.DueUnknown(ctx, ledger.Now, lookLease, lookAtOnce)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	shown, facts, failed := u.reads.look(ctx, due)
	var members []ledger.Settlement
	for _, r := range due {
		if s, read := shown[r.Invite.ID]; read {
			members = append(members, verdict.Look(r, s, facts, u.policy))
		}
	}
	if len(members) == 0 {
		return len(due), failed
	}
	records, err := u.ledger.Settle(ctx, ledger.Now, members...)
	if err != nil {
		return len(due), err
	}
	u.outcomes.tell(records)
	u.report(due, records)
	return len(due), failed
}

func (u *unknowns) report(due, settled []ledger.Record) {
	counts := map[tasks.State]int{}
	for _, r := range settled {
		counts[r.State]++
	}
	line := u.log.Info().Int("looked_at", len(due))
	for _, s := range tasks.States {
		if counts[s] > 0 {
			line = line.Int(s.String(), counts[s])
		}
	}
	line.Msg("unknown outcomes")
}
