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
	"encoding/base32"
	"errors"
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
	Forecast func(ctx context.Context, people iter.Seq2[tasks.Invite, error], size int) (Forecast, error)

	ApproveAbove int           // A plan about more people needs an operator.
	Hold         time.Duration // How long people who were invited can still be taken back before the first mail goes.
	Domains      []string      // Only addresses of these are invited; none: any.
	Owner        string        // Who asks, as it is shown with the import.
	Template     tasks.Invite  // What is the same for everybody: the link, the metadata, how long it is valid.
}

// Forecast is what Clerk's lists tell of the people on a plan, each counted once.
type Forecast struct {
	ToSend        int        `json:"to_send" jsonschema:"people who would get a mail"`
	HaveAccount   int        `json:"have_account" jsonschema:"have an account already: Clerk refuses them"`
	InvitedByNow  int        `json:"invited_already" jsonschema:"have an open invitation: not mailed again"`
	WaitingByNow  int        `json:"waiting_already" jsonschema:"an earlier invite for the same person goes first"`
	KnownFromPlan int        `json:"known" jsonschema:"invited by this very plan before: nothing happens"`
	LastGoes      *time.Time `json:"last_goes,omitempty" jsonschema:"when the last mail goes, at the current rate"`
}

// Refusal is one item of a preview that is not part of the plan.
type Refusal struct {
	Item   int    `json:"item" jsonschema:"its place in the list, from 1"`
	Reason string `json:"reason"`
}

