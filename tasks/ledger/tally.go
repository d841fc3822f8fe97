package ledger

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Move is a change of state.
type Move struct{ From, To tasks.State }

// Delivers reports whether the move says that Clerk took the invite from us. An
// invitation that somebody else has created goes from Queued (see Adopt).
func (m Move) Delivers() bool {
	return (m.From == tasks.Sending || m.From == tasks.Unknown) && m.To.Delivered()
}

// Outcome is a state that is not open, and why an invite came into it.
type Outcome struct {
	State  tasks.State
	Reason tasks.Reason // May be empty.
}

// Totals count what has happened since the ledger was made. They only grow, and
// know as many moves and reasons as there are in the code. An invite that is
// revoked after its delivery, say, counts in both outcomes.
type Totals struct {
	Moves    map[Move]int64
	Outcomes map[Outcome]int64
	Arrived  int64 // invitations that a lost call made after its invite had ended (see Call)
}

// Delivered returns how many invites Clerk has taken from us.
func (t Totals) Delivered() (n int64) {
	for m, count := range t.Moves {
		if m.Delivers() {
			n += count
		}
	}
	return n
}

// Totals reads the totals in one round trip.
func (l *Ledger) Totals(ctx context.Context) (Totals, error) {
	t := Totals{Moves: map[Move]int64{}, Outcomes: map[Outcome]int64{}}
	h, err := l.rdb.HGetAll(ctx, l.keys.of("totals")).Result()
	for field, count := range h {
		if field == arrivedField {
			t.Arrived = number(count)
		} else if m, ok := parseMove(field); ok {
			t.Moves[m] = number(count)
		} else if state, reason, ok := strings.Cut(field, ":"); ok {
			if s, err := tasks.ParseState(state); err == nil {
				t.Outcomes[Outcome{s, ReadReason(s, reason)}] += number(count)
			}
		}
	}
	return t, err
}

// Hour is what happened in an hour that begins at Start (UTC).
type Hour struct {
	Start    time.Time
	Moves    map[Move]int64                         // How invites were settled.
	Waiting  int64                                  // The most that waited at a time.
	Spent    map[Endpoint]int64                     // The most calls in one window, of single and bulk.
	Waits    Waits                                  // Of people who clicked, by when they were delivered.
	Closed   map[Endpoint]map[tasks.GateCause]int64 // How often a gate was closed.
	Versions map[string]bool                        // Of the workers that were there.
}

// note takes in a field of a day's hash.
func (h *Hour) note(what, count string) {
	kind, rest, _ := strings.Cut(what, ":")
	switch kind {
	case "waiting":
		h.Waiting = number(count)
	case "wait":
		h.Waits[int(number(rest))] += number(count)
	case "version":
		h.Versions[rest] = true
	case "single", "bulk":
		h.Spent[Endpoint(kind)] = number(count)
	case "closed":
		endpoint, cause, _ := strings.Cut(rest, ":")
		if h.Closed[Endpoint(endpoint)] == nil {
			h.Closed[Endpoint(endpoint)] = map[tasks.GateCause]int64{}
		}
		h.Closed[Endpoint(endpoint)][tasks.GateCause(cause)] += number(count)
	default:
		if m, ok := parseMove(what); ok {
			h.Moves[m] += number(count)
		}
	}
}

// Refused is how many calls Clerk has refused for their quota in the hour.
func (h Hour) Refused() (n int64) {
	for _, causes := range h.Closed {
		n += causes[tasks.CauseQuota]
	}
	return n
}

// Delivered returns how many invites Clerk took from us in the hour.
func (h Hour) Delivered() int64 { return Totals{Moves: h.Moves}.Delivered() }

// HoursKept is how far back Hours can look.
const HoursKept = 39 * 24

// Hours returns the last n hours (at most HoursKept), the oldest first; the last
// one is the hour of now, which is not over. It makes one round trip.
func (l *Ledger) Hours(ctx context.Context, now time.Time, n int) ([]Hour, error) {
	n = min(n, HoursKept)
	last := l.at(now).UTC().Truncate(time.Hour)
	first := last.Add(-time.Duration(n-1) * time.Hour)
	hours := make([]Hour, n)
	for i := range hours {
		hours[i] = Hour{
			Start: first.Add(time.Duration(i) * time.Hour), Moves: map[Move]int64{}, Spent: map[Endpoint]int64{}, Waits: Waits{},
			Closed: map[Endpoint]map[tasks.GateCause]int64{}, Versions: map[string]bool{},
		}
	}
	pipe := l.rdb.Pipeline()
	days := map[int64]*redis.MapStringStringCmd{}
	const day = 24 * int64(time.Hour/time.Second)
	for d := first.Unix() / day; d <= last.Unix()/day; d++ {
		days[d] = pipe.HGetAll(ctx, l.keys.of("day")+strconv.FormatInt(d, 10))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for d, cmd := range days {
		for field, count := range cmd.Val() {
			hour, what, _ := strings.Cut(field, ":")
			start := time.Unix(d*day, 0).Add(time.Duration(number(hour)) * time.Hour)
			i := int(start.Sub(first) / time.Hour)
			if !start.Before(first) && i < n {
				hours[i].note(what, count)
			}
		}
	}
	return hours, nil
}

func parseMove(s string) (Move, bool) {
	from, to, ok := strings.Cut(s, ">")
	if !ok {
		return Move{}, false
	}
	f, err1 := tasks.ParseState(from)
	t, err2 := tasks.ParseState(to)
	return Move{f, t}, err1 == nil && err2 == nil
}
