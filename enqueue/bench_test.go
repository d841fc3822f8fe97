package enqueue_test

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
)

// Each round times a bare asynq.Client.Enqueue of the same invites, and then ours,
// on the same Redis: a busy machine slows both, and the median of the rounds
// counts, so that a hiccup on one side does not. `make bench` judges the ratios.

// BenchmarkInvite compares one caller with one caller.
func BenchmarkInvite(b *testing.B) {
	compare(b, rival{"Invite", 100, 1, 0.45}, oneByOne)
}

// BenchmarkInviteOwnID compares callers who name their invites, which takes two
// round trips.
func BenchmarkInviteOwnID(b *testing.B) {
	compare(b, rival{"Invite with an id of the caller's", 100, 1, 0.45}, func(b *testing.B, s side, invites []tasks.Invite) {
		for n := range invites {
			invites[n].ID = tasks.NewID("own")
		}
		oneByOne(b, s, invites)
	})
}

// BenchmarkInviteParallel compares many callers at once with as many.
func BenchmarkInviteParallel(b *testing.B) {
	callers := 4 * runtime.GOMAXPROCS(0)
	compare(b, rival{fmt.Sprintf("Invite, %d callers at once", callers), 50 * callers, callers, 0.45}, oneByOne)
}

// BenchmarkBulkInvite compares a list with a loop over it.
func BenchmarkBulkInvite(b *testing.B) {
	compare(b, rival{"BulkInvite", 5000, 1, 3}, func(b *testing.B, s side, invites []tasks.Invite) {
		r, err := s.BulkInvite(b.Context(), listOf(invites), enqueue.BulkOptions{})
		if err != nil || r.Admitted != len(invites) || r.TaskErr != nil {
			b.Error(r.Admitted, err, r.TaskErr)
		}
	})
}

func oneByOne(b *testing.B, s side, invites []tasks.Invite) {
	for _, i := range invites {
		if r, err := s.Invite(b.Context(), i); err != nil || r.TaskErr != nil {
			b.Error(err, r.TaskErr)
		}
	}
}

// rival is a comparison with a bare asynq client.
type rival struct {
	what    string
	n       int // invites a round
	callers int // among whom they are split
	floor   float64
}

// compare times rounds: first bare, then ours.
func compare(b *testing.B, c rival, ours func(*testing.B, side, []tasks.Invite)) {
	s := newSide(b)
	bare := asynq.NewClientFromRedisClient(s.rdb)
	warm := people(b, c.n, "warm")
	ours(b, s, warm) // Scripts are loaded, connections made.
	enqueueBare(b, bare, warm)

	var bareTimes, ourTimes, ratios []float64
	for b.Loop() {
		invites := people(b, c.n, fmt.Sprint(len(ratios)))
		bareTime := timed(c.callers, invites, func(part []tasks.Invite) { enqueueBare(b, bare, part) })
		ourTime := timed(c.callers, invites, func(part []tasks.Invite) { ours(b, s, part) })
		bareTimes, ourTimes = append(bareTimes, bareTime), append(ourTimes, ourTime)
		ratios = append(ratios, bareTime/ourTime)
	}
	ratio, mine, its := median(ratios), float64(c.n)/median(ourTimes), float64(c.n)/median(bareTimes)
	b.ReportMetric(ratio, "x-bare")
	b.ReportMetric(mine, "invites/s")
	b.ReportMetric(its, "bare/s")
	b.ReportMetric(0, "ns/op") // It would be that of both together.
	row := report.Row{
		Part: "enqueue (real Redis)", What: c.what, Ours: fmt.Sprintf("%.0f/s", mine), Ratio: fmt.Sprintf("%.2f×", ratio),
		Beside: []report.Reference{{Name: "bare asynq.Client.Enqueue", Value: fmt.Sprintf("%.0f/s", its)}},
	}
	if err := report.Add(row.AtLeast(ratio, c.floor, "%.2f×")); err != nil {
		b.Fatal(err)
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// timed runs f on equal parts, one for each caller, and returns the seconds.
func timed(callers int, invites []tasks.Invite, f func([]tasks.Invite)) float64 {
	runtime.GC() // Each side pays for its own garbage.
	done := make(chan struct{})
	start := time.Now()
	size := len(invites) / callers
	for n := range callers {
		go func() {
			f(invites[n*size : (n+1)*size])
			done <- struct{}{}
		}()
	}
	for range callers {
		<-done
	}
	return time.Since(start).Seconds()
}

func enqueueBare(b testing.TB, c *asynq.Client, invites []tasks.Invite) {
	for n := range invites {
		task := asynq.NewTask(tasks.TypeCreate, tasks.Create{Invite: &invites[n]}.Encode())
		if _, err := c.EnqueueContext(b.Context(), task, asynq.Queue("bare")); err != nil {
			b.Error(err)
		}
	}
}

// people makes invites with 300 bytes of metadata each.
func people(tb testing.TB, n int, round string) []tasks.Invite {
	tb.Helper()
	invites := make([]tasks.Invite, n)
	for i := range invites {
		invites[i] = tasks.Invite{
			EmailAddress: email(tb, fmt.Sprintf("person-%d-%s@example.com", i, round)),
			PublicMetadata: fmt.Appendf(nil, `{"plan":"pro","team":"analytics","seats":12,"beta":true,"invited_by":"user_%025d","note":"%s"}`,
				i, strings.Repeat("lorem ipsum ", 16)),
		}
	}
	return invites
}

func listOf(invites []tasks.Invite) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for _, i := range invites {
			if !yield(i, nil) {
				return
			}
		}
	}
}
