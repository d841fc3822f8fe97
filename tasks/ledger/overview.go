package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/policy"
)

// Overview is the whole state in numbers, read in one round trip whatever the
// number of invites.
type Overview struct {
	At     time.Time
	States map[tasks.State]int64

	Waiting map[tasks.Lane]int64     // Queued and ready, by lane.
	Later   int64                    // Queued and not ready: not before, backoff.
	Shelved int64                    // Queued, of imports that are paused or held.
	Stopped int64                    // Those imports.
	Paused  map[tasks.Lane]time.Time // Since when a lane is paused.
	Quotas  map[Endpoint]Quota
	Closed  Gate    // The gate over everything: the key, or the edge, refuses us.
	Demand  float64 // Interactive invites in the last window.
	Reserve int     // As configured by the worker; AutoReserve follows the demand.
	Bulk    int     // Invitations in a full bulk call, as configured; Quotas[Bulk].Gate.Most may allow fewer.

	Revoking int64 // Revokes that a worker still has to carry out: of invites, and requests.
	Refused  int64 // Revokes among them that Clerk has refused so far.

	OldestWaiting map[tasks.Lane]string // The id at the head of each lane that has one.

	Workers int  // That are there: see Fellows.
	NoClerk bool // Clerk answers none of them, so that they do not call it for a while.

	queued   [2][2]int64      // Waiting: by lane, those that go together and those that go one by one.
	forecast *policy.Forecast // when what waits will be sent
}

// Quota is what an endpoint has spent and may still spend.
type Quota struct {
	Limit  Limit
	Spent  int         // Calls in the window.
	NextAt time.Time   // When the next call may be made; the overview's own time if at once.
	Gate   Gate        // Zero when open.
	frees  []time.Time // When the calls of the window leave it, the next first (at most freesKept).
}

// Free returns how many calls are left, or a large number when there is no limit.
func (q Quota) Free() int {
	if q.Limit.Calls == 0 {
		return 1 << 30
	}
	return max(0, q.Limit.Calls-q.Spent)
}

// Gate is closed until a time, for a reason.
type Gate struct {
	Until        time.Time
	Why          tasks.GateCause
	CarefulUntil time.Time // Calls are spaced evenly until then.

	// Bulk only, zero otherwise: Clerk refuses bulk calls whoever is aboard, so that
	// until MostUntil they hold at most Most invites. With 1 none is made, and the
	// gate is closed.
	Most      int
	MostUntil time.Time
}

// Smaller reports whether bulk calls are made that hold fewer than they might.
func (g Gate) Smaller() bool { return g.Most > 1 }

// Closed reports whether the gate is shut, or waits for its probe.
func (g Gate) Closed() bool { return !g.Until.IsZero() }

const freesKept = 1000

// published is what a worker tells those who have no limits configured.
type published struct {
	Limits  Limits
	Reserve int
	Bulk    int
}

// Publish tells producers and tools under which limits the workers run.
func (l *Ledger) Publish(ctx context.Context) error {
	b, err := l.publication()
	if err != nil {
		return err
	}
	return l.note(ctx, "meta", "worker", b)
}

func (l *Ledger) publication() ([]byte, error) {
	return json.Marshal(published{l.cfg.Limits, l.cfg.Reserve, l.cfg.Bulk})
}

