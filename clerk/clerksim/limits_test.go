package clerksim_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// TestPublishedLimits spends each limit to its last request.
func TestPublishedLimits(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		for i := range 100 {
			c.invite(fmt.Sprintf("s%d@example.com", i))
			later(time.Second)
		}
		r := c.create(oneInvitation)
		if r.status != 429 || r.code(t) != "too_many_requests" || r.header.Get("Retry-After") != "3500" {
			t.Errorf("the 101st single: %d %s, Retry-After %q", r.status, r.body, r.header.Get("Retry-After"))
		}
		for i := range 25 {
			if r := c.bulk(fmt.Sprintf("b%d@example.com", i)); r.status != 200 {
				t.Fatalf("bulk %d: %d %s", i, r.status, r.body)
			}
		}
		if r := c.bulk("b@example.com"); r.status != 429 || r.header.Get("Retry-After") != "3600" {
			t.Errorf("the 26th bulk: %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
		}
		later(10 * time.Second)
		for range 1000 {
			c.list("")
		}
		if r := c.do("GET", "/users", ""); r.status != 429 || r.header.Get("Retry-After") != "10" {
			t.Errorf("the 1001st read: %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
		}
		later(3490 * time.Second)
		c.invite("a@example.com")
		if sim.Count429(clerksim.Single) != 1 || sim.Count429(clerksim.Bulk) != 1 || sim.Count429(clerksim.Other) != 1 {
			t.Errorf("429s: %v", sim.Stats().Throttled)
		}
		if got := sim.Mails("b@example.com"); got != 0 {
			t.Error("a throttled call mailed")
		}
		if in, judged := sim.Peak(clerksim.Single, time.Hour); in != 100 || judged != 101 {
			t.Errorf("peak of singles %d and %d, want 100 and 101", in, judged)
		}
		if in, _ := sim.Peak(clerksim.Other, 10*time.Second); in != 1000 {
			t.Errorf("peak of all %d, want 1000", in)
		}
	})
}

func TestDevelopmentLimit(t *testing.T) {
	inBubble(t, clerksim.Config{Development: true}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		for range 100 {
			c.list("")
		}
		if r := c.do("GET", "/invitations", ""); r.status != 429 {
			t.Errorf("the 101st read in development: %d", r.status)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	// One request an hour; the second comes after 20 minutes and half a second.
	const wait = 40*60*time.Second - 500*time.Millisecond
	tests := []struct {
		mode  clerksim.RetryAfter
		want  time.Duration // announced, or up to a second more
		opens time.Duration // truly
	}{
		{clerksim.RetryAfterSeconds, wait, wait},
		{clerksim.RetryAfterDate, wait, wait},
		{clerksim.RetryAfterWindow, time.Hour, time.Hour},
		{clerksim.RetryAfterShort, time.Second, wait},
		{clerksim.RetryAfterNone, 0, wait},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			cfg := clerksim.Config{
				Limits:   clerksim.Limits{Single: clerksim.Limit{N: 1, Window: time.Hour}},
				Switches: clerksim.Switches{RetryAfter: tt.mode},
			}
			inBubble(t, cfg, func(t *testing.T, _ *clerksim.Sim, c *client) {
				c.invite("first@example.com")
				later(20*time.Minute + 500*time.Millisecond)
				refused := time.Now()
				r := c.create(oneInvitation)
				got := announced(t, r.header, refused)
				if got < tt.want || got >= tt.want+time.Second {
					t.Errorf("Retry-After %q is in %v, want %v", r.header.Get("Retry-After"), got, tt.want)
				}
				later(tt.opens - time.Millisecond)
				if r := c.create(oneInvitation); r.status != 429 {
					t.Errorf("a moment too early: %d", r.status)
				}
				later(time.Millisecond)
				if r := c.create(oneInvitation); r.status != 200 {
					t.Errorf("in time: %d %s", r.status, r.body)
				}
			})
		})
	}
}

// announced is how long a Retry-After asks to wait; none is 0.
func announced(t *testing.T, h http.Header, now time.Time) time.Duration {
	t.Helper()
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return at.Sub(now)
}

// TestRefusedCount knocks on a closed door, which keeps it closed or does not.
func TestRefusedCount(t *testing.T) {
	for _, counts := range []bool{false, true} {
		cfg := clerksim.Config{
			Limits:   clerksim.Limits{Single: clerksim.Limit{N: 2, Window: time.Minute}},
			Switches: clerksim.Switches{RefusedCount: counts},
		}
		inBubble(t, cfg, func(t *testing.T, _ *clerksim.Sim, c *client) {
			c.invite("x@example.com")
			c.invite("y@example.com")
			later(50 * time.Second)
			c.create(oneInvitation)
			c.create(oneInvitation)
			later(15 * time.Second)
			if got := c.create(oneInvitation).status == 429; got != counts {
				t.Errorf("refused count %v: refused %v", counts, got)
			}
		})
	}
}

// TestSpendForeign has another program on the same key.
func TestSpendForeign(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		if got := sim.SpendForeign(clerksim.Bulk, 30); got != 25 {
			t.Errorf("admitted %d, want 25", got)
		}
		if r := c.bulk("a@example.com"); r.status != 429 {
			t.Errorf("after the other program: %d", r.status)
		}
		if in, judged := sim.Peak(clerksim.Bulk, time.Hour); in != 0 || judged != 1 {
			t.Errorf("the other program is in our peak: %d, %d", in, judged)
		}
		c.invite("a@example.com") // another endpoint is open
	})
}

func TestUnlimited(t *testing.T) {
	cfg := clerksim.Config{Limits: unlimited}
	inBubble(t, cfg, func(t *testing.T, _ *clerksim.Sim, c *client) {
		for i := range 1001 {
			c.invite(fmt.Sprintf("p%d@example.com", i))
		}
	})
}
