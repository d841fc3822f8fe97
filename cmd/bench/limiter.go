package bench

import (
	"math/rand/v2"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Contained are the limiters inside which a sliding log stays.
var Contained = []clerksim.Limiter{
	clerksim.LimiterFixedAligned, clerksim.LimiterFixedAnchored, clerksim.LimiterSliding, clerksim.LimiterBucket,
}

// Stricter are those that surprise it.
var Stricter = []clerksim.Limiter{clerksim.LimiterWeighted, clerksim.LimiterHalfBucket}

// counter is one endpoint's limiter. Times in ms.
type counter struct {
	meter  *clerksim.Meter
	offset float64 // of aligned windows
}

func newCounter(kind clerksim.Limiter, l ledger.Limit, r *rand.Rand) *counter {
	limit := clerksim.Limit{N: l.Calls, Window: l.Window}
	if l.Calls == 0 {
		limit = clerksim.Unlimited
	}
	return &counter{clerksim.NewMeter(kind, limit), r.Float64() * ms(l.Window)}
}

// admit counts a call, or says how long to wait (ms): Retry-After is in whole seconds.
func (c *counter) admit(now float64) (retry float64, ok bool) {
	wait := c.meter.Admit(time.UnixMilli(int64(now + c.offset)))
	return float64((wait + time.Second - 1) / time.Second * 1000), wait == 0
}
