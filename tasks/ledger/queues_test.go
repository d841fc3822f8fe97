package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/inviteq/inviteq/tasks"
)

func TestQueues(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits})
	give := func(n int, at time.Time, owner, importID string) (ids []string) {
		for range n {
			i := invite(t, tasks.NewID("p")+"@example.com")
			if i.Owner, i.ImportID = owner, importID; importID != "" {
				i.Lane = tasks.Import
			}
			admit(t, l, at, i)
			ids = append(ids, i.ID)
		}
		return ids
	}
	if q, err := l.Queues(t.Context(), 2); err != nil || len(q.Deepest) > 0 || q.Others[tasks.Import] != 0 {
		t.Fatalf("an empty ledger: got %+v, %v", q, err)
	}
	rows := give(5, start, "sales", "imp_1")
	give(1, start.Add(time.Minute), "sales", "imp_1")
	give(2, start.Add(2*time.Minute), "", "imp_2")
	give(1, start.Add(3*time.Minute), "", "imp_3")
	give(3, start.Add(4*time.Minute), "shop", "")
	give(4, start.Add(5*time.Minute), "", "")
	give(2, start.Add(6*time.Minute), "blog", "")
	for _, id := range rows { // Only the row that came a minute later waits still.
		if _, err := l.Cancel(t.Context(), start, id); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Queues(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	want := Queues{
		Deepest: []Queue{
			{Lane: tasks.Interactive, Waiting: 4, Since: start.Add(5 * time.Minute)},
			{Lane: tasks.Interactive, Owner: "shop", Waiting: 3, Since: start.Add(4 * time.Minute)},
			{Lane: tasks.Import, Import: "imp_2", Waiting: 2, Since: start.Add(2 * time.Minute)},
			{Lane: tasks.Import, Owner: "sales", Import: "imp_1", Waiting: 1, Since: start.Add(time.Minute)},
		},
		Others: map[tasks.Lane]int64{tasks.Interactive: 2, tasks.Import: 1},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Queue{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
