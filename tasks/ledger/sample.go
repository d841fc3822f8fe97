package ledger

import (
	"cmp"
	"context"
	"math"
	"time"
)

// Waits counts how long people waited for their calls, in buckets of which each ends at
// twice the time at which the one before it does.
type Waits map[int]int64

const (
	firstWait   = 125 * time.Millisecond // Where bucket 0 ends.
	waitBuckets = 24                     // The last one ends after twelve days.
)

// Add counts one.
func (w Waits) Add(waited time.Duration) {
	k := 0
	for end := firstWait; waited >= end && k < waitBuckets-1; end *= 2 {
		k++
	}
	w[k]++
}

// Merge adds what others have counted.
func (w Waits) Merge(others Waits) {
	for k, n := range others {
		w[k] += n
	}
}

// Quantile returns how long the share q of people waited at most, as exactly as the
// buckets tell, which is to within a factor of two; 0 if there were none.
func (w Waits) Quantile(q float64) time.Duration {
	var all int64
	for _, n := range w {
		all += n
	}
	left := q * float64(all)
	for k := range waitBuckets {
		n := float64(w[k])
		if n > 0 && left <= n {
			end := float64(firstWait) * math.Exp2(float64(k))
			begin := end / 2
			if k == 0 {
				begin = 0
			}
			return time.Duration(begin + (end-begin)*left/n)
		}
		left -= n
	}
	return 0
}

// Sample notes for the charts what stands in the ledger now: how many wait, and what of
// the windows is spent. Workers call it once a minute, each with the version of its
// program and with how long the clicks waited that it has delivered since.
func (l *Ledger) Sample(ctx context.Context, now time.Time, version string, since Waits) error {
	args := []any{millis(now), cmp.Or(version, "unknown"), l.cfg.Limits.Single.Window.Milliseconds(), l.cfg.Limits.Bulk.Window.Milliseconds()}
	for k, n := range since {
		args = append(args, k, n)
	}
	return l.run(ctx, "sample", args...).Err()
}
