package admin

import (
	"fmt"
	"strconv"
	"time"
)

// humane writes a duration as people say it: 42 s, 12 min, 2 h 19 min,
// 3 d.
func humane(d time.Duration) string {
	d = max(d, 0)
	if d < time.Second && d > 0 {
		return "under 1 s"
	}
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", s)
	case d < 10*time.Minute && s > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	case d < time.Hour:
		return fmt.Sprintf("%d min", m)
	case d < 48*time.Hour:
		return whole(h, "h", m, "min")
	}
	return whole(h/24, "d", h%24, "h")
}

func whole(n int, unit string, rest int, small string) string {
	if rest == 0 {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%d %s %d %s", n, unit, rest, small)
}

// in says when something will happen.
func in(now, at time.Time) string {
	if d := at.Sub(now); d >= time.Second {
		return "in " + humane(d)
	}
	return "now"
}

// ago says when something happened.
func ago(now, at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	if d := now.Sub(at); d >= time.Second {
		return humane(d) + " ago"
	}
	return "just now"
}

// thousands groups the digits of a number by narrow spaces that do not break.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// count writes a number with its noun, which takes an s in the plural.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}
