package policy

import "math"

const (
	// SoftShare is the depth of an endpoint's soft bucket, as a share of its limit.
	SoftShare = 0.08
	// AnswerTime (ms) is how long a call waits for the answer to one before it, once
	// the soft bucket's depth has been spent in the window: a limiter that is
	// stricter than we know then refuses one call, and not as many as are in flight.
	AnswerTime = 2000
	// CareTime (ms) is how long an endpoint is careful after a refusal that its log
	// did not predict, and at least two windows: its calls then keep to the soft
	// bucket, at a rate that leaves room for the bucket's depth.
	CareTime = 24 * 3600 * 1000
	// BulkRefusals of calls in a row, whoever was aboard, make bulk calls half as big
	// for SmallerFor (ms); below 2, none is made.
	BulkRefusals = 3
	SmallerFor   = 3600 * 1000
)

// Log holds when the calls of an endpoint counted, the oldest first. Those in flight
// count at their deadline.
type Log interface {
	Len() int
	At(i int) float64       // the i-th, from 0
	After(time float64) int // how many are later
}

// Quota is one endpoint's limit, log, soft bucket and gate.
type Quota struct {
	Calls        float64 // in a window; 0 is no limit
	Window, Span float64 // Span: the window and a guard
	Log          Log     // of the last span
	Last, Tat    float64 // the latest call; when the soft bucket will be full
	Until, Probe float64 // gate: closed until (0: open); deadline of the probe under way
	Careful      float64 // calls are spaced until then

	// Bulk only: so many at most are aboard until MostUntil, since Clerk has refused
	// calls whoever was aboard. Below 2 no call is made.
	Most, MostUntil float64
}

// Facts is what a decision needs to know of one quota.
type Facts struct {
	Limit    float64 // calls in a window; 0: none
	Interval float64 // the span of a window, shared by its calls
	HardAt   float64 // when a call is possible: token, gate, care
	SoftAt   float64 // when the soft bucket holds one
	Last     float64 // its latest call
	Free     float64 // tokens
	NextAt   float64 // when the next call leaves the log
}

// Depth of the soft bucket of a limit, in calls.
func Depth(limit float64) float64 { return math.Max(1, math.Floor(SoftShare*limit)) }

// SoftInterval is what the soft bucket gains a token in: longer while careful, so
// that no window sees more than the limit.
func SoftInterval(limit, span float64, careful bool) float64 {
	if limit == 0 {
		return 0
	}
	if careful {
		return span / math.Max(1, limit-Depth(limit))
	}
	return span / limit
}

// Care is for how long (ms) an endpoint is careful after a refusal that its log
// did not predict.
func Care(window float64) float64 { return math.Max(CareTime, 2*window) }

// FreeAt returns the time at which n tokens are free.
func (q *Quota) FreeAt(now float64, n float64) float64 {
	i := float64(q.Log.Len()) - q.Calls + n - 1
	if q.Calls == 0 || i < 0 {
		return now
	}
	if n > q.Calls {
		return Never
	}
	return q.Log.At(int(i)) + q.Span
}

// FreeBy returns how many tokens will be free by a time, if none is taken until then.
func (q *Quota) FreeBy(at float64) float64 {
	return math.Max(0, q.Calls-float64(q.Log.After(at-q.Span)))
}

// Gains is the time in which the soft bucket gains a token.
func (q *Quota) Gains(now float64) float64 { return SoftInterval(q.Calls, q.Span, q.Careful > now) }

// Landed returns when one more call may leave, as far as those without an answer
// are concerned.
func (q *Quota) Landed(now, ttl float64) float64 {
	spent := float64(q.Log.Len())
	if q.Calls == 0 || spent < Depth(q.Calls) {
		return now
	}
	// The deadline of a call that was made AnswerTime ago tells those that were made since.
	flying := float64(q.Log.After(now + ttl - AnswerTime))
	most := math.Max(1, math.Ceil(q.Calls*AnswerTime/q.Span))
	if flying < most {
		return now
	}
	return q.Log.At(int(spent-most)) - ttl + AnswerTime
}

// Facts gathers what a decision needs.
func (q *Quota) Facts(now float64) Facts {
	f := Facts{Limit: q.Calls, HardAt: now, Last: q.Last}
	f.SoftAt = q.Tat - (Depth(q.Calls)-1)*q.Gains(now)
	if q.Calls > 0 {
		spent := float64(q.Log.Len())
		f.Interval = q.Span / q.Calls
		f.HardAt = q.FreeAt(now, 1)
		f.Free, f.NextAt = math.Max(0, q.Calls-spent), now
		if spent > 0 {
			f.NextAt = q.Log.At(0) + q.Span
		}
	}
	// One probe at a time goes through a gate that is due to open.
	if q.Until > 0 {
		f.HardAt = math.Max(f.HardAt, math.Max(q.Until, q.Probe))
	}
	if q.Careful > now {
		f.HardAt = math.Max(f.HardAt, f.SoftAt)
	}
	return f
}

// Fit returns how many a bulk call may hold, and closes the endpoint while none is
// made. size is what fits into a full one.
func (q *Quota) Fit(now, size float64) float64 {
	if q.MostUntil <= now {
		return size
	}
	if q.Most < 2 {
		q.Until = math.Max(q.Until, q.MostUntil)
	}
	return math.Max(1, math.Min(size, q.Most))
}

// Pay moves the soft bucket by a call that is made now.
func (q *Quota) Pay(now float64) {
	q.Last, q.Tat = now, math.Max(q.Tat, now)+q.Gains(now)
}

// BeCareful spaces the calls from now on.
func (q *Quota) BeCareful(now float64) {
	q.Careful = now + Care(q.Window)
	q.Tat = math.Max(q.Tat, math.Max(q.Until, now)+(Depth(q.Calls)-1)*q.Gains(now))
}
