package reconcile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// manyAtClerk is a list of invitations that nobody has to hold in memory.
type manyAtClerk struct {
	n      int
	status clerk.Status
	made   time.Time
}

func (m *manyAtClerk) List(_ context.Context, o clerk.ListOptions) (clerk.Page, error) {
	p := clerk.Page{Total: int64(m.n)}
	for at := o.Offset; at < min(m.n, o.Offset+o.Limit); at++ {
		number := m.n - at
		if o.OrderBy == "+created_at" {
			number = at + 1
		}
		when := m.made.Add(time.Duration(number-m.n) * time.Second)
		p.Data = append(p.Data, clerk.Invitation{
			ID: fmt.Sprintf("inv_%d", number), EmailAddress: fmt.Sprintf("p%d@example.com", number), Status: m.status, CreatedAt: when, UpdatedAt: when,
		})
	}
	return p, nil
}

func (m *manyAtClerk) Revoke(context.Context, string) (clerk.Invitation, error) {
	return clerk.Invitation{}, errors.New("nobody is to be revoked")
}

// deliveries admits an invite, claims it and settles it, again and again until ctx ends,
// and returns how long each took.
func deliveries(ctx context.Context, b *testing.B, l *ledger.Ledger) (took []time.Duration) {
	b.Helper()
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		i := tasks.Invite{ID: fmt.Sprintf("click-%d-%d", began.UnixNano(), n), EmailAddress: email(b, fmt.Sprintf("click%d@example.org", n))}
		_, _, err := l.Admit(b.Context(), ledger.Now, []tasks.Invite{i})
		if err != nil {
			b.Error(err)
			return took
		}
		turn, err := l.Turn(b.Context(), ledger.Now, tasks.NewID("turn"))
		if err != nil || len(turn.Batch) != 1 {
			b.Error(len(turn.Batch), err)
			return took
		}
		_, err = l.SettleTurn(b.Context(), ledger.Now, turn, ledger.Ending{Token: ledger.StampToken, Members: []ledger.Settlement{{
			ID: i.ID, Turn: turn.ID, To: tasks.Pending, InvitationID: "inv_" + i.ID,
		}}})
		if err != nil {
			b.Error(err)
			return took
		}
		took = append(took, time.Since(began))
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return took
}

// BenchmarkUpkeep keeps a ledger of a million: how long a delivery takes meanwhile. Passes
// read at their share of Clerk's published limit.
func BenchmarkUpkeep(b *testing.B) {
	n := 1_000_000
	if text := os.Getenv("INVITEQ_UPKEEP"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	for b.Loop() {
		rdb := redistest.Start(b).Client(b)
		l, err := ledger.Open(b.Context(), rdb, ledger.Config{})
		if err != nil {
			b.Fatal(err)
		}
		reader, err := ledger.Open(b.Context(), rdb, ledger.Config{Limits: ledger.Limits{Other: ledger.ClerkLimits.Other}})
		if err != nil {
			b.Fatal(err)
		}
		list := &manyAtClerk{n, clerk.Pending, time.Now().Add(-48 * time.Hour)}
		pass := func(l *ledger.Ledger, adopt bool) error {
			r, err := (&Pass{Ledger: l, Clerk: list, Full: true, Adopt: adopt}).Run(b.Context())
			if err == nil && (!r.Agreed || r.Scanned != n) {
				err = fmt.Errorf("the pass scanned %d of %d", r.Scanned, n)
			}
			return err
		}
		if err := pass(l, true); err != nil {
			b.Fatal(err)
		}
		var quiet []time.Duration
		for _, beside := range []struct {
			name string
			keep func() error
		}{
			{"nothing", func() error { <-time.After(10 * time.Second); return nil }},
			{"a full reconciliation: both sides agree", func() error { return pass(reader, false) }},
			{"... everybody has signed up, and is settled", func() error { list.status = clerk.Accepted; return pass(reader, false) }},
			{"trimming a tenth of them", func() error {
				for gone := 0; gone < n/10; { // As the worker does it.
					some, err := l.Trim(b.Context(), time.Now().Add(time.Hour), time.Hour, 200)
					if err != nil || some == 0 {
						return fmt.Errorf("%d are gone: %w", gone, err)
					}
					gone += some
					<-time.After(50 * time.Millisecond)
				}
				return nil
			}},
		} {
			ctx, stop := context.WithCancel(b.Context())
			all := make(chan []time.Duration)
			go func() { all <- deliveries(ctx, b, l) }()
			began := time.Now()
			err := beside.keep()
			took := time.Since(began)
			stop()
			got := <-all
			if err != nil {
				b.Fatalf("%s: %v", beside.name, err)
			}
			slices.Sort(got)
			if len(got) < 100 && n > 100_000 {
				b.Fatalf("%s: %d deliveries", beside.name, len(got))
			}
			if quiet == nil {
				quiet = got
			}
			half, most := got[len(got)/2], got[len(got)*99/100]
			row := report.Row{
				Part: "upkeep of a million (real Redis): a delivery's Redis time beside it", What: beside.name,
				Ours:   fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", ms(half), ms(most)),
				Ratio:  fmt.Sprintf("%.2f×, %.2f×", ms(half)/ms(quiet[len(quiet)/2]), ms(most)/ms(quiet[len(quiet)*99/100])),
				Beside: []report.Reference{{Name: "it took", Value: took.Round(100 * time.Millisecond).String()}},
			}
			if err := report.Add(row); err != nil {
				b.Fatal(err)
			}
			b.Log(row)
		}
		_ = l.Redis().Close()
		b.ReportMetric(0, "ns/op")
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
