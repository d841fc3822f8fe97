package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

// numbered is a list of n invites: the one at place i is for p<i>@example.com.
func numbered(tb testing.TB, n int) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		for i := range n {
			if !yield(tasks.Invite{EmailAddress: email(tb, fmt.Sprintf("p%d@example.com", i))}, nil) {
				return
			}
		}
	}
}

// breaking is a list whose place n is an error.
func breaking(list iter.Seq2[tasks.Invite, error], n int, err error) iter.Seq2[tasks.Invite, error] {
	return func(yield func(tasks.Invite, error) bool) {
		place := 0
		for i := range list {
			if place == n {
				yield(tasks.Invite{}, err)
				return
			}
			if !yield(i, nil) {
				return
			}
			place++
		}
	}
}

// addresses are those of an import in the order of its list.
func (s side) addresses(tb testing.TB, importID string) []string {
	tb.Helper()
	var got []string
	for status, err := range s.All(tb.Context(), enqueue.ListOptions{ImportID: importID}) {
		if err != nil {
			tb.Fatal(err)
		}
		got = append(got, status.EmailAddress.Raw())
	}
	return got
}

func TestBulkInvite(t *testing.T) {
	s := newSide(t)
	var progress []int
	got, err := s.BulkInvite(t.Context(), numbered(t, 250), enqueue.BulkOptions{
		ImportID: "spring", Progress: func(r enqueue.BulkResult) { progress = append(progress, r.Done()) },
	})
	if want := (enqueue.BulkResult{ImportID: "spring", Admitted: 250}); err != nil || !cmp.Equal(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	if diff := cmp.Diff([]int{100, 200, 250}, progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	want := make([]string, 250)
	for i := range want {
		want[i] = fmt.Sprintf("p%d@example.com", i)
	}
	if diff := cmp.Diff(want, s.addresses(t, "spring")); diff != "" {
		t.Errorf("order of the list (-want +got):\n%s", diff)
	}
	byTask := map[string]string{}
	for _, task := range s.queued(t, s.queues.Import) {
		byTask[task.ID] = task.Type + " " + string(task.Payload)
	}
	wantTasks := map[string]string{
		"spring:0":   `invitation:bulk_create {"v":1,"import_id":"spring","count":100}`,
		"spring:100": `invitation:bulk_create {"v":1,"import_id":"spring","from":100,"count":100}`,
		"spring:200": `invitation:bulk_create {"v":1,"import_id":"spring","from":200,"count":50}`,
	}
	if diff := cmp.Diff(wantTasks, byTask); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	id := tasks.ImportInviteID("spring", email(t, "P7@Example.com"))
	if r := s.record(t, id); r.Invite.Lane != tasks.Import || r.Invite.ImportID != "spring" {
		t.Errorf("got lane %v, import %q", r.Invite.Lane, r.Invite.ImportID)
	}
}

func TestBulkInviteOfNothing(t *testing.T) {
	s := newSide(t)
	got, err := s.BulkInvite(t.Context(), numbered(t, 0), enqueue.BulkOptions{})
	if err != nil || got.Done() != 0 || !strings.HasPrefix(got.ImportID, "imp_") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSameImportAgainAddsOnlyWhatIsNew(t *testing.T) {
	s := newSide(t)
	opts := enqueue.BulkOptions{ImportID: "spring"}
	if _, err := s.BulkInvite(t.Context(), numbered(t, 150), opts); err != nil {
		t.Fatal(err)
	}
	got, err := s.BulkInvite(t.Context(), numbered(t, 150), opts)
	if want := (enqueue.BulkResult{ImportID: "spring", Known: 150}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("the same list: got %+v, %v; want %+v", got, err, want)
	}
	if n := len(s.queued(t, s.queues.Import)); n != 2 {
		t.Errorf("the same list: got %d tasks, want the first 2", n)
	}

	// Rows have moved and been added, and one stands twice.
	longer := slices.Collect(invitesOf(numbered(t, 180)))
	slices.Reverse(longer)
	longer = append(longer, longer[0])
	got, err = s.BulkInvite(t.Context(), listOf(longer), opts)
	if want := (enqueue.BulkResult{ImportID: "spring", Admitted: 30, Known: 151}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("a longer list: got %+v, %v; want %+v", got, err, want)
	}
	i, err := s.Import(t.Context(), "spring")
	if err != nil || i.Total != 180 || i.Open != 180 {
		t.Errorf("got %+v, %v; want 180 in all", i, err)
	}

	// Another import may invite the same people again; that is its purpose.
	if got, err := s.BulkInvite(t.Context(), numbered(t, 10), enqueue.BulkOptions{}); err != nil || got.Admitted != 10 {
		t.Errorf("another import: got %+v, %v", got, err)
	}
}

func invitesOf(list iter.Seq2[tasks.Invite, error]) iter.Seq[tasks.Invite] {
	return func(yield func(tasks.Invite) bool) {
		for i := range list {
			if !yield(i) {
				return
			}
		}
	}
}

func TestBulkInviteKeepsIDsAndLanesThatAreGiven(t *testing.T) {
	s := newSide(t)
	list := []tasks.Invite{
		{ID: "row-1", EmailAddress: email(t, "a@example.com"), Lane: tasks.Interactive},
		{ID: "row-2", EmailAddress: email(t, "b@example.com"), Lane: tasks.Import},
	}
	if _, err := s.BulkInvite(t.Context(), listOf(list), enqueue.BulkOptions{KeepLanes: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range list {
		if got := s.record(t, want.ID); got.Invite.Lane != want.Lane {
			t.Errorf("%s: got lane %v, want %v", want.ID, got.Invite.Lane, want.Lane)
		}
	}
}

func TestChunkForLaterSleepsUntilItsFirstInvite(t *testing.T) {
	s := newSide(t)
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	list := []tasks.Invite{
		{EmailAddress: email(t, "a@example.com"), NotBefore: at.Add(time.Hour)},
		{EmailAddress: email(t, "b@example.com"), NotBefore: at},
	}
	r, err := s.BulkInvite(t.Context(), listOf(list), enqueue.BulkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	task, err := s.inspector.GetTaskInfo(s.queues.Import, r.ImportID+":0")
	if err != nil || task.State != asynq.TaskStateScheduled || !task.NextProcessAt.Equal(at) {
		t.Errorf("got %+v, %v; want it scheduled at %v", task, err, at)
	}
}

func TestBulkInviteNamesConflicts(t *testing.T) {
	s := newSide(t)
	opts := enqueue.BulkOptions{ImportID: "spring"}
	if _, err := s.BulkInvite(t.Context(), numbered(t, 120), opts); err != nil {
		t.Fatal(err)
	}
	changed := slices.Collect(invitesOf(numbered(t, 120)))
	changed[3].RedirectURL, changed[110].RedirectURL = "/other", "/other"
	got, err := s.BulkInvite(t.Context(), listOf(changed), opts)
	want := enqueue.BulkResult{ImportID: "spring", Known: 118, Conflicting: 2, Conflicts: []enqueue.Conflict{
		{Position: 3, ID: tasks.ImportInviteID("spring", changed[3].EmailAddress), ImportID: "spring"},
		{Position: 110, ID: tasks.ImportInviteID("spring", changed[110].EmailAddress), ImportID: "spring"},
	}}
	if err != nil || !cmp.Equal(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	if err := got.Conflicts[0].Err(); !errors.Is(err, enqueue.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}

	for i := range changed {
		changed[i].RedirectURL = "/other"
	}
	many := slices.Repeat(changed, 10)
	got, err = s.BulkInvite(t.Context(), listOf(many), opts)
	if err != nil || got.Conflicting != 1200 || len(got.Conflicts) != enqueue.MaxConflicts {
		t.Errorf("got %d, %d of them named, %v; want 1200, 1000 named", got.Conflicting, len(got.Conflicts), err)
	}
}

func TestBrokenListStopsAndGoesOn(t *testing.T) {
	s := newSide(t)
	broken := errors.New("the disk has gone")
	got, err := s.BulkInvite(t.Context(), breaking(numbered(t, 300), 250, broken), enqueue.BulkOptions{})
	stopped, ok := errors.AsType[*enqueue.ImportError](err)
	if !ok || !errors.Is(err, broken) || stopped.Done != 200 || stopped.ImportID != got.ImportID || got.Admitted != 200 {
		t.Fatalf("got %+v, %v; want it to stop after 200", got, err)
	}
	if want := "import " + got.ImportID + " stopped after 200 invites; run it again with the same import id to go on: the disk has gone"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	got, err = s.BulkInvite(t.Context(), numbered(t, 300), enqueue.BulkOptions{ImportID: stopped.ImportID})
	if err != nil || got.Admitted != 100 || got.Known != 200 {
		t.Errorf("again: got %+v, %v; want the other 100", got, err)
	}
	if got := s.addresses(t, stopped.ImportID); len(got) != 300 || got[299] != "p299@example.com" {
		t.Errorf("got %d in the import, want 300 in order", len(got))
	}
}

func TestInvalidInviteStopsTheList(t *testing.T) {
	s := newSide(t)
	list := slices.Collect(invitesOf(numbered(t, 130)))
	list[120].ExpiresInDays, list[120].ImportID = 400, "another"
	got, err := s.BulkInvite(t.Context(), listOf(list), enqueue.BulkOptions{})
	row, ok := errors.AsType[*enqueue.RowInvalidError](err)
	if !ok || row.Position != 120 || got.Admitted != 100 {
		t.Fatalf("got %+v, %v; want it to stop at 120", got, err)
	}
	v, ok := errors.AsType[*tasks.ValidationError](err)
	if !ok || len(v.Problems) != 2 {
		t.Errorf("got %v, want both problems", err)
	}
	if _, err := s.BulkInvite(t.Context(), listOf([]tasks.Invite{{}}), enqueue.BulkOptions{}); err == nil || !strings.Contains(err.Error(), "position 0: email_address is missing") {
		t.Errorf("no address: got %v", err)
	}
	if _, err := s.BulkInvite(t.Context(), numbered(t, 1), enqueue.BulkOptions{ImportID: "a/b"}); err == nil {
		t.Error("import id a/b: got no error")
	}
}

func TestBulkInviteStopsWithItsContext(t *testing.T) {
	s := newSide(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("shutting down")
	got, err := s.BulkInvite(ctx, numbered(t, 1000), enqueue.BulkOptions{
		Progress: func(r enqueue.BulkResult) {
			if r.Done() == 300 {
				cancel(why)
			}
		},
	})
	stopped, ok := errors.AsType[*enqueue.ImportError](err)
	if !ok || !errors.Is(err, why) || stopped.Done != got.Done() || got.Done() >= 1000 || got.Done() < 300 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestListThatPanicsLeavesNothingBehind(t *testing.T) {
	s := newSide(t)
	before := runtime.NumGoroutine()
	func() {
		defer func() { _ = recover() }()
		_, _ = s.BulkInvite(t.Context(), func(yield func(tasks.Invite, error) bool) {
			for i := range numbered(t, 150) {
				yield(i, nil)
			}
			panic("list")
		}, enqueue.BulkOptions{ImportID: "spring"})
		t.Error("the panic was swallowed")
	}()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("got %d goroutines, want %d as before", n, before)
	}
	if i, err := s.Import(t.Context(), "spring"); err != nil || i.Total != 100 {
		t.Errorf("got %+v, %v; want the whole chunk", i, err)
	}
}

func TestChunkWithoutTaskIsAccepted(t *testing.T) {
	var f faults
	s := sideOver(t, f.client(t, -1))
	f.set("", "asynq:{")
	got, err := s.BulkInvite(t.Context(), numbered(t, 150), enqueue.BulkOptions{ImportID: "spring"})
	if err != nil || got.Admitted != 150 || got.TaskErr == nil {
		t.Fatalf("got %+v, %v; want them accepted, and the error in TaskErr", got, err)
	}
	missing, err := s.ledger.Missing(t.Context(), time.Now().Add(2*time.Minute), 10)
	want := []tasks.BulkCreate{{ImportID: "spring", Count: 100}, {ImportID: "spring", From: 100, Count: 50}}
	if diff := cmp.Diff(want, missing.Chunks); err != nil || diff != "" {
		t.Errorf("the sweep finds (-want +got):\n%s%v", diff, err)
	}
}

func TestImportLivesThroughTheDeathOfRedis(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c, err := enqueue.New(enqueue.Config{RedisURL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	dying := func(yield func(tasks.Invite, error) bool) {
		place := 0
		for i := range numbered(t, 1000) {
			if place == 550 {
				server.Kill()
			}
			place++
			if !yield(i, nil) {
				return
			}
		}
	}
	got, err := c.BulkInvite(t.Context(), dying, enqueue.BulkOptions{ImportID: "spring"})
	if _, ok := errors.AsType[*enqueue.ImportError](err); !ok || got.Done() < 400 || got.Done() > 500 {
		t.Fatalf("got %+v, %v; want it to stop after 400 or 500", got, err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	got, err = c.BulkInvite(t.Context(), numbered(t, 1000), enqueue.BulkOptions{ImportID: "spring"})
	if err != nil || got.Done() != 1000 || got.Conflicting != 0 {
		t.Fatalf("again: got %+v, %v", got, err)
	}
	if i, err := c.Import(t.Context(), "spring"); err != nil || i.Total != 1000 || i.States[tasks.Queued] != 1000 {
		t.Errorf("got %+v, %v; want 1000", i, err)
	}
}

func TestHugeListNeedsLittleMemory(t *testing.T) {
	const rows, room = 100_000, 8 << 20
	s := newSide(t)
	var before, most uint64
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	got, err := s.BulkInvite(t.Context(), numbered(t, rows), enqueue.BulkOptions{
		Progress: func(r enqueue.BulkResult) {
			switch {
			case r.Done() == 1000:
				before = inUse()
			case r.Done()%10_000 == 0:
				most = max(most, inUse())
			}
		},
	})
	if err != nil || got.Admitted != rows {
		t.Fatalf("got %+v, %v", got, err)
	}
	if most > before+room {
		t.Errorf("the heap grew from %d to %d bytes", before, most)
	}
	if n := len(s.queued(t, s.queues.Import)); n != rows/tasks.ChunkSize {
		t.Errorf("got %d tasks, want one a chunk", n)
	}
}
