package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

// Limit is how many calls Clerk allows in a window. The zero value is no limit.
type Limit struct {
	Calls  int
	Window time.Duration
}

// Limits are those of one Clerk instance, an endpoint each.
type Limits struct {
	Single Limit // POST /invitations
	Bulk   Limit // POST /invitations/bulk
	Other  Limit // everything together
}

// ClerkLimits are the limits that Clerk publishes for production instances
// (clerk.com/docs, "Rate limits"; read 2026-05). Development instances have 100
// calls in 10 s instead of 1000.
var ClerkLimits = Limits{
	Single: Limit{100, time.Hour},
	Bulk:   Limit{25, time.Hour},
	Other:  Limit{1000, 10 * time.Second},
}

// BulkSize is how many invitations Clerk takes in one bulk call.
const BulkSize = 10

// ParseLimit understands "100/1h", "25/1h30m", "10/s", and "none".
func ParseLimit(s string) (Limit, error) {
	if s == "none" {
		return Limit{}, nil
	}
	calls, window, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(calls)
	if window != "" && (window[0] < '0' || window[0] > '9') {
		window = "1" + window
	}
	d, derr := time.ParseDuration(window)
	if !ok || err != nil || derr != nil || n < 1 || d < time.Second || n > 1_000_000 {
		return Limit{}, errors.New("must be calls/window, such as 100/1h or 5/min, with a window of at least 1s, or none for no limit")
	}
	return Limit{n, d}, nil
}

// String is what ParseLimit understands.
func (l Limit) String() string {
	if l.Calls == 0 {
		return "none"
	}
	w := l.Window.String()
	if strings.HasSuffix(w, "m0s") {
		w = strings.TrimSuffix(w, "0s")
	}
	if strings.HasSuffix(w, "h0m") {
		w = strings.TrimSuffix(w, "0m")
	}
	return fmt.Sprintf("%d/%s", l.Calls, w)
}

// MarshalText and UnmarshalText are String and ParseLimit.
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

func (l *Limit) UnmarshalText(b []byte) (err error) { *l, err = ParseLimit(string(b)); return err }

// span is the window and a guard: how far apart two calls must be so that
// Clerk, whose clock and network we do not know, cannot see both in one window.
// Without a guard, jitter alone met 162 refusals in 10,000 calls; at 1.5 s an
// hour it costs 0.04 % of the quota.
func (l Limit) span() time.Duration {
	return l.Window + min(1500*time.Millisecond, l.Window/20)
}

// Decision answers whether a call may be made.
type Decision struct {
	Allowed bool
	RetryAt time.Time // When not allowed: the earliest moment to ask again.
}

// readShare is the share of the overall limit that reads may take: creates need
// the rest.
const readShare = 0.8

// Spend asks for one read or revoke. Creates are paid for by Turn.
func (l *Ledger) Spend(ctx context.Context, now time.Time) (Decision, error) {
	return l.SpendShare(ctx, now, readShare)
}

// SpendShare asks for one read, and is content with a share of the overall limit,
// over 0 to 1: it waits as long as others have spent that much.
func (l *Ledger) SpendShare(ctx context.Context, now time.Time, share float64) (Decision, error) {
	lim := l.cfg.Limits.Other
	most := max(1, int(share*float64(lim.Calls)))
	at, err := l.run(ctx, "spend", millis(now), tasks.NewID("read"), lim.Calls, lim.span().Milliseconds(), lim.Calls-most).Int64()
	if err != nil || at == 0 {
		return Decision{Allowed: err == nil}, err
	}
	return Decision{RetryAt: l.local(now, time.UnixMilli(at))}, nil
}

// AwaitShare is SpendShare for callers that wait until they may read.
func (l *Ledger) AwaitShare(ctx context.Context, share float64) error {
	for {
		d, err := l.SpendShare(ctx, Now, share)
		if err != nil || d.Allowed {
			return err
		}
		timer := time.NewTimer(max(time.Until(d.RetryAt), 10*time.Millisecond))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// policy is the limit as the policy's model takes it.
func (l Limit) policy() policy.Limit {
	return policy.Limit{Calls: l.Calls, Window: float64(l.Window.Milliseconds()), Span: float64(l.span().Milliseconds())}
}

// Policy is the configuration of the policy's model.
func (c Config) Policy() policy.Config {
	return policy.Config{
		Single: c.Limits.Single.policy(), Bulk: c.Limits.Bulk.policy(), Other: c.Limits.Other.policy(),
		Size: c.Bulk, Reserve: c.Reserve, TTL: float64(c.ClaimTTL.Milliseconds()),
	}
}
