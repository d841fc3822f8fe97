package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// reads counts what a list costs: records that are read, and round trips.
type reads struct{ records, trips int }

func (c *reads) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *reads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.trips++
		c.count(cmd)
		return next(ctx, cmd)
	}
}

func (c *reads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.trips++
		for _, cmd := range cmds {
			c.count(cmd)
		}
		return next(ctx, cmds)
	}
}

func (c *reads) count(cmd redis.Cmder) {
	switch cmd.Name() {
	case "hmget":
		c.records += len(cmd.Args()) - 2
	case "hget":
		c.records++
	}
}

// readings are the lists, pages and commands, as the API, the command line and the
// pages read them.
var readings = []struct {
	name string
	read func(ctx context.Context, l *Ledger) error
}{
	{"GET /v1/invitations?limit=1", func(ctx context.Context, l *Ledger) error { return browsed(l.Browse(ctx, newestOf(1, shownStates...))) }},
	{"GET /v1/invitations, a page of 100", func(ctx context.Context, l *Ledger) error {
		return browsed(l.Browse(ctx, newestOf(100, shownStates...)))
	}},
	{"... of revoked ones, of which there are none", func(ctx context.Context, l *Ledger) error {
		return browsed(l.Browse(ctx, newestOf(100, tasks.Revoked)))
	}},
	{"inviteq list, queued or pending", func(ctx context.Context, l *Ledger) error {
		for _, s := range []tasks.State{tasks.Queued, tasks.Pending} {
			if _, err := l.ListState(ctx, s, "", 100); err != nil {
				return err
			}
		}
		return nil
	}},
	{"inviteq list --import-id", func(ctx context.Context, l *Ledger) error {
		_, err := l.ListImport(ctx, "imp", "", 100)
		return err
	}},
	{"... --state failed, of which there are none", func(ctx context.Context, l *Ledger) error {
		_, err := l.ListImport(ctx, "imp", "", 100, tasks.Failed)
		return err
	}},
	{"... --state rejected, of which there are 7", func(ctx context.Context, l *Ledger) error {
		page, err := l.ListImport(ctx, "imp", "", 100, tasks.Rejected)
		if err == nil && len(page.Records) != rejectedRows {
			return fmt.Errorf("got %d", len(page.Records))
		}
		return err
	}},
	{"inviteq status ADDRESS", func(ctx context.Context, l *Ledger) error {
		e, err := tasks.ParseEmail("row500@example.com")
		if err != nil {
			return err
		}
		return browsed(l.FindAddress(ctx, e))
	}},
	{"inviteq status IMPORT", func(ctx context.Context, l *Ledger) error {
		i, err := l.Import(ctx, "imp")
		if err != nil {
			return err
		}
		_, err = l.ImportETA(ctx, start, i)
		return err
	}},
	{"inviteq status, the status page", func(ctx context.Context, l *Ledger) error {
		_, err := l.Overview(ctx, start)
		return err
	}},
	{"a chunk's task", func(ctx context.Context, l *Ledger) error {
		ids, err := l.Members(ctx, tasks.BulkCreate{ImportID: "imp", From: 400, Count: 100})
		if err != nil {
			return err
		}
		return browsed(l.Get(ctx, ids...))
	}},
}

// shownStates are those that GET /v1/invitations shows unless it is asked for others.
var shownStates = []tasks.State{tasks.Queued, tasks.Sending, tasks.Unknown, tasks.Pending, tasks.Accepted, tasks.Expired}

const rejectedRows = 7

func newestOf(n int, states ...tasks.State) Browsing {
	return Browsing{States: states, Descending: true, Limit: n}
}

func browsed(_ []Record, err error) error { return err }

