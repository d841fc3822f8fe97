package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/cmd/bench/report"
	"github.com/inviteq/inviteq/tasks"
)

// sentInOrder takes turns without limits until nothing waits, and returns which
// queue each invite came from, in the order in which they were claimed.
func sentInOrder(t testing.TB, l *Ledger, now time.Time, most int, of func(Record) string) []string {
	t.Helper()
	var order []string
	for len(order) < most {
		turn, err := l.Turn(t.Context(), now, tasks.NewID("turn"))
		if err != nil {
			t.Fatal(err)
		}
		if len(turn.Batch) == 0 {
			t.Fatalf("nothing can be sent after %d of %d: %s", len(order), most, turn.Why)
		}
		for _, r := range turn.Batch {
			order = append(order, of(r))
		}
	}
	return order
}

func admitList(t testing.TB, l *Ledger, now time.Time, id string, n int) {
	t.Helper()
	invites := make([]tasks.Invite, n)
	for i := range invites {
		invites[i] = invite(t, fmt.Sprintf("%s-%d@example.com", id, i))
		invites[i].ID = fmt.Sprintf("%s-%d", id, i)
		invites[i].Lane, invites[i].ImportID, invites[i].Row = tasks.Import, id, i+2
	}
	for len(invites) > 0 {
		k := min(len(invites), tasks.ChunkSize)
		if _, _, err := l.Admit(t.Context(), now, invites[:k]); err != nil {
			t.Fatal(err)
		}
		invites = invites[k:]
	}
}

func listOf(r Record) string { return r.Invite.ImportID }

// TestShortListBesideALongOne: the last of 20 rows leaves within twice the time that
// they take alone, and the long list loses nothing by it.
func TestShortListBesideALongOne(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	now := start
	admitList(t, l, now, "long", 1500)
	sentInOrder(t, l, now, 300, listOf)
	if before, err := l.Before(t.Context(), tasks.Import, 20); err != nil || before != 20 {
		t.Errorf("%d go before the last of a new list of 20, want 20: %v", before, err)
	}
	admitList(t, l, now, "short", 20)
	admitList(t, l, now, "long", 1700) // the first 1,500 are known; the rest stands behind them
	order := sentInOrder(t, l, now, 1400+20, listOf)
	last, long := 0, 0
	for i, from := range order {
		if from == "short" {
			last = i + 1
		} else {
			long++
		}
	}
	if last > 40 || long != 1400 {
		t.Errorf("the last of the short list went as number %d, want 40 at most; of the long one %d went, want 1400", last, long)
	}
}

// TestTenListsTakeTurns: as long as all of them wait, each has as many rows sent.
func TestTenListsTakeTurns(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	now := start
	for i := range 10 {
		admitList(t, l, now, fmt.Sprintf("list%d", i), 40+60*i)
	}
	index, lists := jain(sentInOrder(t, l, now, 400, listOf)) // while the shortest, of 40, waits
	if index < 0.95 || lists != 10 {
		t.Errorf("Jain's index of %d lists is %.3f, want 0.95", lists, index)
	}
}

// jain is Jain's index of what was sent of ten lists, and of how many anything was.
func jain(order []string) (index float64, lists int) {
	sent := map[string]float64{}
	for _, from := range order {
		sent[from]++
	}
	sum, squares := 0.0, 0.0
	for _, n := range sent {
		sum, squares = sum+n, squares+n*n
	}
	return sum * sum / (10 * squares), len(sent)
}

// BenchmarkFairness puts the figures of lists side by side into the table of `make
// bench`. All rivals send in the order of arrival, which knows no lists: of ten the
// first is sent, and twenty rows behind 10,000 wait for all of these.
func BenchmarkFairness(b *testing.B) {
	for b.Loop() {
		ten, l := open(b, Config{Bulk: 10}), open(b, Config{Bulk: 10})
		for i := range 10 {
			admitList(b, ten, start, fmt.Sprintf("list%d", i), 40+60*i)
		}
		index, _ := jain(sentInOrder(b, ten, start, 400, listOf))
		admitList(b, l, start, "long", 10_000)
		sentInOrder(b, l, start, 300, listOf)
		admitList(b, l, start, "short", 20)
		order := sentInOrder(b, l, start, 300, listOf)
		slices.Reverse(order)
		last := len(order) - slices.Index(order, "short")
		b.ReportMetric(index, "Jain")
		b.ReportMetric(0, "ns/op")
		beside := func(optimum, rivals string) []report.Reference {
			return []report.Reference{{Name: "optimum", Value: optimum}, {Name: "in order of arrival", Value: rivals}}
		}
		const part = "fairness of lists (real Redis, no limits)"
		if err := report.Add(
			report.Row{Part: part, What: "ten lists of 40 to 580 rows, Jain's index while all wait", Ours: fmt.Sprintf("%.3f", index), Beside: beside("1.000", "0.100")}.AtLeast(index, 0.95, "%.2f"),
			report.Row{Part: part, What: "the last of 20 rows beside 10,000 leaves as number", Ours: strconv.Itoa(last), Ratio: fmt.Sprintf("%.2f× alone", float64(last)/20), Beside: beside("20", "9720")}.AtMost(float64(last), 40, "%.0f"),
		); err != nil {
			b.Fatal(err)
		}
	}
}

// TestThoseWhoAskTakeTurns: a token that asks for many clicks does not hold up
// another's; without an owner they stay in their order.
func TestThoseWhoAskTakeTurns(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	now := start
	ask := func(owner string, n int) {
		for i := range n {
			one := invite(t, fmt.Sprintf("%s-%d@example.com", owner, i))
			one.ID = fmt.Sprintf("%s-%d", owner, i)
			one.Owner = owner
			if _, _, err := l.Admit(t.Context(), now, []tasks.Invite{one}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask("busy", 200)
	ask("quiet", 5)
	order := sentInOrder(t, l, now, 205, func(r Record) string { return strings.TrimRight(r.Invite.ID, "-0123456789") })
	last := 0
	for i, from := range order {
		if from == "quiet" {
			last = i + 1
		}
	}
	if last > 12 {
		t.Errorf("the last of five went as number %d, want 12 at most", last)
	}
}

// TestNewestRowsOfAShortList: the newest rows are the first of a list that goes by
// creation, wherever their place in the lane is.
func TestNewestRowsOfAShortList(t *testing.T) {
	l := open(t, Config{Bulk: 10})
	admitList(t, l, start, "long", 4000)
	admitList(t, l, start.Add(time.Hour), "short", 1500)
	got, err := l.Browse(t.Context(), Browsing{States: []tasks.State{tasks.Queued}, Descending: true, Limit: 3})
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	for i, r := range got {
		if want := fmt.Sprintf("short-%d", 1499-i); r.Invite.ID != want {
			t.Errorf("number %d is %s, want %s", i, r.Invite.ID, want)
		}
	}
}
