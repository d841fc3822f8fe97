package tasks

import (
	"slices"
	"strings"
	"testing"
)

// TestStepsAreWholeAndTrue: every line of the table has its sentence and reasons of
// the vocabulary, every state can be reached and every reason is taken.
func TestStepsAreWholeAndTrue(t *testing.T) {
	type change struct{ from, to State }
	known, taken, reached := map[change]bool{}, map[Reason]bool{}, map[State]bool{Queued: true}
	for _, s := range Steps() {
		c := change{s.From, s.To}
		if known[c] {
			t.Errorf("%s → %s stands twice", s.From, s.To)
		}
		known[c], reached[s.To] = true, true
		if !strings.HasSuffix(s.When, ".") || len(s.Reasons) == 0 {
			t.Errorf("%s → %s: %q, %d reasons", s.From, s.To, s.When, len(s.Reasons))
		}
		for _, r := range s.Reasons {
			taken[r] = true
			if _, err := ParseReason(string(r)); err != nil && r != "" {
				t.Errorf("%s → %s: %v", s.From, s.To, err)
			}
			if err := CheckStep(s.From, s.To, r); err != nil {
				t.Error(err)
			}
		}
	}
	for _, s := range States {
		if !reached[s] {
			t.Errorf("nothing leads to %s", s)
		}
	}
	for _, r := range Reasons() {
		if !taken[r] && r != ReasonQueuedMissing { // Earlier versions took that one.
			t.Errorf("no step is taken with %q", r)
		}
	}
}

// TestNothingIsSentTwice reads the promise off the table: what may have been sent is
// queued only for a reason that says that it was not, and what Clerk has never is,
// but for a person who sends again what was deleted there.
func TestNothingIsSentTwice(t *testing.T) {
	says := append([]Reason{ReasonNotAtClerk, ReasonWaitsForRevoke, ReasonMayArrive}, notNow...)
	for _, s := range Steps() {
		if s.To != Queued {
			continue
		}
		for _, r := range s.Reasons {
			byHand := r == ReasonQueuedByHand && slices.Contains([]State{Failed, Parked, Rejected, Revoked}, s.From)
			if !byHand && !slices.Contains(says, r) {
				t.Errorf("%s → queued (%s)", s.From, r)
			}
		}
	}
}

func TestHistory(t *testing.T) {
	event := func(version int, from, to string, why Reason) Event {
		return Event{InviteID: "inq_1", Version: version, From: from, To: to, Reason: why}
	}
	claimed := event(1, "queued", "sending", "")
	made := event(2, "sending", "pending", "")
	for _, c := range []struct {
		name   string
		events []Event
		wrong  string // what the last one is told; "" is nothing
	}{
		{"on its way", []Event{claimed, made, event(3, "pending", "accepted", ReasonSeenAtClerk)}, ""},
		{"a version without an event", []Event{claimed, event(3, "sending", "unknown", ReasonWorkerDied)}, ""},
		{"of an import", []Event{{To: ImportCompleted}}, ""},
		{"forgotten, and admitted anew", []Event{claimed, event(2, "sending", "rejected", ReasonBlocked), claimed}, ""},
		{"not forgotten, and admitted anew", []Event{claimed, made, claimed}, "follows version 2"},
		{"no step", []Event{claimed, made, event(3, "pending", "queued", ReasonQueuedByHand)}, "nothing leads from pending to queued"},
		{"no reason of the step", []Event{claimed, event(2, "sending", "queued", ReasonWorkerDied)}, `not with "worker_died"`},
		{"begins somewhere", []Event{made}, "follows version 0"},
		{"goes on from somewhere", []Event{claimed, event(2, "unknown", "pending", "")}, "follows version 1"},
		{"the same version", []Event{claimed, event(1, "sending", "pending", "")}, "follows version 1"},
		{"a state of tomorrow", []Event{event(1, "queued", "frozen", "")}, "state must be one of"},
	} {
		var h History
		var err error
		for n, e := range c.events {
			if err = h.Add(e); err != nil && n < len(c.events)-1 {
				t.Errorf("%s: event %d: %v", c.name, n, err)
			}
		}
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.wrong)
		}
	}
	h := History{Partial: true}
	if err := h.Add(made); err != nil {
		t.Errorf("of a stream without its beginning: %v", err)
	}
	if err := h.Add(claimed); err == nil {
		t.Error("of a stream without its beginning: what is there may go any way")
	}
}
