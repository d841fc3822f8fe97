package clerksim

import (
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"math"
	"math/big"
	"math/rand/v2"
	"time"
)

// seenMax bounds how many different requests the dice tell apart by repetition.
const seenMax = 1 << 20

// dice hands every request its own random numbers. They follow from the seed,
// the request's content and how often that content was seen before, so that the
// order in which concurrent requests arrive changes nothing.
type dice struct {
	seed uint64
	seen map[uint64]uint32
}

func newDice(seed uint64) *dice {
	return &dice{seed: seed, seen: make(map[uint64]uint32)}
}

func (d *dice) roll(content ...string) *rand.Rand {
	h := fnv.New64a()
	for _, c := range content {
		_, _ = h.Write([]byte(c)) // a hash never fails
		_, _ = h.Write([]byte{0})
	}
	key := h.Sum64()
	if len(d.seen) >= seenMax {
		clear(d.seen)
	}
	n := d.seen[key]
	d.seen[key] = n + 1
	return rand.New(rand.NewPCG(d.seed^key, uint64(n)))
}

// draw returns a duration from the distribution.
func (l Latency) draw(r *rand.Rand) time.Duration {
	if l.Median <= 0 || l.P999 <= l.Median {
		return l.Median
	}
	const z999 = 3.0902 // the 99.9th percentile of the normal distribution
	sigma := math.Log(float64(l.P999)/float64(l.Median)) / z999
	return time.Duration(float64(l.Median) * math.Exp(sigma*r.NormFloat64()))
}

// newID returns an id as Clerk makes them: a prefix and a KSUID, that is four
// bytes of time and sixteen random ones in 27 digits of base 62.
func (s *Sim) newID(prefix string, now time.Time, r *rand.Rand) string {
	const digits, epoch = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 1_400_000_000
	var raw [20]byte
	binary.BigEndian.PutUint32(raw[0:], uint32(s.clerks(now)/1000-epoch))
	binary.BigEndian.PutUint64(raw[4:], r.Uint64())
	binary.BigEndian.PutUint64(raw[12:], r.Uint64())
	n, base, digit := new(big.Int).SetBytes(raw[:]), big.NewInt(62), new(big.Int)
	var out [27]byte
	for i := len(out) - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = digits[digit.Int64()]
	}
	return prefix + "_" + string(out[:])
}

func newTraceID(r *rand.Rand) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[0:], r.Uint64())
	binary.BigEndian.PutUint64(raw[8:], r.Uint64())
	return hex.EncodeToString(raw[:])
}
