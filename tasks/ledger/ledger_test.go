package ledger

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// start is the moment at which the tests begin; time is an argument.
var start = time.UnixMilli(1_800_000_000_000)

func open(t testing.TB, cfg Config) *Ledger {
	t.Helper()
	cfg.Instance = redistest.Instance()
	l, err := Open(t.Context(), redistest.Shared(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func invite(t testing.TB, address string) tasks.Invite {
	t.Helper()
	e, err := tasks.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: e}
}

func admit(t testing.TB, l *Ledger, now time.Time, invites ...tasks.Invite) {
	t.Helper()
	got, _, err := l.Admit(t.Context(), now, invites)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range got {
		if a != Admitted {
			t.Fatalf("invite %d: got admission %d, want Admitted", i, a)
		}
	}
}

func turn(t testing.TB, l *Ledger, now time.Time) Turn {
	t.Helper()
	got, err := l.Turn(t.Context(), now, tasks.NewID("turn"))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// delivered settles a turn as Clerk's yes to everybody.
func delivered(t testing.TB, l *Ledger, now time.Time, tn Turn) []Record {
	t.Helper()
	var s []Settlement
	for _, r := range tn.Batch {
		s = append(s, Settlement{ID: r.Invite.ID, Turn: r.Turn, To: tasks.Pending, InvitationID: "inv_" + r.Invite.ID})
	}
	got, err := l.SettleTurn(t.Context(), now, tn, Ending{Token: StampToken, Members: s})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOneInviteFromAdmissionToPending(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	i := invite(t, "Ada@example.com")
	admit(t, l, start, i)
	tn := turn(t, l, start)
	if tn.Endpoint != Single || len(tn.Batch) != 1 || tn.Batch[0].State != tasks.Sending || tn.Batch[0].Invite.EmailAddress != i.EmailAddress {
		t.Fatalf("got turn %+v", tn)
	}
	if again := turn(t, l, start); len(again.Batch) != 0 || again.Why != WaitIdle || !again.Wake.Equal(tn.Deadline) {
		t.Errorf("got %+v, want to wait for the claim to run out", again)
	}
	got := delivered(t, l, start.Add(200*time.Millisecond), tn)
	if len(got) != 1 || got[0].State != tasks.Pending || got[0].InvitationID != "inv_"+i.ID || got[0].Version != 2 {
		t.Errorf("got %+v", got)
	}
	o, err := l.Overview(t.Context(), start.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if o.States[tasks.Pending] != 1 || o.States[tasks.Sending] != 0 || o.Quotas[Single].Spent != 1 || o.Quotas[Other].Spent != 1 {
		t.Errorf("got overview %+v", o)
	}
}

func TestBacklogSpendsEveryToken(t *testing.T) {
	l := open(t, Config{Limits: ClerkLimits, Reserve: 0})
	var all []tasks.Invite
	for n := range 400 {
		i := invite(t, fmt.Sprintf("p%d@example.com", n))
		i.Lane, i.ImportID = tasks.Import, "imp"
		all = append(all, i)
	}
	for n := 0; n < 400; n += 100 {
		admit(t, l, start, all[n:n+100]...)
	}
	now, sent, bulk := start, 0, 0
	for now.Before(start.Add(time.Hour)) {
		tn := turn(t, l, now)
		if len(tn.Batch) == 0 {
			now = tn.Wake
			continue
		}
		if tn.Endpoint == Bulk {
			bulk++
		}
		sent += len(tn.Batch)
		delivered(t, l, now, tn)
	}
	if bulk != 25 || sent < 349 || sent > 350 {
		t.Errorf("got %d sent with %d bulk calls in the first hour, want 350 with 25", sent, bulk)
	}
	imp, err := l.Import(t.Context(), "imp")
	if err != nil || imp.Total != 400 || imp.States[tasks.Pending] != int64(sent) || imp.Open() != int64(400-sent) {
		t.Errorf("got %+v, %v", imp, err)
	}
}