// Plan is the answer to a preview.
type Plan struct {
	ID            string    `json:"plan" jsonschema:"apply it by this name"`
	Kind          Kind      `json:"kind"`
	People        int       `json:"people" jsonschema:"how many it is about"`
	Sample        []string  `json:"sample" jsonschema:"some of them, masked"`
	Refused       []Refusal `json:"refused,omitempty"`
	Duplicates    int       `json:"duplicates,omitempty" jsonschema:"named twice: counted once"`
	Cancels       int       `json:"cancels,omitempty" jsonschema:"of a revoke: have not been mailed yet, and will not be"`
	Forecast      *Forecast `json:"forecast,omitempty" jsonschema:"absent where Clerk was not asked"`
	NeedsApproval bool      `json:"needs_approval" jsonschema:"an operator must approve it before it can be applied"`
	Next          string    `json:"next" jsonschema:"what to do now"`
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

// PreviewInvites makes a plan to invite people. Addresses that cannot be invited are
// named in it and left out.
func (p *Plans) PreviewInvites(ctx context.Context, addresses []string) (Plan, error) {
	if err := checkSize(len(addresses)); err != nil {
		return Plan{}, err
	}
	d := &draft{Plan: Plan{Kind: Invite}}
	var people []string
	seen := map[string]bool{}
	for n, address := range addresses {
		email, why := p.invitable(address)
		switch {
		case why != "":
			d.Refused = append(d.Refused, Refusal{n + 1, why})
		case seen[email.Key()]:
			d.Duplicates++
		default:
			seen[email.Key()] = true
			invite := p.cfg.Template
			invite.EmailAddress, invite.Lane = email, tasks.Import
			d.invites = append(d.invites, invite)
			people = append(people, p.cfg.Ledger.Person(email))
			d.sample(email)
		}
	}
	d.People = len(d.invites)
	if d.People == 0 {
		d.Next = "Nobody on the list can be invited. Correct what is refused."
		return d.Plan, nil
	}
	p.name(d, people)
	for n := range d.invites {
		i := &d.invites[n]
		i.ImportID = importOf(d.ID)
		i.ID = tasks.ImportInviteID(i.ImportID, i.EmailAddress)
	}
	if known := p.draft(d.ID); known != nil && time.Since(known.made) < time.Minute {
		d.Forecast = known.Forecast // A preview that is repeated costs no reads.
	} else if p.cfg.Forecast != nil {
		f, err := p.cfg.Forecast(ctx, all(d.invites), d.People)
		if err != nil {
			return Plan{}, err
		}
		d.Forecast = &f
	}
	return p.keep(ctx, d)
}

// invitable is the address, or why it is not invited.
func (p *Plans) invitable(address string) (tasks.Email, string) {
	email, err := tasks.ParseEmail(address)
	if err != nil {
		return email, err.Error()
	}
	_, domain, _ := strings.Cut(email.Key(), "@")
	if len(p.cfg.Domains) > 0 && !slices.ContainsFunc(p.cfg.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
		return email, "is of a domain that agents may not invite; an operator allows it with --allow-domain"
	}
	return email, ""
}

// PreviewRevokes makes a plan to take back invites that the ledger knows: those of
// people or ids, or all of an import.
func (p *Plans) PreviewRevokes(ctx context.Context, targets []string, importID string) (Plan, error) {
	d := &draft{Plan: Plan{Kind: Revoke}}
	if importID != "" {
		if len(targets) > 0 {
			return Plan{}, errors.New("give either an import or people, not both")
		}
		return p.previewImport(ctx, d, importID)
	}
	if err := checkSize(len(targets)); err != nil {
		return Plan{}, err
	}
	seen := map[string]bool{}
	for n, target := range targets {
		list, err := p.cfg.Client.Status(ctx, target)
		if err != nil && !errors.Is(err, enqueue.ErrNotFound) {
			if bad := tasks.CheckTarget(target); bad != nil {
				err = bad
			}
			d.Refused = append(d.Refused, Refusal{n + 1, err.Error()})
			continue
		}
		live := slices.DeleteFunc(list, func(s enqueue.Status) bool { return !slices.Contains(enqueue.Live, s.State) })
		if len(live) == 0 {
			d.Refused = append(d.Refused, Refusal{n + 1, "has no invite of ours that could be taken back"})
		}
		for _, s := range live {
			if seen[s.ID] {
				d.Duplicates++
				continue
			}
			seen[s.ID] = true
			d.ids = append(d.ids, s.ID)
			d.sample(s.EmailAddress)
			if unsent(s.State) {
				d.Cancels++
			}
		}
	}
	if d.People = len(d.ids); d.People == 0 {
		d.Next = "There is nothing to take back."
		return d.Plan, nil
	}
	p.name(d, d.ids)
	return p.keep(ctx, d)
}

// previewImport is about what an import has now.
func (p *Plans) previewImport(ctx context.Context, d *draft, importID string) (Plan, error) {
	i, err := p.cfg.Client.Import(ctx, importID)
	if err != nil {
		return Plan{}, err
	}
	for _, s := range enqueue.Live {
		d.People += int(i.States[s])
		if unsent(s) {
			d.Cancels += int(i.States[s])
		}
	}
	if d.People == 0 {
		d.Next = "There is nothing to take back."
		return d.Plan, nil
	}
	d.whole = importID
	p.name(d, []string{importID, fmt.Sprint(i.Total)})
	return p.keep(ctx, d)
}

// unsent reports whether an invite in this state has not been mailed.
func unsent(s tasks.State) bool { return s == tasks.Queued || s == tasks.Parked }

func checkSize(n int) error {
	switch {
	case n == 0:
		return errors.New("name somebody")
	case n > MaxPeople:
		return fmt.Errorf("%d people are too many for one plan (%d); have an operator run `inviteq import` with a file", n, MaxPeople)
	}
	return nil
}

func (d *draft) sample(e tasks.Email) {
	if len(d.Sample) < sampled {
		d.Sample = append(d.Sample, e.String())
	}
}

var names = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// name gives a draft the name that its content has. What identifies a person is made
// with the ledger's secret, so that nobody can tell from the name who is meant.
func (p *Plans) name(d *draft, content []string) {
	content = slices.Sorted(slices.Values(content))
	sum := sha256.Sum256([]byte(string(d.Kind) + "\x00" + p.cfg.Owner + "\x00" + strings.Join(content, "\x00")))
	d.ID = "plan_" + names.EncodeToString(sum[:10])
}

// importOf is the import as which the people of a plan are invited.
func importOf(plan string) string { return "imp_" + strings.TrimPrefix(plan, "plan_") }

func all(invites []tasks.Invite) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for _, i := range invites {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// keep remembers the people, asks an operator if there are many, and says what comes
// next.
func (p *Plans) keep(ctx context.Context, d *draft) (Plan, error) {
	noted, err := p.cfg.Store.get(ctx, d.ID)
	if err != nil {
		return Plan{}, err
	}
	d.NeedsApproval = d.People > p.cfg.ApproveAbove && noted.Decision != approved
	switch {
	case !noted.AppliedAt.IsZero():
		d.Next = "This plan has been applied already; to apply it again does nothing."
	case noted.Decision == rejected:
		d.Next = "An operator has rejected this plan."
	case d.NeedsApproval:
		if err := p.cfg.Store.ask(ctx, Request{ID: d.ID, Kind: d.Kind, People: d.People, Owner: p.cfg.Owner, Sample: d.Sample}); err != nil {
			return Plan{}, err
		}
		d.Next = fmt.Sprintf("An operator must approve it: `inviteq mcp approve %s`. Then apply it.", d.ID)
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

// Apply carries a plan of a kind out.
func (p *Plans) Apply(ctx context.Context, kind Kind, id string) (Applied, error) {
	noted, err := p.cfg.Store.get(ctx, id)
	if err != nil {
		return Applied{}, err
	}
	if !noted.AppliedAt.IsZero() && noted.Kind == kind {
		a := Applied{ID: id, Kind: kind, People: noted.People, Before: true, Request: noted.Request, Next: "It was applied before, so nothing was done now."}
		if kind == Invite {
			a.Import = importOf(id)
		}
		return a, nil
	}
	d := p.draft(id)
	switch {
	case d == nil || d.Kind != kind:
		return Applied{}, fmt.Errorf("there is no such plan to %s, or it is more than an hour old: make the preview again", kind)
	case noted.Decision == rejected:
		return Applied{}, errors.New("an operator has rejected this plan")
	case d.People > p.cfg.ApproveAbove && noted.Decision != approved:
		return Applied{}, fmt.Errorf("it is about %d people, so an operator must approve it first: `inviteq mcp approve %s`", d.People, id)
	}
	a := Applied{ID: id, Kind: kind, People: d.People}
	if kind == Invite {
		err = p.invite(ctx, d, &a)
	} else {
		err = p.revoke(ctx, d, &a)
	}
	if err != nil {
		return Applied{}, err
	}
	return a, p.cfg.Store.applied(ctx, Request{ID: id, Kind: kind, People: d.People, Owner: p.cfg.Owner, Sample: d.Sample, Request: a.Request})
}

func (p *Plans) invite(ctx context.Context, d *draft, a *Applied) error {
	a.Import = importOf(d.ID)
	r, err := p.cfg.Client.BulkInvite(ctx, all(d.invites), enqueue.BulkOptions{ImportID: a.Import, Owner: p.cfg.Owner, Hold: p.cfg.Hold})
	if err != nil {
		return err
	}
	switch a.Before = r.Admitted == 0; {
	case a.Before:
		a.Next = "All of them were invited by this plan before, so nothing was done now."
	case r.Held:
		a.Next = fmt.Sprintf("The first mail goes in %s. Until then revoke_preview with this import takes all of it back unseen.", p.cfg.Hold)
	default:
		a.Next = "They are queued. Status tells how far it is."
	}
	return nil
}

func (p *Plans) revoke(ctx context.Context, d *draft, a *Applied) error {
	a.Next = "They are taken back: at once who has not been mailed, the others as Clerk's limits permit."
	if d.whole != "" {
		s, err := p.cfg.Client.RevokeImport(ctx, enqueue.ManyOptions{ImportID: d.whole})
		a.Request = s.RequestID
		return err
	}
	for _, id := range d.ids {
		if _, err := p.cfg.Client.Revoke(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
