package clerksim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// hit is one request that a limiter judged: when, and whether it counted.
type hit struct {
	at      int64
	counted bool
	refused bool
}

// oracles say from the complete past, by the words of each limiter's definition,
// whether a request at now is admitted.
var oracles = map[Limiter]func(past []hit, limit int, window, now int64) bool{
	LimiterSliding: func(past []hit, limit int, window, now int64) bool {
		n := 0
		for _, h := range past {
			if h.counted && h.at > now-window {
				n++
			}
		}
		return n < limit
	},
	LimiterFixedAligned: func(past []hit, limit int, window, now int64) bool {
		n := 0
		for _, h := range past {
			if h.counted && h.at/window == now/window {
				n++
			}
		}
		return n < limit
	},
	LimiterFixedAnchored: func(past []hit, limit int, window, now int64) bool {
		n, start := 0, int64(-1)
		for _, h := range past {
			if !h.counted {
				continue
			}
			if start < 0 || h.at >= start+window {
				start, n = h.at, 0
			}
			n++
		}
		return start < 0 || now >= start+window || n < limit
	},
	LimiterWeighted: func(past []hit, limit int, window, now int64) bool {
		var old, cur int64
		for _, h := range past {
			switch {
			case !h.counted:
			case h.at/window == now/window:
				cur++
			case h.at/window == now/window-1:
				old++
			}
		}
		return old*(window-now%window)+(cur+1)*window <= int64(limit)*window
	},
	LimiterBucket:     func(p []hit, limit int, w, now int64) bool { return tokens(p, limit, limit, w, now) },
	LimiterHalfBucket: func(p []hit, limit int, w, now int64) bool { return tokens(p, limit, max(1, limit/2), w, now) },
}

// tokens replays a bucket in units of 1/interval of a token.
func tokens(past []hit, limit, burst int, window, now int64) bool {
	interval := (window + int64(limit) - 1) / int64(limit)
	most := int64(burst) * interval
	level, last := most, int64(0)
	fill := func(at int64) { level, last = min(most, level+at-last), at }
	for _, h := range past {
		if !h.counted {
			continue
		}
		fill(h.at)
		if h.refused {
			level = 0
		} else {
			level -= interval
		}
	}
	fill(now)
	return level >= interval
}

// checkLimiter sends requests to a limiter and to its oracle, and follows the
// limiter's own word on when to come back.
func checkLimiter(t *testing.T, kind Limiter, refusedCount bool, limit int, window int64, gaps []uint16) {
	t.Helper()
	l := newLimiter(kind, Limit{N: limit, Window: time.Duration(window)})
	var past []hit
	now := int64(1_000_000)
	for i, gap := range gaps {
		now += int64(gap)
		ok := l.wait(now) == 0
		if want := oracles[kind](past, limit, window, now); ok != want {
			t.Fatalf("%s %d/%d, refused count %v: request %d at %d admitted %v, want %v", kind, limit, window, refusedCount, i, now, ok, want)
		}
		if !ok {
			wait := int64(l.wait(now))
			if !oracles[kind](past, limit, window, now+wait) {
				t.Fatalf("%s %d/%d: a wait of %d at %d is too short", kind, limit, window, wait, now)
			}
			if oracles[kind](past, limit, window, now+wait-1) {
				t.Fatalf("%s %d/%d: a wait of %d at %d is too long", kind, limit, window, wait, now)
			}
		}
		switch {
		case ok:
			l.hit(now)
		case refusedCount:
			l.refuse(now)
		}
		past = append(past, hit{at: now, counted: ok || refusedCount, refused: !ok})
	}
}

func FuzzLimiter(f *testing.F) {
	for i := range len(switchTable[0].Values) {
		f.Add(uint8(i), true, uint8(5), uint16(100), []byte{0, 0, 1, 0, 9, 30, 0, 0, 0, 99, 100, 101, 3, 0, 0})
		f.Add(uint8(i), false, uint8(1), uint16(7), []byte{0, 6, 7, 8, 1, 1, 1, 1, 1, 1, 1, 1})
	}
	f.Fuzz(func(t *testing.T, kind uint8, refusedCount bool, limit uint8, window uint16, gaps []byte) {
		if limit == 0 || window < uint16(limit) || len(gaps) > 500 {
			return
		}
		wide := make([]uint16, len(gaps))
		for i, g := range gaps {
			wide[i] = uint16(g)
		}
		names := switchTable[0].Values
		checkLimiter(t, Limiter(names[int(kind)%len(names)]), refusedCount, int(limit), int64(window), wide)
	})
}

// TestLimiters runs every limiter against its oracle on drawn traffic: bursts,
// long silences and everything between.
func TestLimiters(t *testing.T) {
	for _, name := range switchTable[0].Values {
		for _, refusedCount := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/refused count %v", name, refusedCount), func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				for range 300 {
					limit := 1 + r.IntN(12)
					window := int64(limit + r.IntN(400))
					gaps := make([]uint16, 120)
					mean := 1 + r.IntN(int(window))
					for i := range gaps {
						if r.IntN(3) > 0 {
							gaps[i] = uint16(r.IntN(mean))
						}
					}
					checkLimiter(t, Limiter(name), refusedCount, limit, window, gaps)
				}
			})
		}
	}
}

// TestLimitersNeverExceed states what each limiter lets through in the worst
// window of heavy traffic, at Clerk's published size.
func TestLimitersNeverExceed(t *testing.T) {
	const limit, window = 100, int64(time.Hour)
	most := map[Limiter]int{
		LimiterSliding: limit, LimiterFixedAligned: 2 * limit, LimiterFixedAnchored: 2 * limit,
		LimiterWeighted: 2 * limit, LimiterBucket: 2*limit - 1, LimiterHalfBucket: limit + limit/2 - 1,
	}
	for kind, most := range most {
		l := newLimiter(kind, Limit{N: limit, Window: time.Duration(window)})
		r := rand.New(rand.NewPCG(3, 4))
		now := int64(946684800) * int64(time.Second)
		var admitted []int64
		for range 20_000 {
			now += r.Int64N(int64(4 * time.Second))
			if r.IntN(500) == 0 {
				now += r.Int64N(int64(2 * time.Hour))
			}
			if l.wait(now) == 0 {
				l.hit(now)
				admitted = append(admitted, now)
			}
		}
		got := peak(admitted, time.Duration(window))
		if got > most {
			t.Errorf("%s admitted %d in one window, want at most %d", kind, got, most)
		}
		if got < limit/2 {
			t.Errorf("%s admitted only %d in its best window", kind, got)
		}
	}
}

func TestUnlimited(t *testing.T) {
	if l := newLimiter(LimiterSliding, Unlimited); l != nil {
		t.Errorf("unlimited: got a limiter %T", l)
	}
}
