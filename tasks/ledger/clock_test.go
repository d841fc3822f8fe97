package ledger

import (
	"testing"
	"time"
)

// A slow answer does not make the worker forget what a quick one has told it: else
// what is due by Redis' clock is due already by its own, and it asks without a pause.
func TestOffsetIsKeptByASlowAnswer(t *testing.T) {
	var c clock
	answer := func(ahead, took time.Duration) time.Duration {
		c.note(start, start.Add(took), start.Add(took/2+ahead))
		return time.Duration(c.offset.Load())
	}
	for _, step := range []struct {
		what        string
		ahead, took time.Duration
		least, most time.Duration
	}{
		{"the way explains it", time.Second, 4 * time.Second, 0, 0},
		{"a quick answer", -10 * time.Second, 20 * time.Millisecond, -10*time.Second - 10*time.Millisecond, -10*time.Second + 11*time.Millisecond},
		{"a slow answer", -10 * time.Second, 30 * time.Second, -10*time.Second - 10*time.Millisecond, -10*time.Second + 11*time.Millisecond},
		{"the clock was set", 5 * time.Second, 20 * time.Millisecond, 5*time.Second - 10*time.Millisecond, 5*time.Second + 11*time.Millisecond},
	} {
		if got := answer(step.ahead, step.took); got < step.least || got > step.most {
			t.Errorf("%s: got an offset of %s, want %s to %s", step.what, got, step.least, step.most)
		}
	}
}
