package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Read returns the record of one id. The error is ErrNotFound if there is none, and
// another one if it cannot be read.
func (l *Ledger) Read(ctx context.Context, id string) (Record, error) {
	s, err := l.rdb.HGet(ctx, l.keys.of("rec"), id).Result()
	if errors.Is(err, redis.Nil) {
		return Record{}, ErrNotFound
	}
	if err != nil {
		return Record{}, err
	}
	return l.parse(ctx, id, s)
}

// Get returns the records of the given ids, in their order; those that are unknown,
// or cannot be read, are left out.
func (l *Ledger) Get(ctx context.Context, ids ...string) ([]Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	values, err := l.rdb.HMGet(ctx, l.keys.of("rec"), ids...).Result()
	if err != nil {
		return nil, err
	}
	records := make([]Record, 0, len(ids))
	for i, v := range values {
		s, ok := v.(string)
		if !ok {
			continue
		}
		if r, err := l.parse(ctx, ids[i], s); err == nil {
			records = append(records, r)
		}
	}
	return records, nil
}

// Next returns the first n invites of a lane that go together, in the order in which
// they will be sent. It claims nothing.
func (l *Ledger) Next(ctx context.Context, lane tasks.Lane, n int) ([]Record, error) {
	ids, err := l.rdb.ZRange(ctx, l.keys.of(fmt.Sprint("wait", int(lane))), 0, int64(n-1)).Result()
	if err != nil {
		return nil, err
	}
	return l.Get(ctx, ids...)
}

// FindAddress returns all invites for an address, the newest first.
func (l *Ledger) FindAddress(ctx context.Context, e tasks.Email) ([]Record, error) {
	found, err := l.FindAddresses(ctx, e)
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// FindAddresses is FindAddress for many, in two round trips.
func (l *Ledger) FindAddresses(ctx context.Context, people ...tasks.Email) ([][]Record, error) {
	ids, err := l.idsOf(ctx, people...)
	if err != nil {
		return nil, err
	}
	records, err := l.Get(ctx, slices.Concat(ids...)...)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Record, len(records))
	for _, r := range records {
		byID[r.Invite.ID] = r
	}
	found := make([][]Record, len(people))
	for n, e := range people {
		for _, id := range slices.Backward(ids[n]) {
			// The index holds a part of a hash: compare the address itself.
			if r, ok := byID[id]; ok && r.Invite.EmailAddress.Key() == e.Key() {
				found[n] = append(found[n], r)
			}
		}
	}
	return found, nil
}

// FindInvitations returns our ids for Clerk's, as far as the ledger knows them.
func (l *Ledger) FindInvitations(ctx context.Context, invitationIDs ...string) (map[string]string, error) {
	if len(invitationIDs) == 0 {
		return nil, nil
	}
	values, err := l.rdb.HMGet(ctx, l.keys.of("inv"), invitationIDs...).Result()
	if err != nil {
		return nil, err
	}
	found := make(map[string]string, len(values))
	for i, v := range values {
		if id, ok := v.(string); ok {
			found[invitationIDs[i]] = id
		}
	}
	return found, nil
}

// Import is what the ledger knows of an import.
type Import struct {
	ID        string
	CreatedAt int64 // Unix milliseconds
	Total     int64
	States    map[tasks.State]int64

	Name      string    // That of the file, if it had one.
	Owner     string    // Who asked: a token, or a tenant.
	PausedAt  time.Time // Since when it is paused; zero if it is not.
	HeldUntil time.Time // When its first row may go; zero if it is not held.
	stopped   float64   // Until when it is stopped, as the scripts keep it; 0: it is not.
}

// Open returns how many of its invites have no outcome yet.
func (i Import) Open() (n int64) {
	for s, count := range i.States {
		if s.Open() {
			n += count
		}
	}
	return n
}

