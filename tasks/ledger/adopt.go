package ledger

import (
	"context"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Stranger is an invitation at Clerk that is in no record.
type Stranger struct {
	Invite       tasks.Invite
	InvitationID string
	State        tasks.State // Pending, Accepted, Expired or Revoked
	CreatedAt    time.Time
}

// Adopt writes records for invitations that somebody else has created. It
// returns how many were new. Those of people who have been forgotten since are left out.
func (l *Ledger) Adopt(ctx context.Context, now time.Time, strangers ...Stranger) (int, error) {
	if len(strangers) == 0 {
		return 0, nil
	}
	strangers, err := l.remembered(ctx, strangers)
	if err != nil || len(strangers) == 0 {
		return 0, err
	}
	contents := make([]string, len(strangers))
	for n := range strangers {
		if contents[n], err = encodeContent(&strangers[n].Invite); err != nil {
			return 0, err
		}
	}
	cmd, err := l.runSalted(ctx, "adopt", func(key salt) []any {
		args, hash := []any{millis(now)}, key.hasher()
		for n, s := range strangers {
			person := key.person(s.Invite.EmailAddress)
			args = append(args, s.Invite.ID, person, addressBucket(person), key.bodyOf(contents[n], hash(contents[n])), s.InvitationID, s.State.String(), millis(s.CreatedAt))
		}
		return args
	})
	if err != nil {
		return 0, err
	}
	adopted, err := cmd.BoolSlice()
	n := 0
	for _, yes := range adopted {
		if yes {
			n++
		}
	}
	return n, err
}
