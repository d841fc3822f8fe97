package main

import (
	"fmt"
	"time"
)

// humane writes a duration as people say it: 42s, 12m 4s, 2h 19m, 3d 4h.
func humane(d time.Duration) string {
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

// in says when something will happen: "now" or "in 12m 4s".
func in(now, at time.Time) string {
	if d := at.Sub(now); d >= time.Second {
		return "in " + humane(d)
	}
	return "now"
}

// ago says when something happened: "now" or "3m 2s ago".
func ago(now, at time.Time) string {
	if d := now.Sub(at); d >= time.Second {
		return humane(d) + " ago"
	}
	return "now"
}

// moment writes a point in time in the reader's own zone.
func moment(at time.Time) string { return at.Local().Format("2006-01-02 15:04:05") }
