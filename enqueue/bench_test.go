package enqueue_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/seal"
)

// Each round times a bare asynq client that enqueues the same invites, and then ours,
// on the same Redis: a busy machine slows both, and the median of the rounds
// counts, so that a hiccup on one side does not. `make bench` judges the ratios.

// BenchmarkInvite compares one caller with one caller.
func BenchmarkInvite(b *testing.B) {
	compare(b, rival{"Invite", 100, 1, 0.6, enqueueBare}, oneByOne)
}

// BenchmarkInviteOwnID compares callers who name their invites.
func BenchmarkInviteOwnID(b *testing.B) {
	compare(b, rival{"Invite with an id of the caller's", 100, 1, 0.5, enqueueBare}, func(b *testing.B, s side, invites []tasks.Invite) {
		for n := range invites {
			invites[n].ID = tasks.NewID("own")
		}
		oneByOne(b, s, invites)
	})
}

// BenchmarkInviteParallel compares many callers at once with as many.
func BenchmarkInviteParallel(b *testing.B) {
	callers := 4 * runtime.GOMAXPROCS(0)
	compare(b, rival{fmt.Sprintf("Invite, %d callers at once", callers), 50 * callers, callers, 0.5, enqueueBare}, oneByOne)
}

// BenchmarkBulkInvite compares a list with asynq's own script in pipelines of a hundred,
// which is what asynq's batch of tasks does once it is released.
func BenchmarkBulkInvite(b *testing.B) {
	compare(b, rival{"BulkInvite", 5000, 1, 1.3, enqueueBatches}, bulkAtOnce)
}

func bulkAtOnce(b *testing.B, s side, invites []tasks.Invite) {
	r, err := s.BulkInvite(b.Context(), listOf(invites), enqueue.BulkOptions{})
	if err != nil || r.Admitted != len(invites) || r.TaskErr != nil {
		b.Error(r.Admitted, err, r.TaskErr)
	}
}

func oneByOne(b *testing.B, s side, invites []tasks.Invite) {
	for _, i := range invites {
		if r, err := s.Invite(b.Context(), i); err != nil || r.TaskErr != nil {
			b.Error(err, r.TaskErr)
		}
	}
}

// BenchmarkInviteEncrypted compares a ledger that is encrypted with one that is not: to
// accept, and to claim and settle.
func BenchmarkInviteEncrypted(b *testing.B) {
	keys, err := seal.ParseKeys(strings.Repeat("0123456789abcdef", 4))
	if err != nil {
		b.Fatal(err)
	}
	open, sealed := newSide(b), sideWith(b, redistest.Shared(b), redistest.Shared(b), keys)
	for _, c := range []struct {
		what string
		n    int
		do   func(*testing.B, side, []tasks.Invite)
	}{
		{"Invite, encrypted", 200, oneByOne},
		{"BulkInvite, encrypted", 5000, bulkAtOnce},
		{"turns and settling, encrypted", 2000, func(b *testing.B, s side, _ []tasks.Invite) {
			for range 200 {
				turn, err := s.ledger.Turn(b.Context(), ledger.Now, tasks.NewID("turn"))
				if err != nil || len(turn.Batch) == 0 {
					b.Fatal(len(turn.Batch), err)
				}
				var members []ledger.Settlement
				for _, r := range turn.Batch {
					members = append(members, ledger.Settlement{ID: r.Invite.ID, Turn: r.Turn, To: tasks.Pending, InvitationID: tasks.NewID("inv")})
				}
				if _, err := s.ledger.SettleTurn(b.Context(), ledger.Now, turn, ledger.Ending{Token: ledger.StampToken, Members: members}); err != nil {
					b.Fatal(err)
				}
			}
		}},
	} {
		b.Run(c.what, func(b *testing.B) {
			var openTimes, sealedTimes, ratios []float64
			for b.Loop() {
				one, other := people(b, c.n, fmt.Sprint(c.what[:4], len(ratios))), people(b, c.n, fmt.Sprint(c.what[:4], len(ratios)))
				o := timed(1, one, func(all []tasks.Invite) { c.do(b, open, all) })
				s := timed(1, other, func(all []tasks.Invite) { c.do(b, sealed, all) })
				openTimes, sealedTimes, ratios = append(openTimes, o), append(sealedTimes, s), append(ratios, o/s)
			}
			ratio, mine, its := median(ratios), float64(c.n)/median(sealedTimes), float64(c.n)/median(openTimes)
			b.ReportMetric(ratio, "x-open")
			b.ReportMetric(0, "ns/op") // It would be that of both together.
			row := report.Row{
				Part: "enqueue (real Redis)", What: c.what, Ours: fmt.Sprintf("%.0f/s", mine), Ratio: fmt.Sprintf("%.2f×", ratio),
				Beside: []report.Reference{{Name: "not encrypted", Value: fmt.Sprintf("%.0f/s", its)}},
			}
			if err := report.Add(row.AtLeast(ratio, 0.85, "%.2f×")); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// rival is a comparison with a bare asynq client.
type rival struct {
	what    string
	n       int // invites a round
	callers int // among whom they are split
	floor   float64
	bare    func(testing.TB, *redis.Client, []tasks.Invite)
}

// compare times rounds: first bare, then ours.
func compare(b *testing.B, c rival, ours func(*testing.B, side, []tasks.Invite)) {
	s := newSide(b)
	warm := people(b, c.n, "warm")
	ours(b, s, warm) // Scripts are loaded, connections made.
	c.bare(b, s.rdb, warm)

	var bareTimes, ourTimes, ratios []float64
	for b.Loop() {
		invites := people(b, c.n, fmt.Sprint(len(ratios)))
		bareTime := timed(c.callers, invites, func(part []tasks.Invite) { c.bare(b, s.rdb, part) })
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
		Beside: []report.Reference{{Name: "bare asynq", Value: fmt.Sprintf("%.0f/s", its)}},
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

func enqueueBare(b testing.TB, rdb *redis.Client, invites []tasks.Invite) {
	enqueueOver(b, rdb, invites)
}

func enqueueOver(b testing.TB, rdb redis.UniversalClient, invites []tasks.Invite) {
	c := asynq.NewClientFromRedisClient(rdb)
	for n := range invites {
		task := asynq.NewTask(tasks.TypeCreate, tasks.Create{Invite: &invites[n]}.Encode())
		if _, err := c.EnqueueContext(b.Context(), task, asynq.Queue("bare")); err != nil {
			b.Error(err)
		}
	}
}

// batch is a connection that keeps what asynq's client calls for a pipeline.
type batch struct {
	*redis.Client
	pipe redis.Pipeliner
}

func (c batch) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	c.pipe.EvalSha(ctx, sha, keys, args...)
	answer := redis.NewCmd(ctx)
	answer.SetVal(int64(1))
	return answer
}

func enqueueBatches(b testing.TB, rdb *redis.Client, invites []tasks.Invite) {
	enqueueBare(b, rdb, invites[:1]) // The script is loaded, and the queue known.
	for some := range slices.Chunk(invites[1:], 100) {
		pipe := rdb.Pipeline()
		enqueueOver(b, batch{rdb, pipe}, some)
		cmds, err := pipe.Exec(b.Context())
		if err != nil {
			b.Error(err)
		}
		for _, c := range cmds {
			if n, err := c.(*redis.Cmd).Int(); n != 1 || err != nil {
				b.Error(n, err)
			}
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
