package enqueuetest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/enqueuetest"
	"github.com/inviteq/inviteq/tasks"
)

// invite is the invite of a person, whose id is the first part of the address.
func invite(t testing.TB, address string) tasks.Invite {
	t.Helper()
	email, err := tasks.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(address, "@")
	return tasks.Invite{ID: id, EmailAddress: email}
}

func send(t testing.TB, c *enqueue.Client, i tasks.Invite) {
	t.Helper()
	if _, err := c.Invite(t.Context(), i); err != nil {
		t.Fatal(err)
	}
}

func people(t testing.TB, n int) func(func(tasks.Invite, error) bool) {
	return func(yield func(tasks.Invite, error) bool) {
		for i := range n {
			if !yield(invite(t, fmt.Sprintf("p%d@example.com", i)), nil) {
				return
			}
		}
	}
}

func want(t testing.TB, c *enqueue.Client, id string, state tasks.State, reason tasks.Reason) {
	t.Helper()
	s, err := c.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if s[0].State != state || s[0].Reason != reason {
		t.Errorf("%s is %s (%s), want %s (%s)", id, s[0].State, s[0].Reason, state, reason)
	}
}

func TestFail(t *testing.T) {
	ends := map[tasks.Reason]tasks.State{
		tasks.ReasonExistingUser: tasks.Rejected, tasks.ReasonAlreadyInvited: tasks.Rejected, tasks.ReasonBlocked: tasks.Rejected,
		tasks.ReasonInvalid: tasks.Rejected, tasks.ReasonAttempts: tasks.Failed, tasks.ReasonMalformed: tasks.Parked,
	}
	for reason, state := range ends {
		t.Run(string(reason), func(t *testing.T) {
			c := enqueuetest.New(t)
			enqueuetest.Fail(t, c, "Bad@example.com", reason)
			send(t, c, invite(t, "bad@example.com"))
			enqueuetest.Deliver(t, c)
			want(t, c, "bad", state, reason)

			// In a list the others are delivered all the same.
			enqueuetest.Fail(t, c, "p7@example.com", reason)
			if _, err := c.BulkInvite(t.Context(), people(t, 20), enqueue.BulkOptions{ImportID: "list"}); err != nil {
				t.Fatal(err)
			}
			enqueuetest.Deliver(t, c)
			want(t, c, "p7", state, reason)
			i, err := c.Import(t.Context(), "list")
			if err != nil || i.States[tasks.Pending] != 19 {
				t.Errorf("the list: %v, %v", i.States, err)
			}
		})
	}
}

// TestTime shows that hours and months cost a test next to nothing.
func TestTime(t *testing.T) {
	c := enqueuetest.New(t)
	from, began := enqueuetest.Now(t, c), time.Now()
	if _, err := c.BulkInvite(t.Context(), people(t, 300), enqueue.BulkOptions{ImportID: "list"}); err != nil {
		t.Fatal(err)
	}
	later := invite(t, "later@example.com")
	later.NotBefore = time.Now().Add(7 * 24 * time.Hour)
	send(t, c, later)
	enqueuetest.Deliver(t, c)
	if took := enqueuetest.Now(t, c).Sub(from).Round(time.Hour); took != 7*24*time.Hour {
		t.Errorf("it took %s", took)
	}
	i, err := c.Import(t.Context(), "list")
	if err != nil || i.States[tasks.Pending] != 300 {
		t.Errorf("the list: %v, %v", i.States, err)
	}
	want(t, c, "later", tasks.Pending, "")

	if err := enqueuetest.Clerk(t, c).Accept("p1@example.com"); err != nil {
		t.Fatal(err)
	}
	enqueuetest.Advance(t, c, 29*24*time.Hour)
	enqueuetest.Deliver(t, c)
	want(t, c, "p1", tasks.Accepted, tasks.ReasonSeenAtClerk)
	want(t, c, "p2", tasks.Expired, tasks.ReasonSeenAtClerk)
	want(t, c, "later", tasks.Pending, "")
	if n := enqueuetest.Clerk(t, c).Count429(clerksim.Bulk); n != 0 {
		t.Errorf("%d calls were refused", n)
	}
	t.Logf("%s took %s", enqueuetest.Now(t, c).Sub(from), time.Since(began))
}

func TestTrouble(t *testing.T) {
	c := enqueuetest.New(t)
	clerk := enqueuetest.Clerk(t, c)
	clerk.Outage(30*time.Minute, clerksim.Fault{})
	clerk.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropAfter}, 1)
	clerk.Inject(clerksim.OpCreate, clerksim.Fault{Hold: time.Minute}, 1)
	send(t, c, invite(t, "ada@example.com"))
	send(t, c, invite(t, "bob@example.com"))
	enqueuetest.Deliver(t, c)
	for _, id := range []string{"ada", "bob"} {
		if n := clerk.Mails(id + "@example.com"); n != 1 {
			t.Errorf("%s got %d mails", id, n)
		}
		s, err := c.Status(t.Context(), id)
		if err != nil || s[0].State != tasks.Pending {
			t.Errorf("%s is %v, %v", id, s[0].State, err)
		}
	}
}

