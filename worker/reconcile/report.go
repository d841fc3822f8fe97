package reconcile

import (
	"time"

	"github.com/inviteq/inviteq/tasks"
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

	Same    int            `json:"same"`    // no difference
	Settled map[string]int `json:"settled"` // differences that were settled, by "from→to"
	Lagging int            `json:"lagging"` // one side is just being told by the other
	Foreign int            `json:"foreign"` // invitations that we did not create
	Adopted int            `json:"adopted"` // of those, recorded now
	Rebuilt int            `json:"rebuilt"` // invitations of ours by their mark, which the ledger had forgotten, recorded again
	Doubled int            `json:"doubled"` // further pending invitations for a person who has one
	Revoked int            `json:"revoked"` // of those, revoked now

	Missing     int      `json:"missing"`     // pending in the ledger, nowhere at Clerk
	MissingIDs  []string `json:"missing_ids"` // our ids of the missing or the deleted, at most idsKept
	Gone        int      `json:"gone"`        // deleted at Clerk, and ended in the ledger
	Unconfirmed int      `json:"unconfirmed"` // not in the list either, but not looked for: too many are missing
	Forgotten   int      `json:"forgotten"`   // settled so long ago that the ledger would not remember them

	Retention time.Duration `json:"retention_ns"` // how long settled invites are remembered; 0: for ever, or not known yet
}

const idsKept = 100

func (r *Report) settled(from, to tasks.State) {
	r.Settled[from.String()+"→"+to.String()]++
}

// Differences returns how many differences were found that an operator may want
// to know of.
func (r *Report) Differences() int {
	n := r.Missing + r.Gone + r.Doubled + r.Rebuilt
	for _, c := range r.Settled {
		n += c
	}
	return n
}