// Overview reads the state in numbers.
func (l *Ledger) Overview(ctx context.Context, now time.Time) (Overview, error) {
	now = l.at(now)
	o := Overview{
		At: now, States: map[tasks.State]int64{}, Waiting: map[tasks.Lane]int64{}, Paused: map[tasks.Lane]time.Time{},
		Quotas: map[Endpoint]Quota{}, OldestWaiting: map[tasks.Lane]string{},
	}
	pipe := l.rdb.Pipeline()
	told, workers := pipe.HGet(ctx, l.keys.of("meta"), "worker"), pipe.HGetAll(ctx, l.keys.of("workers"))
	states := make([]*redis.IntCmd, len(tasks.States))
	for i, s := range tasks.States {
		states[i] = pipe.ZCard(ctx, l.keys.state(s))
	}
	lanes := []string{l.keys.of("wait0"), l.keys.of("wait1")}
	waiting, oldest := make([]*redis.IntCmd, 2), make([]*redis.StringSliceCmd, 2)
	for i, key := range lanes {
		waiting[i], oldest[i] = pipe.ZCard(ctx, key), pipe.ZRange(ctx, key, 0, 0)
	}
	later := pipe.ZCard(ctx, l.keys.of("later"))
	solo := []*redis.IntCmd{pipe.ZCard(ctx, l.keys.of("solo0")), pipe.ZCard(ctx, l.keys.of("solo1"))}
	shelf, stopped := pipe.ZCard(ctx, l.keys.of("shelf")), pipe.ZCard(ctx, l.keys.of("stopped"))
	paused, gates, pace := pipe.HGetAll(ctx, l.keys.of("paused")), pipe.HGetAll(ctx, l.keys.of("gate")), pipe.HGetAll(ctx, l.keys.of("pace"))
	revoking, requests, refused := pipe.ZCard(ctx, l.keys.of("revoke")), pipe.HLen(ctx, l.keys.of("revreq")), pipe.HLen(ctx, l.keys.of("tries"))
	logs := map[Endpoint]*redis.ZSliceCmd{}
	for _, e := range Endpoints {
		logs[e] = pipe.ZRevRangeWithScores(ctx, l.keys.of(string(e)), 0, freesKept-1)
	}
	if err := execute(ctx, pipe); err != nil {
		return o, err
	}
	w := published{l.cfg.Limits, l.cfg.Reserve, l.cfg.Bulk}
	if told.Val() != "" {
		if err := json.Unmarshal([]byte(told.Val()), &w); err != nil {
			return o, err
		}
	}
	alive, _ := fellowsIn(workers.Val(), now)
	o.Workers = len(alive)
	o.NoClerk = len(alive) > 0 && !slices.ContainsFunc(alive, func(f Fellow) bool { return !f.NoClerk })
	o.Reserve, o.Bulk = w.Reserve, w.Bulk
	for i, s := range tasks.States {
		o.States[s] = states[i].Val()
	}
	for i, lane := range tasks.Lanes {
		o.queued[i] = [2]int64{waiting[i].Val(), solo[i].Val()}
		o.Waiting[lane] = waiting[i].Val() + solo[i].Val()
		if head := oldest[i].Val(); len(head) > 0 {
			o.OldestWaiting[lane] = head[0]
		}
		if since, ok := paused.Val()[lane.String()]; ok {
			o.Paused[lane] = timeOf(since)
		}
	}
	o.Later, o.Revoking, o.Refused = later.Val(), revoking.Val()+requests.Val(), refused.Val()
	o.Shelved, o.Stopped = shelf.Val(), stopped.Val()
	o.States[tasks.Queued] = o.Later + o.Shelved + solo[0].Val() + solo[1].Val() + waiting[0].Val() + waiting[1].Val()
	o.Closed = gateOf(gates.Val(), All, now)
	m := policy.NewModel(Config{Limits: w.Limits, Reserve: w.Reserve, Bulk: w.Bulk, ClaimTTL: l.cfg.ClaimTTL}.Policy())
	for e, lim := range map[Endpoint]Limit{Single: w.Limits.Single, Bulk: w.Limits.Bulk, Other: w.Limits.Other} {
		o.Quotas[e] = quotaOf(lim, logs[e].Val(), gateOf(gates.Val(), e, now), now)
		fillQuota(m.Quota(string(e)), string(e), logs[e].Val(), gates.Val(), pace.Val())
	}
	fillPace(m, pace.Val())
	for i, lane := range tasks.Lanes {
		if _, paused := o.Paused[lane]; !paused { // It takes no tokens from the other.
			m.Waiting[i], m.OneByOne[i] = int(waiting[i].Val()), int(solo[i].Val())
		}
	}
	begin := float64(now.UnixMilli())
	o.Demand = m.DemandAt(begin)
	o.forecast = policy.NewForecast(m, max(begin, float64(millis(o.Closed.Until))))
	return o, nil
}

// BulkNow is how many invitations a bulk call may hold now; 1 if none is made.
func (o Overview) BulkNow() int {
	if most := o.Quotas[Bulk].Gate.Most; most > 0 {
		return min(most, o.Bulk)
	}
	return o.Bulk
}

