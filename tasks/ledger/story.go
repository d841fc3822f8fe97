package ledger

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// Story is what a person wants to know of one invite.
type Story struct {
	Record  Record
	Owner   string // Who asked; "" if that is not known.
	Import  Import // Without an id if it belongs to none.
	Row     int    // Its place in the import, from 1; 0 if that is not known.
	Moments []Moment
	Whole   bool      // Every change is among the moments: none is too old to be kept.
	ETA     time.Time // While it is queued: when it goes, at the current rate. Zero: there is no telling.
	Waits   string    // While it is queued: what it waits for, in words.
}

// Moment is something that has happened to an invite.
type Moment struct {
	At    time.Time
	State tasks.State  // In which it was afterwards.
	What  string       // In words: a sentence.
	Why   tasks.Reason // May be empty.
}

// Story tells what has happened to an invite, and what comes next. It makes some thirty
// round trips, whatever the ledger holds. The error is ErrNotFound if it has no such
// invite.
func (l *Ledger) Story(ctx context.Context, now time.Time, id string) (Story, error) {
	r, err := l.Read(ctx, id)
	if err != nil {
		return Story{}, err
	}
	s := Story{Record: r}
	trail, whole, err := l.Trail(ctx, s.Record)
	if err != nil {
		return s, err
	}
	if s.Owner, err = l.rdb.HGet(ctx, l.keys.of("owner"), id).Result(); ignoreNil(err) != nil {
		return s, err
	}
	err = nil
	if in := s.Record.Invite.ImportID; in != "" {
		if s.Import, err = l.Import(ctx, in); err != nil && !errors.Is(err, ErrNotFound) {
			return s, err
		}
		if s.Owner == "" {
			s.Owner = s.Import.Owner
		}
		if s.Row, err = l.rowOf(ctx, s.Record, s.Import.Total); err != nil {
			return s, err
		}
	}
	s.Whole = whole
	s.Moments = momentsOf(s.Record, trail)
	if s.Record.State == tasks.Queued {
		err = l.outlookOf(ctx, now, &s)
	}
	return s, err
}

// momentsOf puts the changes into words, behind the admission. Of a record whose
// changes are not kept the last one is known all the same.
func momentsOf(r Record, trail []tasks.Event) []Moment {
	all := []Moment{{At: r.CreatedAt, State: tasks.Queued, What: "Accepted by inviteq."}}
	if len(trail) == 0 && r.Version > 0 {
		if !r.SentAt.IsZero() && r.SentAt.Before(r.UpdatedAt) {
			all = append(all, Moment{At: r.SentAt, State: tasks.Sending, What: whatHappened(tasks.Queued, tasks.Sending, "")})
		}
		return append(all, Moment{At: r.UpdatedAt, State: r.State, What: r.State.Entry().Means, Why: r.Reason})
	}
	for _, e := range trail {
		from, err := tasks.ParseState(e.From)
		to, err2 := tasks.ParseState(e.To)
		if err == nil && err2 == nil {
			m := Moment{At: e.At, State: to, What: whatHappened(from, to, e.Reason), Why: e.Reason}
			if m.Why == tasks.ReasonQueuedByHand || m.Why == tasks.ReasonSeenAtClerk || m.Why == tasks.ReasonAlreadyAtClerk {
				m.Why = "" // The sentence says it.
			}
			all = append(all, m)
		}
	}
	return all
}

// whatHappened says what a change was to a person who does not know the protocol.
func whatHappened(from, to tasks.State, why tasks.Reason) string {
	switch {
	case why == tasks.ReasonAdopted:
		return "Found at Clerk, and taken into the ledger."
	case why == tasks.ReasonSeenAtClerk:
		return "A comparison with Clerk's list has seen it: " + to.String() + "."
	case why == tasks.ReasonAlreadyAtClerk:
		return "Looked up at Clerk and found: " + to.String() + "."
	case to == tasks.Sending:
		return "Its turn came: a call to Clerk was begun."
	case to == tasks.Pending && from == tasks.Sending:
		return "Sent: Clerk answered that it has made the invitation."
	case to == tasks.Pending:
		return "Clerk has the invitation."
	case to == tasks.Unknown && why == tasks.ReasonChecking:
		return "To be looked up at Clerk before anything else."
	case to == tasks.Unknown:
		return "The call got no clear answer: to be looked up at Clerk."
	case to == tasks.Queued && from == tasks.Unknown:
		return "Looked up at Clerk and not found: queued again."
	case to == tasks.Queued && from == tasks.Sending:
		return "Clerk did not take it for now: queued again, in its place."
	case to == tasks.Queued:
		return "Queued again by a person."
	case to == tasks.Canceled:
		return "Canceled before it was sent."
	case to == tasks.Revoked:
		return "Revoked at Clerk."
	case to == tasks.Rejected:
		return "Clerk refused it for good."
	case to == tasks.Parked:
		return "Put aside for a person to decide."
	}
	return to.Entry().Means
}

