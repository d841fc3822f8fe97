package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Queue is what waits of one import, or of one who asks for people.
type Queue struct {
	Lane    tasks.Lane
	Owner   string // Who asked; "" if nobody was named.
	Import  string // "" for those that belong to none.
	Waiting int64  // Queued invites, of an import also those that must not go yet.
	Since   time.Time
	oldest  string // the id of the one that was admitted at Since
}

// Queues are the deepest queues of a ledger.
type Queues struct {
	Deepest []Queue              // of both lanes, the deepest first
	Others  map[tasks.Lane]int64 // how many invites wait in queues that are not among them
}

// queuesRead is how many waiting interactive invites are looked at for who has asked,
// and importsLooked how many imports, the newest, for rows that wait. What waits beyond
// counts among the others.
const (
	queuesRead    = 5000
	importsLooked = 200
)

// Queues returns the deepest queues, at most n of each lane, in four round trips. Since is when
// the oldest waiting invite of a queue was admitted; rows of an import are taken to go
// in their order.
func (l *Ledger) Queues(ctx context.Context, n int) (Queues, error) {
	pipe := l.rdb.Pipeline()
	var people []*redis.StringSliceCmd
	counts := map[tasks.Lane][]*redis.IntCmd{}
	for _, kind := range []string{"solo", "wait"} {
		people = append(people, pipe.ZRange(ctx, l.keys.of(kind+"0"), 0, queuesRead-1))
		counts[tasks.Interactive] = append(counts[tasks.Interactive], pipe.ZCard(ctx, l.keys.of(kind+"0")))
		counts[tasks.Import] = append(counts[tasks.Import], pipe.ZCard(ctx, l.keys.of(kind+"1")))
	}
	imports := pipe.ZRevRange(ctx, l.keys.of("imports"), 0, importsLooked-1)
	if err := execute(ctx, pipe); err != nil {
		return Queues{}, err
	}
	ids := append(people[0].Val(), people[1].Val()...)
	rows, err := l.importQueues(ctx, imports.Val())
	if err != nil {
		return Queues{}, err
	}
	asked, err := l.ownerQueues(ctx, ids[:min(len(ids), queuesRead)])
	if err != nil {
		return Queues{}, err
	}
	all := Queues{Others: map[tasks.Lane]int64{}}
	for lane, queues := range map[tasks.Lane][]Queue{tasks.Interactive: asked, tasks.Import: rows} {
		slices.SortFunc(queues, deeper)
		all.Deepest = append(all.Deepest, queues[:min(n, len(queues))]...)
		waiting := counts[lane][0].Val() + counts[lane][1].Val()
		for _, q := range queues[:min(n, len(queues))] {
			waiting -= q.Waiting
		}
		all.Others[lane] = max(0, waiting)
	}
	slices.SortFunc(all.Deepest, deeper)
	return all, l.fillSince(ctx, all.Deepest)
}

// WaitingOf returns how many invites of one owner wait: of the newest imports, and of the
// first people that wait.
func (l *Ledger) WaitingOf(ctx context.Context, owner string) (n int64, _ error) {
	all, err := l.Queues(ctx, importsLooked)
	for _, q := range all.Deepest {
		if q.Owner == owner {
			n += q.Waiting
		}
	}
	return n, err
}

func deeper(a, b Queue) int {
	return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(a.Import, b.Import), cmp.Compare(a.Owner, b.Owner))
}

// ownerQueues counts by owner. Those of one owner stand in a lane in their order, so the
// first that is met is the oldest.
func (l *Ledger) ownerQueues(ctx context.Context, ids []string) ([]Queue, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	owners, err := l.rdb.HMGet(ctx, l.keys.of("owner"), ids...).Result()
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	var all []Queue
	for i, id := range ids {
		owner, _ := owners[i].(string)
		n, known := at[owner]
		if !known {
			n, at[owner] = len(all), len(all)
			all = append(all, Queue{Lane: tasks.Interactive, Owner: owner, oldest: id})
		}
		all[n].Waiting++
	}
	return all, nil
}

// importQueues are the imports that have rows that wait.
func (l *Ledger) importQueues(ctx context.Context, ids []string) ([]Queue, error) {
	pipe := l.rdb.Pipeline()
	infos := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		infos[i] = pipe.HMGet(ctx, l.keys.importInfo(id), "n:queued", "total", "owner")
	}
	if err := execute(ctx, pipe); err != nil || len(ids) == 0 {
		return nil, err
	}
	var all []Queue
	var firsts []*redis.StringSliceCmd
	for i, id := range ids {
		text := func(n int) string { s, _ := infos[i].Val()[n].(string); return s }
		if queued := number(text(0)); queued > 0 {
			all = append(all, Queue{Lane: tasks.Import, Owner: text(2), Import: id, Waiting: queued})
			first := max(0, number(text(1))-queued)
			firsts = append(firsts, pipe.LRange(ctx, l.keys.importIDs(id), first, first))
		}
	}
	if err := execute(ctx, pipe); err != nil || len(all) == 0 {
		return nil, err
	}
	for i := range all {
		for _, id := range firsts[i].Val() {
			all[i].oldest = id
		}
	}
	return all, nil
}

func (l *Ledger) fillSince(ctx context.Context, queues []Queue) error {
	ids := make([]string, len(queues))
	for i, q := range queues {
		ids[i] = q.oldest
	}
	if len(ids) == 0 {
		return nil
	}
	records, err := l.Get(ctx, ids...)
	for _, r := range records {
		queues[slices.Index(ids, r.Invite.ID)].Since = r.CreatedAt
	}
	return err
}
