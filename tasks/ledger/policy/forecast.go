package policy

import (
	"math"
	"sort"
	"sync"
)

// The bounds of a forecast.
const (
	// After so many cycles (a span and an answer, in which a steady state repeats
	// itself) the last of them is taken to go on for ever. Between the two, the cut
	// is made in a quiet moment, so that no burst is counted twice or not at all.
	forecastLeast, forecastMost = 2.25, 3.25
	// While bulk calls are smaller (Quota.Most) nothing repeats itself: what follows
	// is played, up to so many cycles more. With windows that are shorter still the
	// forecast takes the small calls to last, and errs to the later side.
	forecastSmall = 8
	quiet         = 1000 // ms
	// forecastCalls is the limit up to which turns are played at all. Beyond it
	// calls are so many that they flow.
	forecastCalls = 1000
	// answerGuess (ms) is how long a call is thought to take.
	answerGuess = 250
)

// Forecast says when what waits will be sent, as things stand: with the demand
// that there is, no other arrivals, and no refusals. It plays the model forward
// as far as it is asked, and is safe for concurrent use.
type Forecast struct {
	mu      sync.Mutex
	m       *Model
	start   float64
	steady  float64 // from when on a steady state may repeat itself
	now     float64
	window  float64
	cycle   float64
	next    float64 // the next interactive arrival
	gap     float64 // between two of them
	sent    [4]int
	log     [4][]point // one entry a call, by queue
	last    float64    // when something was sent last
	flowing bool
	done    bool
}

// point: so many have been sent by then.
type point struct {
	at   float64
	sent int
}

// NewForecast begins at now with a copy of the model.
func NewForecast(m *Model, now float64) *Forecast {
	f := &Forecast{m: m.Clone(), start: now, now: now, window: m.window(), next: Never}
	f.cycle = math.Max(m.Single.Span, m.Bulk.Span) + answerGuess
	for _, calls := range []int{m.Single.Calls, m.Bulk.Calls} {
		f.flowing = f.flowing || calls == 0 || calls > forecastCalls
	}
	f.steady = math.Max(now, math.Min(f.m.BulkQ.MostUntil, now+forecastSmall*f.cycle))
	if demand := m.DemandAt(now); demand >= 1 {
		f.gap = f.window / demand
		f.next = now + f.gap
	}
	return f
}

// At returns when the invite with so many of its queue in front of it will be
// sent: those of its lane that go as it goes, together or one by one. It is never
// before the forecast's beginning.
func (f *Forecast) At(lane int, oneByOne bool, ahead int) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flowing {
		return f.flow(lane, ahead)
	}
	queue, waiting := lane, &f.m.Waiting[lane]
	if oneByOne {
		queue, waiting = lane+2, &f.m.OneByOne[lane]
	}
	// Whoever asks about someone who does not stand in the queue yet, means the end.
	*waiting += max(0, ahead+1-f.sent[queue]-*waiting)
	for !f.done && f.sent[queue] <= ahead {
		f.step()
	}
	log := f.log[queue]
	i := sort.Search(len(log), func(i int) bool { return log[i].sent > ahead })
	if i < len(log) {
		return log[i].at
	}
	// The rest is the last cycle over and over.
	from := sort.Search(len(log), func(i int) bool { return log[i].at > f.now-f.cycle })
	before := 0
	if from > 0 {
		before = log[from-1].sent
	}
	per := f.sent[queue] - before
	if per <= 0 {
		return f.now + f.cycle*float64(1+ahead-f.sent[queue])
	}
	rest := ahead - f.sent[queue]
	cycles, place := rest/per, before+rest%per
	i = sort.Search(len(log), func(i int) bool { return log[i].sent > place })
	return log[min(i, len(log)-1)].at + float64(cycles+1)*f.cycle
}

// step plays one turn.
func (f *Forecast) step() {
	for f.next <= f.now {
		f.m.Waiting[0]++
		f.m.Arrived++
		f.m.ArrivedAt = f.next
		f.next += f.gap
	}
	most := f.steady + forecastMost*f.cycle
	c := f.m.Turn(f.now)
	if c.Action == "" {
		next := math.Ceil(math.Min(c.Wake, f.next))
		cut := math.Max(f.last+quiet, f.steady+forecastLeast*f.cycle)
		if f.now = math.Max(f.now+1, next); f.now > cut {
			f.now, f.done = math.Min(cut, most), true
		}
		return
	}
	f.last = f.now
	for queue, n := range [2]int{c.Interactive, c.Import} {
		if c.OneByOne {
			queue += 2
		}
		if n > 0 {
			f.sent[queue] += n
			f.log[queue] = append(f.log[queue], point{f.now, f.sent[queue]})
		}
	}
	f.m.Answered(f.now+answerGuess, c)
	f.now++
	f.done = f.now >= most
}

// flow is the answer when calls are too many to be played.
func (f *Forecast) flow(lane, ahead int) float64 {
	n := float64(ahead)
	if lane == 1 {
		n += float64(f.m.Waiting[0] + f.m.OneByOne[0])
	}
	single, bulk := &f.m.SingleQ, &f.m.BulkQ
	at := math.Max(f.start, math.Min(single.Until, bulk.Until))
	for _, q := range []*Quota{single, bulk} {
		if q.Calls == 0 {
			at = math.Max(at, q.Until)
		}
	}
	if bulk.MostUntil > at { // For so long bulk calls are smaller, or none is made.
		places := 0.0
		if bulk.Most >= 2 {
			places = math.Min(bulk.Most, float64(f.m.Size))
		}
		rate := rateOf(single, 1) + rateOf(bulk, places)
		if sent := rate * (bulk.MostUntil - at); n >= sent {
			at, n = bulk.MostUntil, n-sent
		} else {
			return at + n/rate
		}
	}
	return at + n/(rateOf(single, 1)+rateOf(bulk, float64(f.m.Size)))
}

// rateOf is how many invites an endpoint takes in a ms, with so many aboard a call.
func rateOf(q *Quota, places float64) float64 {
	switch {
	case places == 0:
		return 0
	case q.Calls == 0: // Calls in flight are what bounds it.
		return math.Inf(1)
	}
	return places * q.Calls / q.Span
}