// rowOf finds an invite in the list of its import, which stands in the order of
// admission: 0 if it is not where it should be.
func (l *Ledger) rowOf(ctx context.Context, r Record, total int64) (int, error) {
	var failed error
	at := func(i int) (ids []string) {
		if failed == nil {
			ids, failed = l.Members(ctx, tasks.BulkCreate{ImportID: r.Invite.ImportID, From: i, Count: 1})
		}
		return ids
	}
	i := sort.Search(int(total), func(i int) bool {
		ids := at(i)
		if failed != nil || len(ids) == 0 {
			return true
		}
		records, err := l.Get(ctx, ids...)
		if err != nil || len(records) == 0 {
			failed = err
			return failed != nil
		}
		return records[0].Position >= r.Position
	})
	if ids := at(i); len(ids) > 0 && ids[0] == r.Invite.ID {
		return i + 1, failed
	}
	return 0, failed
}

// outlookOf says when a queued invite goes, and why then.
func (l *Ledger) outlookOf(ctx context.Context, now time.Time, s *Story) error {
	r := s.Record
	etas, err := l.ETAs(ctx, now, r)
	if err != nil {
		return err
	}
	o, err := l.recent(ctx, l.at(now))
	if err != nil {
		return err
	}
	s.ETA = etas[0]
	kind := "wait"
	if r.Solo {
		kind = "solo"
	}
	ahead, err := l.rdb.ZRank(ctx, l.keys.of(fmt.Sprint(kind, int(r.Invite.Lane))), r.Invite.ID).Result()
	if ignoreNil(err) != nil {
		return err
	}
	_, paused := o.Paused[r.Invite.Lane]
	switch standing := s.Import.Standing(); {
	case s.Import.ID != "" && standing == tasks.ImportPaused:
		s.Waits = "Its import is paused, until a person resumes it."
	case s.Import.ID != "" && standing == tasks.ImportHeld:
		s.Waits = "Its import is held, so that it can still be taken back."
	case s.Import.ID != "" && standing == tasks.ImportRevoking:
		s.Waits = "Its import is being revoked."
	case paused:
		s.Waits = fmt.Sprintf("The %s lane is paused, until a person resumes it.", r.Invite.Lane)
	case o.Closed.Closed():
		s.Waits = "Nothing is sent. " + o.Closed.Why.Entry().String()
	case o.NoClerk:
		s.Waits = o.Outage()
	case !o.Moves(r.Invite.Lane):
		s.Waits = "No worker is running for this instance."
	case r.ReadyAt.After(o.At) && r.Reason == "":
		s.Waits = "It was asked for not before that time."
	case r.ReadyAt.After(o.At):
		s.Waits = "It is tried again then. " + r.Reason.Entry().Means
	default:
		single, bulk := o.Quotas[Single], o.Quotas[Bulk]
		s.Waits = fmt.Sprintf("%d wait before it in the %s lane. Clerk allows %s more single calls and %s more bulk calls in this window.",
			ahead, r.Invite.Lane, left(single), left(bulk))
		if ahead < int64(single.Free()+bulk.Free()*o.BulkNow()) && s.ETA.Sub(o.At) > 2*time.Second {
			s.Waits += " They are spaced, so that they last for those who come later."
		}
	}
	return nil
}

// left is how many calls a quota still allows, in words.
func left(q Quota) string {
	if q.Limit.Calls == 0 {
		return "any number of"
	}
	return fmt.Sprint(q.Free())
}
