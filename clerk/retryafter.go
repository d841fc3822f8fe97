package clerk

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter only keeps arithmetic on the result from overflowing. What is
// sensible is the gate's business.
const maxRetryAfter = 10 * 365 * 24 * time.Hour

// retryAfter reads the Retry-After header: seconds (a fraction is rounded up), or
// an HTTP date. A date is measured from the answer's own Date header if it has
// one, so that a clock that is off, here or there, does no harm. A moment that
// has passed is 0. ok is false if there is no header or it makes no sense.
func retryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if strings.Trim(v, "0123456789.") == "" {
		seconds, err := strconv.ParseFloat(v, 64)
		if err != nil && !math.IsInf(seconds, 1) {
			return 0, false
		}
		seconds = math.Ceil(seconds)
		if seconds >= maxRetryAfter.Seconds() {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}