// Import returns the counts of an import, or ErrNotFound.
func (l *Ledger) Import(ctx context.Context, id string) (Import, error) {
	pipe := l.rdb.Pipeline()
	info, stop := pipe.HGetAll(ctx, l.keys.importInfo(id)), pipe.ZScore(ctx, l.keys.of("stopped"), id)
	if err := execute(ctx, pipe); err != nil {
		return Import{}, err
	}
	h := info.Val()
	if len(h) == 0 {
		return Import{}, ErrNotFound
	}
	i := Import{
		ID: id, CreatedAt: number(h["created"]), Total: number(h["total"]), States: map[tasks.State]int64{},
		Name: h["name"], Owner: h["owner"], PausedAt: timeOf(h["paused"]),
	}
	if i.stopped = stop.Val(); i.stopped > 0 {
		i.HeldUntil = heldUntil(i.stopped)
	}
	for _, s := range tasks.States {
		if n := number(h["n:"+s.String()]); n != 0 {
			i.States[s] = n
		}
	}
	return i, nil
}

// Imports returns the ids of n imports, the newest first, from an offset on, and how
// many there are.
func (l *Ledger) Imports(ctx context.Context, offset, n int) (ids []string, total int64, _ error) {
	pipe := l.rdb.Pipeline()
	found, all := pipe.ZRevRange(ctx, l.keys.of("imports"), int64(offset), int64(offset+n-1)), pipe.ZCard(ctx, l.keys.of("imports"))
	err := execute(ctx, pipe)
	return found.Val(), all.Val(), err
}

var errCursor = errors.New("cursor is not one that a list has returned")

// Page is a part of a list.
type Page struct {
	Records []Record
	Next    string // The cursor of the next page; "" after the last.
}

// ListState returns invites in one state: queued ones in the order in which
// they will be sent, others by the time of their last change. Cursor "" begins.
// An invite that changes its state meanwhile may be missed, or be there twice; one
// that stays is there once.
func (l *Ledger) ListState(ctx context.Context, s tasks.State, cursor string, limit int) (Page, error) {
	indexes := l.indexesOf(s)
	at, score, member, err := parseCursor(cursor, len(indexes))
	if err != nil {
		return Page{}, err
	}
	for ; at < len(indexes); at, member = at+1, "" {
		start, err := l.after(ctx, indexes[at], score, member)
		if err != nil {
			return Page{}, err
		}
		zs, err := l.rdb.ZRangeWithScores(ctx, indexes[at], start, start+int64(limit)-1).Result()
		if err != nil {
			return Page{}, err
		}
		if len(zs) == 0 {
			continue
		}
		ids := make([]string, len(zs))
		for i, z := range zs {
			member, _ = z.Member.(string)
			ids[i] = member[strings.LastIndexByte(member, '\t')+1:] // On the shelf more stands before the id.
		}
		records, err := l.Get(ctx, ids...)
		return Page{records, fmt.Sprintf("%d,%.0f,%s", at, zs[len(zs)-1].Score, member)}, err
	}
	return Page{}, nil
}

// EveryIn yields all invites in some states, as ListState does, n of them in a round
// trip. The first error ends it.
func (l *Ledger) EveryIn(ctx context.Context, n int, states ...tasks.State) iter.Seq2[[]Record, error] {
	return func(yield func([]Record, error) bool) {
		for _, s := range states {
			for cursor := ""; ; {
				page, err := l.ListState(ctx, s, cursor, n)
				if !yield(page.Records, err) || err != nil {
					return
				}
				if cursor = page.Next; cursor == "" {
					break
				}
			}
		}
	}
}

// after returns the rank at which a scan goes on: behind the member at which it
// stood, or, when that one has left or moved, behind the place that it had. Members
// of equal score stand in the order of their bytes.
func (l *Ledger) after(ctx context.Context, index, score, member string) (int64, error) {
	if member == "" {
		return 0, nil
	}
	pipe := l.rdb.Pipeline()
	rank, now := pipe.ZRank(ctx, index, member), pipe.ZScore(ctx, index, member)
	below, upTo := pipe.ZCount(ctx, index, "-inf", "("+score), pipe.ZCount(ctx, index, "-inf", score)
	if err := execute(ctx, pipe); err != nil {
		return 0, err
	}
	if now.Err() == nil && fmt.Sprintf("%.0f", now.Val()) == score {
		return rank.Val() + 1, nil
	}
	from, to := below.Val(), upTo.Val()
	for from < to {
		middle := (from + to) / 2
		at, err := l.rdb.ZRange(ctx, index, middle, middle).Result()
		if err != nil {
			return 0, err
		}
		if len(at) == 0 || at[0] > member {
			to = middle
		} else {
			from = middle + 1
		}
	}
	return from, nil
}

