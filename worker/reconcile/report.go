package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Report is what a pass has found and done.
type Report struct {
	Kind      string        `json:"kind"` // full or recent
	DryRun    bool          `json:"dry_run"`
	StartedAt time.Time     `json:"started_at"`
	Took      time.Duration `json:"took_ns"`

	Scanned int    `json:"scanned"` // invitations at Clerk
	Passes  int    `json:"passes"`  // times that the list was read to its end
	Reads   int    `json:"reads"`   // calls to Clerk
	Agreed  bool   `json:"agreed"`  // two scans saw the same list, so that an absence means something
	Doubt   string `json:"doubt"`   // why not

	Same        int            `json:"same"`        // no difference
	Settled     map[string]int `json:"settled"`     // differences that were settled, by "from→to"
	Lagging     int            `json:"lagging"`     // one side is just being told by the other
	Foreign     int            `json:"foreign"`     // invitations that we did not create
	Adopted     int            `json:"adopted"`     // of those, recorded now
	Unadoptable int            `json:"unadoptable"` // of those, what cannot be recorded: Clerk has an address that we would refuse, or the invite has another one by now
	Rebuilt     int            `json:"rebuilt"`     // invitations of ours by their mark, which the ledger had forgotten, recorded again
	Doubled     int            `json:"doubled"`     // further pending invitations for a person who has one
	Revoked     int            `json:"revoked"`     // of those, revoked now

	Missing     int      `json:"missing"`     // pending in the ledger, nowhere at Clerk
	MissingIDs  []string `json:"missing_ids"` // our ids of the missing or the deleted, at most idsKept
	Gone        int      `json:"gone"`        // deleted at Clerk, and ended in the ledger
	Unconfirmed int      `json:"unconfirmed"` // not in the list either, but not looked for: too many are missing
	Forgotten   int      `json:"forgotten"`   // settled so long ago that the ledger would not remember them

	Retention time.Duration `json:"retention_ns"` // how long settled invites are remembered; 0: for ever, or not known yet
}

const idsKept = 100

// Kinds are those of a report.
var Kinds = []string{"recent", "full"}

// LastReports reads the last report of each kind that has one.
func LastReports(ctx context.Context, l *ledger.Ledger) (map[string]Report, error) {
	found := map[string]Report{}
	for _, kind := range Kinds {
		var r Report
		switch err := l.LastReport(ctx, kind, &r); {
		case err == nil:
			found[kind] = r
		case !errors.Is(err, ledger.ErrNotFound):
			return found, err
		}
	}
	return found, nil
}

func (r *Report) settled(from, to tasks.State) {
	r.Settled[from.String()+"→"+to.String()]++
}

// Adoptable is how many invitations of others could be recorded, and are not yet.
func (r Report) Adoptable() int { return r.Foreign - r.Unadoptable - r.Adopted }

// SettledAll is how many differences were settled.
func (r Report) SettledAll() (n int) {
	for _, c := range r.Settled {
		n += c
	}
	return n
}

// Counts are how many rows of each finding there are.
func (r Report) Counts() map[Finding]int {
	return map[Finding]int{
		Missing: r.Missing, Gone: r.Gone, Doubled: r.Doubled, Settled: r.SettledAll(), Rebuilt: r.Rebuilt,
		Foreign: r.Foreign - r.Unadoptable, Unadoptable: r.Unadoptable, Lagging: r.Lagging,
	}
}

// Again is how many more findings than invitations there are: those that have changed
// while the list was read are looked at again, and some are looked for by their id.
func (r Report) Again() int {
	return r.Same + r.SettledAll() + r.Lagging + r.Foreign + r.Rebuilt + r.Forgotten - r.Scanned
}

// Differences returns how many differences were found that an operator may want
// to know of.
func (r *Report) Differences() int {
	return r.Missing + r.Gone + r.Doubled + r.Rebuilt + r.SettledAll()
}