// rejectSome ends a few rows in the middle of the import.
func rejectSome(t testing.TB, l *Ledger) {
	t.Helper()
	tn := turn(t, l, start)
	var members []Settlement
	for n, r := range tn.Batch {
		s := Settlement{ID: r.Invite.ID, Turn: tn.ID, To: tasks.Queued}
		if n < rejectedRows {
			s.To = tasks.Rejected
		}
		members = append(members, s)
	}
	if _, err := l.SettleTurn(t.Context(), start, tn, Ending{Members: members}); err != nil {
		t.Fatal(err)
	}
}

// costs measures every reading.
func costs(t testing.TB, l *Ledger, c *reads) (all []reads, times []time.Duration) {
	t.Helper()
	for _, one := range readings {
		*c = reads{}
		begin := time.Now()
		if err := one.read(t.Context(), l); err != nil {
			t.Fatalf("%s: %v", one.name, err)
		}
		all, times = append(all, *c), append(times, time.Since(begin))
	}
	return all, times
}

func counted(t testing.TB) (*Ledger, *reads) {
	t.Helper()
	l, err := Open(t.Context(), redistest.Start(t).Client(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	hook := &reads{}
	l.Redis().AddHook(hook)
	return l, hook
}

// TestReadingCostsWhatItReturns: four times as many invites, waiting or delivered, and
// a list takes no more reads.
func TestReadingCostsWhatItReturns(t *testing.T) {
	type kind struct {
		name string
		fill func(l *Ledger, n int)
	}
	for _, k := range []kind{
		{"waiting", func(l *Ledger, n int) { fill(t, l, 0, n) }},
		{"delivered", func(l *Ledger, n int) {
			fill(t, l, 0, n)
			deliverAll(t, l)
		}},
	} {
		var few []reads
		for _, n := range []int{1000, 4000} {
			l, hook := counted(t)
			fill(t, l, n, 20)
			rejectSome(t, l)
			k.fill(l, n)
			got, _ := costs(t, l, hook)
			for i, c := range got {
				if few != nil && (float64(c.records) > 1.5*float64(max(few[i].records, 10)) || float64(c.trips) > 1.5*float64(few[i].trips)) {
					t.Errorf("%s, %s: %d records and %d round trips at %d, %d and %d at 1000", k.name, readings[i].name, c.records, c.trips, n, few[i].records, few[i].trips)
				}
			}
			few = got
		}
	}
}

// deliverAll delivers what waits.
func deliverAll(t testing.TB, l *Ledger) {
	t.Helper()
	for {
		tn := turn(t, l, start)
		if len(tn.Batch) == 0 {
			return
		}
		delivered(t, l, start, tn)
	}
}

// BenchmarkReading is the same at a thousand, a hundred thousand and a million.
func BenchmarkReading(b *testing.B) {
	for b.Loop() {
		for _, state := range []string{"waiting", "delivered"} {
			var few []reads
			for _, n := range []int{1000, 100_000, 1_000_000} {
				l, hook := counted(b)
				fill(b, l, n, 20)
				rejectSome(b, l)
				fill(b, l, 0, n)
				if state == "delivered" {
					deliverAll(b, l)
				}
				got, times := costs(b, l, hook)
				for i, c := range got {
					if few == nil {
						continue
					}
					ratio := max(float64(c.records)/float64(max(few[i].records, 10)), float64(c.trips)/float64(few[i].trips))
					row := report.Row{
						Part: "reading (real Redis): records, round trips", What: fmt.Sprintf("%s, %d k %s", readings[i].name, n/1000, state),
						Ours: fmt.Sprintf("%d, %d (%.1f ms)", c.records, c.trips, float64(times[i].Microseconds())/1000), Ratio: fmt.Sprintf("%.2f×", ratio),
						Beside: []report.Reference{{Name: "at 1 k", Value: fmt.Sprintf("%d, %d", few[i].records, few[i].trips)}},
					}.AtMost(ratio, 1.5, "%.1f×")
					if err := report.Add(row); err != nil {
						b.Fatal(err)
					}
					b.Log(row)
				}
				if few == nil {
					few = got
				}
				_ = l.Redis().Close()
			}
		}
		b.ReportMetric(0, "ns/op")
	}
}
