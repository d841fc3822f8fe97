package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// TestAdmittedRecordIsWhatLibWrites holds the line that admit.lua writes by hand
// to the one of lib.lua, by which every other script reads and writes it.
func TestAdmittedRecordIsWhatLibWrites(t *testing.T) {
	l := open(t, Config{})
	lib, err := scripts.ReadFile("lib.lua")
	if err != nil {
		t.Fatal(err)
	}
	same := redis.NewScript(l.keys.prelude() + string(lib) +
		"local r = load(ARGV[1]) return {line(r) .. r.body, redis.call('HGET', K.rec, ARGV[1]), #FIELDS}")
	for _, lane := range tasks.Lanes {
		for _, importID := range []string{"", "spring"} {
			for _, ready := range []time.Time{{}, start.Add(-time.Hour), start.Add(time.Hour)} {
				i := invite(t, "ada@example.com")
				i.Lane, i.ImportID, i.NotBefore, i.Deadline = lane, importID, ready, ready
				admit(t, l, start, i)
				got, err := same.Run(t.Context(), l.rdb, []string{l.keys.prefix}, i.ID).Slice()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(got[0], got[1]); diff != "" || got[2] != int64(fieldCount) {
					t.Errorf("%v, %q, %v: %v fields (-lib.lua +admit.lua):\n%s", lane, importID, ready, got[2], diff)
				}
				r, err := l.Get(t.Context(), i.ID)
				if err != nil || len(r) != 1 || !r[0].CreatedAt.Equal(start) || !r[0].ReadyAt.Equal(ready) ||
					!r[0].Invite.Deadline.Equal(ready) || r[0].Invite.Lane != lane || r[0].Invite.ImportID != importID {
					t.Errorf("got %+v, %v", r, err)
				}
			}
		}
	}
}

func TestAdmitManyAtOnce(t *testing.T) {
	l := open(t, Config{})
	known, trimmed := invite(t, "known@example.com"), invite(t, "trimmed@example.com")
	known.ImportID, trimmed.ImportID = "spring", "spring"
	admit(t, l, start, known, trimmed)
	if _, err := l.Cancel(t.Context(), start, trimmed.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Trim(t.Context(), start.Add(time.Hour), time.Hour, 10); n != 1 || err != nil {
		t.Fatalf("trimmed %d, %v", n, err)
	}

	fresh := func(address string) tasks.Invite {
		i := invite(t, address)
		i.ImportID = "spring"
		return i
	}
	other := func(i tasks.Invite) tasks.Invite { i.RedirectURL = "/other"; return i }
	people, list, later := fresh("a@example.com"), fresh("b@example.com"), fresh("c@example.com")
	list.Lane, later.NotBefore = tasks.Import, start.Add(time.Hour)
	got, chunk, err := l.Admit(t.Context(), start, []tasks.Invite{
		people, known, other(known), list, trimmed, other(trimmed), list, other(list), later,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Admission{Admitted, Known, Conflict, Admitted, Known, Conflict, Known, Conflict, Admitted}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("admissions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(tasks.BulkCreate{ImportID: "spring", From: 2, Count: 3}, chunk); diff != "" {
		t.Errorf("chunk (-want +got):\n%s", diff)
	}
	members, err := l.Members(t.Context(), chunk)
	if diff := cmp.Diff([]string{people.ID, list.ID, later.ID}, members); err != nil || diff != "" {
		t.Errorf("members (-want +got):\n%s%v", diff, err)
	}
	for key, want := range map[string][]string{
		"wait0": {known.ID, people.ID}, "wait1": {list.ID}, "later": {later.ID},
		"untasked": {"b:0:2:spring", "b:2:3:spring"}, "imports": {"spring"},
	} {
		got, err := l.rdb.ZRange(t.Context(), l.keys.of(key), 0, -1).Result()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s (-want +got):\n%s%v", key, diff, err)
		}
	}
	arrived, err := l.rdb.HGet(t.Context(), l.keys.of("pace"), "arrived").Int()
	if err != nil || arrived != 3 {
		t.Errorf("got %d interactive arrivals, %v; want 3", arrived, err)
	}
	i, err := l.Import(t.Context(), "spring")
	if err != nil || i.Total != 5 || i.States[tasks.Queued] != 4 || i.CreatedAt != start.UnixMilli() {
		t.Errorf("got import %+v, %v", i, err)
	}
}

func TestAddressFindsAllInvites(t *testing.T) {
	l := open(t, Config{})
	var want []string
	for n := range 40 {
		i := invite(t, "ADA@example.com")
		i.ID = fmt.Sprintf("n%d", n)
		admit(t, l, start, i)
		want = append([]string{i.ID}, want...)
	}
	e, err := tasks.ParseEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	records, err := l.FindAddress(t.Context(), e)
	var got []string
	for _, r := range records {
		got = append(got, r.Invite.ID)
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
}
