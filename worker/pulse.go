package worker

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

const (
	beatEvery    = time.Second // shipped: see tempo
	recoverLease = time.Minute
	recoverPages = 10 // of 500 invitations: more than any window of Clerk's published limits holds
)

// pulse beats: it notices when the ledger has forgotten something, recovers from
// that, and knows what every decision about ownership needs.
type pulse struct {
	ledger *ledger.Ledger
	clerk  *clerk.Client
	reads  *reads
	health *health
	log    zerolog.Logger
	wake   func() // tells the dispatcher that there may be something to do
	pauses pauses
	server func(context.Context) (string, error) // the run id of the Redis server, or "" where it does not tell
	mark   string
	tempo  *tempo

	mu        sync.Mutex
	last      ledger.Pulse
	markSince time.Time
	unchecked bool // it has been said that Redis does not tell who it is

	name      string // of this worker, as its fellows read it
	version   string
	started   time.Time
	announced time.Time
	noClerk   bool // as announced
	sampled   time.Time
	waits     ledger.Waits // of clicks, since then

	// A new connection may lead to another server, so nothing is believed before the
	// next beat.
	suspect atomic.Bool
}

// unheard notes that the ledger speaks of an epoch.
func (p *pulse) unheard() { p.suspect.Store(true) }

// connected notes that a connection to Redis was made.
func (p *pulse) connected() { p.suspect.Store(true) }

// trusts reports whether a turn may be taken: the ledger is the one that this
// process knows, and the clocks agree. It beats first if that is not sure, or if
// another worker may have ended the recovery meanwhile.
func (p *pulse) trusts(ctx context.Context) bool {
	if p.suspect.Swap(false) || p.recovering() {
		if err := p.beat(ctx); err != nil {
			p.suspect.Store(true)
			p.health.redis(err)
			return false
		}
	}
	return p.ledger.Offset().Abs() <= ledger.MaxOffset
}

// recovering reports whether an epoch has been noticed and not been dealt with.
func (p *pulse) recovering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.Recovery
}