// LongestWaiting returns the invite that may go and has waited for its turn since
// the earliest time, or ErrNotFound if none waits. One that must not go yet, be it
// for its not-before or for a backoff, is not among them.
func (l *Ledger) LongestWaiting(ctx context.Context) (Record, error) {
	pipe := l.rdb.Pipeline()
	var heads []*redis.StringSliceCmd
	for _, lane := range []string{"wait0", "wait1", "solo0", "solo1"} {
		heads = append(heads, pipe.ZRange(ctx, l.keys.of(lane), 0, 0))
	}
	if err := execute(ctx, pipe); err != nil {
		return Record{}, err
	}
	var ids []string
	for _, head := range heads {
		ids = append(ids, head.Val()...)
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return Record{}, err
	}
	if len(records) == 0 {
		return Record{}, ErrNotFound
	}
	return slices.MinFunc(records, func(a, b Record) int { return a.CreatedAt.Compare(b.CreatedAt) }), nil
}

// execute runs a pipeline; that a key is missing is no error.
func execute(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	if err == nil || !errors.Is(err, redis.Nil) {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

func gateOf(h map[string]string, e Endpoint, now time.Time) Gate {
	g := Gate{Until: timeOf(h[string(e)+".until"]), Why: tasks.GateCause(h[string(e)+".why"])}
	if careful := timeOf(h[string(e)+".careful"]); careful.After(now) {
		g.CarefulUntil = careful
	}
	if until := timeOf(h[string(e)+".most.until"]); until.After(now) {
		g.Most, g.MostUntil = max(1, int(number(h[string(e)+".most"]))), until
		if !g.Smaller() && until.After(g.Until) {
			g.Until, g.Why = until, tasks.CauseBulkRefused
		}
	}
	return g
}

func quotaOf(lim Limit, log []redis.Z, gate Gate, now time.Time) Quota {
	q := Quota{Limit: lim, Gate: gate, NextAt: now}
	if lim.Calls > 0 {
		for i := len(log) - 1; i >= 0; i-- {
			if free := time.UnixMilli(int64(log[i].Score)).Add(lim.span()); free.After(now) {
				q.frees = append(q.frees, free)
			}
		}
		q.Spent = len(q.frees)
		if i := q.Spent - lim.Calls; i >= 0 {
			q.NextAt = q.frees[i]
		}
	}
	if gate.Until.After(q.NextAt) {
		q.NextAt = gate.Until
	}
	return q
}

// fillQuota gives the policy's model what Redis has about an endpoint.
func fillQuota(q *policy.Quota, name string, log []redis.Z, gates, pace map[string]string) {
	calls := make([]float64, len(log))
	for i, z := range log {
		calls[len(log)-1-i] = z.Score
	}
	q.Fill(calls)
	q.Last, q.Tat = decimal(pace[name+".last"]), decimal(pace[name+".tat"])
	q.Until, q.Probe, q.Careful = decimal(gates[name+".until"]), decimal(gates[name+".probe"]), decimal(gates[name+".careful"])
	q.Most, q.MostUntil = decimal(gates[name+".most"]), decimal(gates[name+".most.until"])
}

// fillPace gives it the soft buckets and the demand.
func fillPace(m *policy.Model, pace map[string]string) {
	m.Demand = policy.Demand{
		Began: decimal(pace["demand.began"]), Start: decimal(pace["demand.start"]), Cur: decimal(pace["demand.cur"]), Prev: decimal(pace["demand.prev"]),
		Step: decimal(pace["demand.step"]), Here: decimal(pace["demand.here"]),
		CurSq: decimal(pace["demand.cur.sq"]), PrevSq: decimal(pace["demand.prev.sq"]),
	}
	m.Arrived = decimal(pace["arrived"]) - decimal(pace["demand.seen"])
	m.ArrivedAt, m.ToldAt, m.Every = decimal(pace["arrived.at"]), decimal(pace["told.at"]), decimal(pace["every"])
	m.Since, m.GroupTat, m.ImportTat = decimal(pace["since"]), decimal(pace["group.tat"]), decimal(pace["import.tat"])
}

// decimal reads what the scripts' real and str have written.
func decimal(s string) float64 {
	f, _ := strconv.ParseFloat(s, 64)
	return f
}
