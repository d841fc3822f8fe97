package ledger

import "context"

// records reads what a script has returned: id, record, id, record, … One that
// cannot be read is set aside, so that it holds up nobody else.
func (l *Ledger) records(ctx context.Context, flat []string) []Record {
	records := make([]Record, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		if r, err := l.parse(ctx, flat[i], flat[i+1]); err == nil {
			records = append(records, r)
		} else {
			// If this fails, the next one who reads it sets it aside.
			_ = l.rdb.SAdd(ctx, l.keys.of("aside"), flat[i]).Err()
		}
	}
	return records
}

// Reindex looks again at records that were set aside: a later version may have
// written them, and this may be the one that can read them. It returns how many
// still cannot be read.
func (l *Ledger) Reindex(ctx context.Context) (left int, _ error) {
	ids, err := l.rdb.SMembers(ctx, l.keys.of("aside")).Result()
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		s, err := l.rdb.HGet(ctx, l.keys.of("rec"), id).Result()
		if ignoreNil(err) != nil {
			return left, err
		}
		if _, unreadable := l.parse(ctx, id, s); err == nil && unreadable != nil {
			left++
			continue
		}
		if err := l.run(ctx, "reindex", millis(Now), id).Err(); err != nil {
			return left, err
		}
	}
	return left, nil
}
