package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fellow is a worker of this ledger and how it is configured, as it has told the
// others.
type Fellow struct {
	Name    string // of the machine, and some letters for the process
	Limits  Limits
	Reserve int       // AutoReserve follows the demand.
	Bulk    int       // Invitations in a full bulk call.
	Since   time.Time // When it was started.
	At      time.Time // When it was there last.

	Version string        `json:",omitzero"` // Of the program; "" of one that does not tell.
	Clock   time.Duration `json:",omitzero"` // By how much its clock is ahead of Redis'.
	NoClerk bool          `json:",omitzero"` // Clerk does not answer it, so that it does not call Clerk for a while.
	Problem string        `json:",omitzero"` // What keeps it from delivering: words of tasks.HealthProblem, separated by commas.
}

// fellowLives is for how long a worker counts that has not announced itself, and
// fellowKept for how long it is remembered then.
const (
	fellowLives = 45 * time.Second
	fellowKept  = time.Hour
)

// Announce tells the others that a worker is there, and returns those that are, itself
// included. Workers call it every few seconds. How the ledger is configured need not be
// filled in.
func (l *Ledger) Announce(ctx context.Context, now time.Time, f Fellow) ([]Fellow, error) {
	now = l.at(now)
	f.Limits, f.Reserve, f.Bulk, f.At, f.Clock = l.cfg.Limits, l.cfg.Reserve, l.cfg.Bulk, now, -l.Offset()
	me, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if err := l.note(ctx, "workers", f.Name, me); err != nil {
		return nil, err
	}
	all, gone, err := l.fellows(ctx, now)
	if err == nil && len(gone) > 0 {
		err = l.rdb.HDel(ctx, l.keys.of("workers"), gone...).Err()
	}
	return all, err
}

// Leave takes a worker off the list.
func (l *Ledger) Leave(ctx context.Context, name string) error {
	return l.rdb.HDel(ctx, l.keys.of("workers"), name).Err()
}

// Fellows returns the workers that are there, by name.
func (l *Ledger) Fellows(ctx context.Context, now time.Time) ([]Fellow, error) {
	all, _, err := l.fellows(ctx, l.at(now))
	return all, err
}

func (l *Ledger) fellows(ctx context.Context, now time.Time) (all []Fellow, gone []string, _ error) {
	told, err := l.rdb.HGetAll(ctx, l.keys.of("workers")).Result()
	all, gone = fellowsIn(told, now)
	return all, gone, err
}

// fellowsIn tells the workers that are there from those that are gone for good.
func fellowsIn(told map[string]string, now time.Time) (all []Fellow, gone []string) {
	for name, text := range told {
		var f Fellow
		err := json.Unmarshal([]byte(text), &f)
		switch age := now.Sub(f.At); {
		case err != nil || age > fellowKept: // What a later version has written, it writes again.
			gone = append(gone, name)
		case age <= fellowLives:
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b Fellow) int { return cmp.Compare(a.Name, b.Name) })
	return all, gone
}

// String says how it is configured.
func (f Fellow) String() string {
	reserve := "auto"
	if f.Reserve >= 0 {
		reserve = fmt.Sprint(f.Reserve)
	}
	return fmt.Sprintf("%s (single %s, bulk %s of %d, all calls %s, reserve %s)", f.Name, f.Limits.Single, f.Limits.Bulk, f.Bulk, f.Limits.Other, reserve)
}

// Disagreement says how workers are configured differently, and what counts. It is
// empty if they agree.
func Disagreement(all []Fellow) string {
	if len(all) == 0 {
		return ""
	}
	first, last, most, same, names := all[0], all[0], all[0].Limits, true, []string{}
	for _, f := range all {
		same = same && f.Limits == first.Limits && f.Reserve == first.Reserve && f.Bulk == first.Bulk
		if f.Since.After(last.Since) {
			last = f
		}
		most.Single, most.Bulk, most.Other = higher(most.Single, f.Limits.Single), higher(most.Bulk, f.Limits.Bulk), higher(most.Other, f.Limits.Other)
		names = append(names, f.String())
	}
	if same {
		return ""
	}
	return fmt.Sprintf("%s. Each spends by its own settings, and all count in one log, so together they spend up to the highest: single %s, bulk %s, all calls %s. "+
		"Pages and ETAs follow %s, which was started last. Start all workers with the same INVITEQ_LIMIT_SINGLE, INVITEQ_LIMIT_BULK, INVITEQ_LIMIT_OTHER, INVITEQ_BULK_SIZE and INVITEQ_RESERVE.",
		strings.Join(names, "; "), most.Single, most.Bulk, most.Other, last.Name)
}

// higher returns the limit that allows more calls in the same time.
func higher(a, b Limit) Limit {
	switch {
	case a.Calls == 0 || b.Calls == 0:
		return Limit{}
	case float64(b.Calls)*float64(a.Window) > float64(a.Calls)*float64(b.Window):
		return b
	}
	return a
}
