package clerksim_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestClock has a Clerk whose clock is not ours, and is moved.
func TestClock(t *testing.T) {
	for _, offset := range []time.Duration{0, 90 * time.Minute, -90 * time.Minute} {
		inBubble(t, clerksim.Config{ClockOffset: offset, Switches: clerksim.Switches{Lag: time.Second, RetryAfter: clerksim.RetryAfterDate},
			Limits: clerksim.Limits{Single: clerksim.Limit{N: 1, Window: time.Hour}}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
			later(300 * time.Millisecond)
			theirs := time.Now().Add(offset)
			r := c.create(oneInvitation)
			inv := decode[invitationJSON](t, r.body)
			if got := r.header.Get("Date"); got != theirs.UTC().Format(http.TimeFormat) {
				t.Errorf("%v: Date %s, want %v", offset, got, theirs)
			}
			if inv.CreatedAt != theirs.UnixMilli() || inv.ExpiresAt != theirs.AddDate(0, 0, 30).UnixMilli() {
				t.Errorf("%v: created at %d, expires at %d", offset, inv.CreatedAt, inv.ExpiresAt)
			}
			if made := sim.Invitations()[0].Made; made.UnixMilli() != time.Now().UnixMilli() {
				t.Errorf("%v: made at %v by our clock, want %v", offset, made, time.Now())
			}
			if got := len(c.list("")); got != 0 {
				t.Errorf("%v: a read that lags a second sees %d", offset, got)
			}
			later(2 * time.Second)
			if got := len(c.list("")); got != 1 {
				t.Errorf("%v: a read sees %d after two seconds, want 1", offset, got)
			}
			refused := c.create(`{"email_address":"b@example.com"}`)
			if at, err := http.ParseTime(refused.header.Get("Retry-After")); err != nil || at.Before(theirs.Add(time.Hour).Truncate(time.Second)) || at.After(theirs.Add(time.Hour+2*time.Second)) {
				t.Errorf("%v: closed until %v, %v; want %v", offset, at, err, theirs.Add(time.Hour))
			}
		})
	}
}

// TestClockMoves expires what is past its time by Clerk's clock, and goes back
// without losing anything.
func TestClockMoves(t *testing.T) {
	inBubble(t, clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Unlimited}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		c.invite("a@example.com")
		sim.SetClockOffset(31 * 24 * time.Hour)
		if got := c.list("status=expired"); len(got) != 1 {
			t.Errorf("%d have expired, want 1", len(got))
		}
		future := c.invite("a@example.com")
		sim.SetClockOffset(-time.Hour)
		past := c.invite("b@example.com")
		list := c.list("")
		if got := emailOf(list); len(got) != 3 || list[0].ID != future.ID || list[2].ID != past.ID {
			t.Errorf("newest first: %v", got)
		}
		if got := c.list(query("a@example.com")); len(got) != 2 {
			t.Errorf("by query: %d, want 2", len(got))
		}
		later(32 * 24 * time.Hour)
		if got := len(c.list("status=pending")); got != 1 { // that from the future
			t.Errorf("%d are pending, want 1", got)
		}
	})
}