// run beats until ctx ends.
func (p *pulse) run(ctx context.Context) {
	tick := time.NewTicker(p.tempo.beat)
	defer tick.Stop()
	for {
		if err := p.beat(ctx); err != nil && ctx.Err() == nil {
			p.health.redis(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// leave tells the others that this worker has gone. If Redis does not hear it, they
// notice later.
func (p *pulse) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 400*time.Millisecond) // what asynq leaves of the time to shut down
	defer cancel()
	_ = p.ledger.Leave(ctx, p.name)
}

// beat makes one beat, and recovers if that is called for.
func (p *pulse) beat(ctx context.Context) error {
	server, err := p.server(ctx)
	if err != nil {
		return err
	}
	if server == "" && !p.unchecked {
		p.unchecked = true
		p.log.Warn().Msg("Redis does not tell which server it is (INFO is forbidden): a failover that loses writes is noticed only by what living workers remember")
	}
	now, err := p.ledger.Beat(ctx, ledger.Now, server)
	if err != nil {
		return err
	}
	p.mu.Lock()
	resumed := !now.Resumed.Equal(p.last.Resumed)
	p.last = now
	p.mu.Unlock()
	if resumed {
		p.wake() // The dispatcher may be idle.
	}
	p.compareClocks()
	if err := p.followPauses(ctx); err != nil {
		return err
	}
	if err := p.announce(ctx); err != nil {
		return err
	}
	if now.Began {
		e := now.Epochs[len(now.Epochs)-1]
		p.log.Warn().Str("why", e.Why).Time("gap_start", e.Start).Time("gap_end", e.End).
			Msg("the ledger may have forgotten something: invites are looked for at Clerk before they are sent")
	}
	p.health.set(tasks.ProblemRecords, aside(now.Aside))
	if !now.Recovery {
		p.health.set(tasks.ProblemEpoch, "")
		return nil
	}
	if err := p.recover(ctx, now.Epochs[len(now.Epochs)-1]); err != nil {
		p.health.set(tasks.ProblemEpoch, tasks.ProblemEpoch.Entry().Do)
	}
	return nil
}

// followPauses says which lanes are paused, in the log and in /readyz.
func (p *pulse) followPauses(ctx context.Context) error {
	paused, changed, err := p.pauses.follow(ctx)
	if err == nil {
		p.health.pausedAre(paused, changed)
	}
	if len(changed) > 0 {
		p.wake()
	}
	return err
}

// announceEvery is how often a worker tells its fellows that it is there.
const announceEvery = 10 * time.Second

// announce tells the other workers how this one is configured, and says when they
// disagree. That is worth a warning, not a standstill: it happens in every deploy that
// changes a limit.
func (p *pulse) announce(ctx context.Context) error {
	now := p.ledger.Time()
	p.mu.Lock()
	if p.started.IsZero() {
		p.started = now
	}
	answers, _ := p.clerk.Ready()
	due, started := now.Sub(p.announced) >= announceEvery || p.noClerk == answers, p.started
	p.mu.Unlock()
	if !due {
		return nil
	}
	fellows, err := p.ledger.Announce(ctx, ledger.Now, ledger.Fellow{Name: p.name, Since: started, Version: p.version, NoClerk: !answers, Problem: p.health.words()})
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.announced, p.noClerk = now, !answers
	p.mu.Unlock()
	p.health.fellowsAre(fellows)
	return p.sample(ctx, now)
}

// sampleEvery is how often a worker tells the charts what it sees.
const sampleEvery = time.Minute

// clicked notes how long a click waited.
func (p *pulse) clicked(lane tasks.Lane, waited time.Duration) {
	if lane == tasks.Interactive {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waits.Add(waited)
	}
}

func (p *pulse) sample(ctx context.Context, now time.Time) error {
	p.mu.Lock()
	due, waits := now.Sub(p.sampled) >= sampleEvery, p.waits
	if due {
		p.sampled, p.waits = now, ledger.Waits{}
	}
	p.mu.Unlock()
	if !due {
		return nil
	}
	err := p.ledger.Sample(ctx, ledger.Now, p.version, waits)
	if err != nil { // It is told with the next one.
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waits.Merge(waits)
	}
	return err
}

// workerName tells this process from others, also on one machine.
func workerName() string {
	host, err := os.Hostname()
	if err != nil || tasks.CheckID(host) != nil {
		host = "worker"
	}
	id := tasks.NewID("w")
	return host + "-" + id[len(id)-6:]
}

func aside(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids)
	return tasks.ProblemRecords.Entry().Do + " Ids: " + strings.Join(ids, ", ")
}

// recover counts what was created lately against the quotas, and lets turns be
// given again. One worker does it.
func (p *pulse) recover(ctx context.Context, e ledger.Epoch) error {
	release, held, err := p.ledger.Hold(ctx, "recover", recoverLease)
	if err != nil || !held {
		return err
	}
	defer release()
	limits := p.ledger.Config().Limits
	var made []time.Time
	if window := max(limits.Single.Window, limits.Bulk.Window); window > 0 {
		shown, _, err := p.reads.since(ctx, p.ledger.Time().Add(-window-time.Minute), recoverPages)
		if err != nil {
			return err
		}
		clock := p.facts().Clock
		for _, inv := range shown {
			made = append(made, clock.LedgerTime(inv.CreatedAt))
		}
	}
	if err := p.ledger.Recover(ctx, ledger.Now, e, made); err != nil {
		return err
	}
	p.log.Info().Str("why", e.Why).Int("invitations", len(made)).Msg("recovered: turns are given again")
	return nil
}

// compareClocks says when this machine's clock, Redis' and Clerk's are too far
// apart.
func (p *pulse) compareClocks() {
	advice := ""
	if off := p.ledger.Offset(); off.Abs() > ledger.MaxSkew {
		advice = fmt.Sprintf("this machine's clock is %s off from Redis'", off.Abs().Round(100*time.Millisecond))
	} else if c := p.facts().Clock; !c.Trusted() {
		advice = fmt.Sprintf("Redis' clock is %s off from Clerk's", c.Offset.Abs().Round(100*time.Millisecond))
	}
	if advice != "" {
		advice += ". " + tasks.ProblemClock.Entry().Do
	}
	p.health.set(tasks.ProblemClock, advice)
}

// carriesMark notes since when every call carries the mark.
func (p *pulse) carriesMark(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.markSince = since
}

// facts returns what is known now.
func (p *pulse) facts() ownership.Facts {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := ownership.Facts{Epochs: p.last.Epochs, Now: p.ledger.Time(), Mark: p.mark, MarkSince: p.markSince, Claim: p.ledger.Config().ClaimTTL}
	offset, uncertainty, known := p.clerk.ClockOffset()
	if known {
		f.Clock = ownership.Clock{Offset: offset - p.ledger.Offset(), Uncertainty: uncertainty}
	} else {
		f.Clock = ownership.Clock{Uncertainty: ledger.ClockSlack}
	}
	return f
}
