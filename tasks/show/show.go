// Package show writes numbers, times and outcomes for people: the command line,
// the pages and the reports say the same thing in the same words.
package show

import (
	"fmt"
	"strconv"
	"time"
)

// Duration writes a duration to its two largest units: 42s, 12m 4s, 2h 19m, 3d 4h.
// A negative one is 0s.
func Duration(d time.Duration) string {
	if d > 0 && d < time.Second {
		return "under 1s"
	}
	d = max(d, 0).Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", s)
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", m, s)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %dm", h, m)
	}
	return fmt.Sprintf("%dd %dh", h/24, h%24)
}

// In says when something will happen: "now" or "in 12m 4s".
func In(now, at time.Time) string {
	if d := at.Sub(now); d >= time.Second {
		return "in " + Duration(d)
	}
	return "now"
}

// Ago says when something happened: "just now", "3m 2s ago", or "never" for the
// zero time.
func Ago(now, at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	if d := now.Sub(at); d >= time.Second {
		return Duration(d) + " ago"
	}
	return "just now"
}

// Offset says by how much a clock is ahead, or behind.
func Offset(d time.Duration) string {
	if d.Abs() < 50*time.Millisecond {
		return "exact"
	}
	return fmt.Sprintf("%+.1f s", d.Seconds())
}

// Time writes a point in time in the reader's own zone.
func Time(at time.Time) string { return at.Local().Format("2006-01-02 15:04:05") }

// Thousands writes 12345 as 12,345.
func Thousands[N ~int | ~int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count writes a number with its noun, which takes an s in the plural.
func Count[N ~int | ~int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Thousands(n) + " " + noun + "s"
}