func TestRevokeAndPause(t *testing.T) {
	c := enqueuetest.New(t)
	send(t, c, invite(t, "ada@example.com"))
	if _, err := c.BulkInvite(t.Context(), people(t, 3), enqueue.BulkOptions{ImportID: "list", Hold: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PauseImport(t.Context(), "list"); err != nil {
		t.Fatal(err)
	}
	enqueuetest.Deliver(t, c)
	want(t, c, "ada", tasks.Pending, "")
	want(t, c, "p0", tasks.Queued, "")
	if _, err := enqueuetest.Clerk(t, c).CreateForeign("other@example.com"); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"ada", "other@example.com"} {
		if _, err := c.Revoke(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.ResumeImport(t.Context(), "list"); err != nil {
		t.Fatal(err)
	}
	enqueuetest.RequireInvited(t, c, "p0@example.com", "P1@example.com", "p2@example.com")
	enqueuetest.Deliver(t, c)
	want(t, c, "ada", tasks.Revoked, tasks.ReasonRevokeRequested)
	want(t, c, "p0", tasks.Pending, "")
	for _, address := range []string{"ada@example.com", "other@example.com"} {
		if i := enqueuetest.Clerk(t, c).ByAddress(address); i[0].Status != clerksim.StatusRevoked {
			t.Errorf("%s: %s", address, i[0].Status)
		}
	}
}

// TestInBubble has a service that keeps to the bubble's clock itself.
func TestInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := enqueuetest.New(t)
		ada := invite(t, "ada@example.com")
		ada.Deadline = time.Now().Add(5 * time.Minute)
		enqueuetest.Clerk(t, c).Outage(10*time.Minute, clerksim.Fault{})
		send(t, c, ada)
		bob := invite(t, "bob@example.com")
		bob.NotBefore = time.Now().Add(24 * time.Hour)
		send(t, c, bob)
		enqueuetest.Deliver(t, c)
		want(t, c, "ada", tasks.Failed, tasks.ReasonTooOld)
		want(t, c, "bob", tasks.Pending, "")
		enqueuetest.Advance(t, c, 31*24*time.Hour)
		enqueuetest.Deliver(t, c)
		want(t, c, "bob", tasks.Expired, tasks.ReasonSeenAtClerk)
	})
}

// TestClientMeanwhile calls while a worker plays.
func TestClientMeanwhile(t *testing.T) {
	c := enqueuetest.New(t)
	done := make(chan error, 1)
	go func() {
		for i := range 20 {
			if _, err := c.Invite(t.Context(), invite(t, fmt.Sprintf("p%d@example.com", i))); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	enqueuetest.Deliver(t, c)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	enqueuetest.Deliver(t, c)
	if s := enqueuetest.Clerk(t, c).Stats(); s.Mails != 20 || s.MaxMails != 1 {
		t.Errorf("%d mails", s.Mails)
	}
}

// failing is a test that may fail.
type failing struct {
	testing.TB

	said []string
}

func (f *failing) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *failing) Fatalf(format string, args ...any) { f.Errorf(format, args...); f.FailNow() }
func (f *failing) Fatal(args ...any)                 { f.Fatalf("%s", fmt.Sprint(args...)) }
func (f *failing) FailNow()                          { panic(f) }

// A worker may come before anything is asked for.
func TestDeliverNothing(t *testing.T) {
	c := enqueuetest.New(t)
	enqueuetest.Deliver(t, c)
	enqueuetest.RequireNothing(t, c)
}

func TestFailures(t *testing.T) {
	c := enqueuetest.New(t)
	send(t, c, invite(t, "ada@example.com"))
	again := invite(t, "ada@example.com")
	again.ID = "again"
	send(t, c, again)
	send(t, c, invite(t, "bob@example.com"))
	ended := enqueuetest.New(&failing{TB: t})
	for _, test := range []struct {
		do   func(testing.TB)
		want string
	}{
		{func(t testing.TB) { enqueuetest.RequireInvited(t, c, "Ada@example.com", "eve@example.com") },
			"ada@example.com is invited 2 times, not 1\nbob@example.com is invited and should not be\neve@example.com is not invited"},
		{func(t testing.TB) { enqueuetest.RequireNothing(t, c) },
			"ada@example.com is invited and should not be\nbob@example.com is invited and should not be"},
		{func(t testing.TB) { enqueuetest.Fail(t, c, "ada@example.com", tasks.ReasonTooOld) },
			"enqueuetest: Fail knows existing_user, already_invited, blocked, invalid, attempts_exhausted and malformed_request, not too_old"},
		{func(t testing.TB) { enqueuetest.Now(t, new(enqueue.Client)) },
			"enqueuetest: this client is not one of New's, or its test has ended"},
		{func(t testing.TB) { enqueuetest.RequireNothing(t, ended) }, ""},
	} {
		f := &failing{TB: t}
		func() {
			defer func() {
				if p := recover(); p != nil && p != f {
					panic(p)
				}
			}()
			test.do(f)
		}()
		if got := strings.Join(f.said, "\n"); got != test.want {
			t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
		}
	}
}