func parseCursor(cursor string, indexes int) (at int, score, member string, err error) {
	if cursor == "" {
		return 0, "", "", nil
	}
	f := strings.SplitN(cursor, ",", 3)
	if len(f) == 3 {
		at, err = strconv.Atoi(f[0])
		_, numErr := strconv.ParseFloat(f[1], 64)
		if err == nil && numErr == nil && at >= 0 && at < indexes {
			return at, f[1], f[2], nil
		}
	}
	return 0, "", "", errCursor
}

// ListImport returns the invites of an import in the order of its file: all, or those
// in some states. A page may hold fewer than limit, or none at all, although more
// follow. Where few invites are in the states, it reads those, and else the import.
func (l *Ledger) ListImport(ctx context.Context, importID, cursor string, limit int, states ...tasks.State) (Page, error) {
	from := 0
	if cursor != "" {
		var err error
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 {
			return Page{}, errCursor
		}
	}
	if len(states) > 0 && from == 0 {
		few, page, err := l.fewOf(ctx, importID, states, limit)
		if few || err != nil {
			return page, err
		}
	}
	for reads := 0; ; {
		ids, err := l.Members(ctx, tasks.BulkCreate{ImportID: importID, From: from, Count: limit})
		if err != nil || len(ids) == 0 {
			return Page{}, err
		}
		records, err := l.Get(ctx, ids...)
		if err != nil {
			return Page{}, err
		}
		if len(states) > 0 {
			records = slices.DeleteFunc(records, func(r Record) bool { return !slices.Contains(states, r.State) })
		}
		from, reads = from+len(ids), reads+len(ids)
		if len(records) > 0 || reads >= importReads {
			return Page{records, strconv.Itoa(from)}, nil
		}
	}
}

// importReads is how many rows of an import are read in search of a state before a page
// stays empty.
const importReads = 10_000

// fewOf returns the invites of an import in some states if they fit into a page, and if
// it takes fewer reads than the import: all that are in these states.
func (l *Ledger) fewOf(ctx context.Context, importID string, states []tasks.State, limit int) (bool, Page, error) {
	i, err := l.Import(ctx, importID)
	if errors.Is(err, ErrNotFound) {
		return true, Page{}, nil
	}
	if err != nil {
		return false, Page{}, err
	}
	var wanted, held int64
	pipe := l.rdb.Pipeline()
	var counts []*redis.IntCmd
	for _, s := range states {
		wanted += i.States[s]
		for _, index := range l.indexesOf(s) {
			counts = append(counts, pipe.ZCard(ctx, index))
		}
	}
	if wanted <= 0 {
		return true, Page{}, nil
	}
	if err := execute(ctx, pipe); err != nil {
		return false, Page{}, err
	}
	for _, c := range counts {
		held += c.Val()
	}
	if wanted > int64(limit) || held >= i.Total {
		return false, Page{}, nil
	}
	var page Page
	for records, err := range l.EveryIn(ctx, browseChunk, states...) {
		if err != nil {
			return false, page, err
		}
		for _, r := range records {
			if r.Invite.ImportID == importID && slices.Contains(states, r.State) {
				page.Records = append(page.Records, r)
			}
		}
	}
	slices.SortFunc(page.Records, func(a, b Record) int { return cmp.Compare(a.Position, b.Position) })
	page.Records = slices.CompactFunc(page.Records, func(a, b Record) bool { return a.Invite.ID == b.Invite.ID })
	return true, page, nil
}
