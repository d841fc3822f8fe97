package access

import (
	"fmt"
	"testing"
	"time"
)

var start = time.UnixMilli(1_800_000_000_000)

func TestGuesses(t *testing.T) {
	var g Guesses
	now := start
	for n := range guessBurst {
		if wait := g.Wrong("192.0.2.1", now); wait != 0 {
			t.Fatalf("guess %d waits %s", n, wait)
		}
	}
	if wait := g.Wrong("192.0.2.1", now); wait != guessEvery {
		t.Errorf("after the burst: waits %s, want %s", wait, guessEvery)
	}
	if wait := g.Wrong("192.0.2.1", now.Add(guessEvery/2)); wait != guessEvery/2 {
		t.Errorf("a refused guess is not charged, so that the wait ends: %s", wait)
	}
	g.Right("192.0.2.1")
	if wait := g.Wrong("192.0.2.1", now); wait != 0 {
		t.Errorf("one was right after all: waits %s", wait)
	}
	if wait := g.Wrong("192.0.2.1", now.Add(guessEvery)); wait != 0 {
		t.Errorf("a moment later: waits %s", wait)
	}
	if wait := g.Wrong("192.0.2.2", now); wait != 0 {
		t.Errorf("somebody else waits %s", wait)
	}
	// A quarter of an hour later everything is forgotten.
	now = now.Add(15 * time.Minute)
	for range guessBurst {
		if wait := g.Wrong("192.0.2.1", now); wait != 0 {
			t.Errorf("later: waits %s", wait)
		}
	}
}

func TestGuessesFromOneIPv6NetworkCountTogether(t *testing.T) {
	var g Guesses
	var wait time.Duration
	for n := range guessBurst + 1 {
		wait = g.Wrong(fmt.Sprintf("2001:db8::%x", n+1), start)
	}
	if wait == 0 {
		t.Error("another address of the same network has guesses of its own")
	}
	if g.Wrong("2001:db8:0:1::1", start) != 0 || g.Wrong("not an address", start) != 0 {
		t.Error("another network waits")
	}
}
