// Package agent lets a program that talks like a person (an agent) invite people and
// take invites back, in two steps. A preview makes a plan: how many people it is about,
// and what would become of them. Applying the plan does it. Plans for many people need
// an operator's approval in between.
//
// A plan is known by a hash of its content. So whoever makes the same preview again has
// the same plan, with the approval that it has been given, and whoever applies a plan
// again is told what the first time has done: an agent that repeats every call five
// times invites once. People are invited as an import whose id is made of the plan's,
// which is what keeps this true when processes die between two calls.
//
// The people of a plan are in the memory of the process that made it, for an hour. Redis
// holds how many there are, and what an operator has decided.
package agent

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

const (
	// MaxPeople is the most people of one plan: a longer list is a file for
	// `inviteq import`.
	MaxPeople = 1000
	// kept is how long a process keeps the people of a plan, and most how many plans.
	kept, most = time.Hour, 100
	// sampled is how many people of a plan are shown, masked.
	sampled = 5
)

// Kind is what a plan does.
type Kind string

// The kinds of plans.
const (
	Invite Kind = "invite"
	Revoke Kind = "revoke"
)

// Config says what agents may do. Client, Ledger and Store are needed.
type Config struct {
	Client *enqueue.Client
	Ledger *ledger.Ledger
	Store  *Store

	// Forecast asks Clerk what would become of the people; nil: it is not asked.
	Forecast func(ctx context.Context, people iter.Seq2[tasks.Invite, error], size int) (tasks.Forecast, error)

	ApproveAbove int           // How many people an owner's plans of a kind may be about in a day without an operator.
	Hold         time.Duration // How long people who were invited can still be taken back before the first mail goes.
	Domains      []string      // Only addresses of these are invited; none: any.
	Owner        string        // Who asks, as it is shown with the import.
	Template     tasks.Invite  // What is the same for everybody: the link, the metadata, how long it is valid.
}

// Refusal is one item of a preview that is not part of the plan.
type Refusal struct {
	Item   int    `json:"item" jsonschema:"its place in the list, from 1"`
	Reason string `json:"reason"`
}

// Plan is the answer to a preview.
type Plan struct {
	ID            string          `json:"plan" jsonschema:"apply it by this name"`
	Kind          Kind            `json:"kind"`
	People        int             `json:"people" jsonschema:"how many it is about"`
	Sample        []string        `json:"sample" jsonschema:"some of them, masked"`
	Refused       []Refusal       `json:"refused,omitempty"`
	Duplicates    int             `json:"duplicates,omitempty" jsonschema:"named twice: counted once"`
	Cancels       int             `json:"cancels,omitempty" jsonschema:"of a revoke: have not been mailed yet, and will not be"`
	Forecast      *tasks.Forecast `json:"forecast,omitempty" jsonschema:"absent where Clerk was not asked"`
	NeedsApproval bool            `json:"needs_approval" jsonschema:"an operator must approve it before it can be applied"`
	Next          string          `json:"next" jsonschema:"what to do now"`
}

// Applied is what became of a plan.
type Applied struct {
	ID      string `json:"plan"`
	Kind    Kind   `json:"kind"`
	Before  bool   `json:"applied_before" jsonschema:"nothing was done now: an earlier call has done it"`
	People  int    `json:"people"`
	Import  string `json:"import_id,omitempty" jsonschema:"status tells how far it is; revoke_preview takes it back"`
	Request string `json:"request_id,omitempty" jsonschema:"of a revoke that goes on in the background"`
	Next    string `json:"next" jsonschema:"what happens now"`
}

// draft is a plan with its people.
type draft struct {
	Plan
	made    time.Time
	invites []tasks.Invite
	ids     []string // of invites to revoke
	whole   string   // the import to revoke
}

// Plans makes plans and carries them out. It is safe for concurrent use.
type Plans struct {
	cfg Config

	mu     sync.Mutex
	drafts map[string]*draft
}

// NewPlans returns a Plans that knows no plan.
func NewPlans(cfg Config) *Plans { return &Plans{cfg: cfg, drafts: map[string]*draft{}} }

// name gives a draft the name that its content has. What identifies a person is made
// with the ledger's secret, so that nobody can tell from the name who is meant.
func (p *Plans) name(d *draft, content []string) {
	content = slices.Sorted(slices.Values(content))
	sum := sha256.Sum256([]byte(string(d.Kind) + "\x00" + p.cfg.Owner + "\x00" + strings.Join(content, "\x00")))
	d.ID = "plan_" + tasks.IDText.EncodeToString(sum[:10])
}

// importOf is the import as which the people of a plan are invited.
func importOf(plan string) string { return "imp_" + strings.TrimPrefix(plan, "plan_") }

// keep remembers the people, asks an operator if there are many, and says what comes
// next.
func (p *Plans) keep(ctx context.Context, d *draft) (Plan, error) {
	noted, err := p.cfg.Store.get(ctx, d.ID)
	if err != nil {
		return Plan{}, err
	}
	before := 0
	if noted.Decision != approved {
		if before, err = p.cfg.Store.allowance(ctx, p.request(d)); err != nil {
			return Plan{}, err
		}
		d.NeedsApproval = before+d.People > p.cfg.ApproveAbove
	}
	switch {
	case !noted.AppliedAt.IsZero():
		d.Next = "This plan has been applied already; to apply it again does nothing."
	case noted.Decision == rejected:
		d.Next = "An operator has rejected this plan."
	case d.NeedsApproval:
		if err := p.cfg.Store.ask(ctx, p.request(d)); err != nil {
			return Plan{}, err
		}
		why := (&approvalError{d.ID, d.Kind, d.People, before, p.cfg.ApproveAbove}).why()
		d.Next = fmt.Sprintf("An operator must approve it, because %s: `inviteq mcp approve %s`. Then apply it.", why, d.ID)
	default:
		d.Next = "Show the plan to whoever asked you. If they agree, apply it."
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d.made = time.Now()
	for id, old := range p.drafts {
		if d.made.Sub(old.made) > kept {
			delete(p.drafts, id)
		}
	}
	if len(p.drafts) >= most {
		oldest := slices.MinFunc(slices.Collect(maps.Values(p.drafts)), func(a, b *draft) int { return a.made.Compare(b.made) })
		delete(p.drafts, oldest.ID)
	}
	p.drafts[d.ID] = d
	return d.Plan, nil
}

// draft is nil if there is none, or it is too old.
func (p *Plans) draft(id string) *draft {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.drafts[id]; d != nil && time.Since(d.made) <= kept {
		return d
	}
	return nil
}
