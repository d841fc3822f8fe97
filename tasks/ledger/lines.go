package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Where each row of an import stands in its list is kept in runs, since it costs
// nothing so for most lists: a run begins where the line is not the one that follows
// from the position (the place in the order of admission). A member of the index has
// the runs of one call of admit.lua: "POSITION FIRST:LINE FIRST:LINE …", where FIRST is
// counted from the position, and a line of 0 says that there is none.

// runsOf are the lines of invites that are admitted together, as admit.lua takes them.
func runsOf(invites []tasks.Invite) string {
	var b strings.Builder
	next := 0
	for n := range invites {
		if line := invites[n].Row; n == 0 || line != next {
			fmt.Fprintf(&b, "%d:%d ", n, line)
			next = line
		}
		if next > 0 {
			next++
		}
	}
	return b.String()
}

// run is a part of an import whose lines follow each other.
type run struct{ position, line int64 }

// Lines returns on which line of its list each record of an import stands, from 1; 0
// where that is not known.
func (l *Ledger) Lines(ctx context.Context, importID string, records []Record) ([]int, error) {
	lines := make([]int, len(records))
	if len(records) == 0 {
		return lines, nil
	}
	byPosition := func(a, b Record) int { return cmp.Compare(a.Position, b.Position) }
	first, last := slices.MinFunc(records, byPosition).Position, slices.MaxFunc(records, byPosition).Position
	pipe := l.rdb.Pipeline()
	key := l.keys.of("rows") + importID
	// The first run of a member may begin behind its position.
	before := pipe.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, Start: first, Stop: "-inf", ByScore: true, Rev: true, Count: 2})
	within := pipe.ZRangeArgs(ctx, redis.ZRangeArgs{Key: key, Start: fmt.Sprintf("(%d", first), Stop: last, ByScore: true})
	if err := execute(ctx, pipe); err != nil {
		return nil, err
	}
	slices.Reverse(before.Val())
	var runs []run
	for _, member := range append(before.Val(), within.Val()...) {
		at, packed, _ := strings.Cut(member, " ")
		for one := range strings.FieldsSeq(packed) {
			n, line, _ := strings.Cut(one, ":")
			runs = append(runs, run{number(at) + number(n), number(line)})
		}
	}
	for n, r := range records {
		at, found := slices.BinarySearchFunc(runs, r.Position, func(one run, p int64) int { return cmp.Compare(one.position, p) })
		if !found {
			at--
		}
		if at >= 0 && runs[at].line > 0 {
			lines[n] = int(runs[at].line + r.Position - runs[at].position)
		}
	}
	return lines, nil
}
