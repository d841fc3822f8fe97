package enqueuetest_test

import (
	"context"
	"testing"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/enqueuetest"
	"github.com/inviteq/inviteq/tasks"
)

// Team is an example of a service: it invites the people of a team.
type Team struct{ invites *enqueue.Client }

// Add invites a person.
func (s Team) Add(ctx context.Context, member, address string) error {
	email, err := tasks.ParseEmail(address)
	if err != nil {
		return err
	}
	_, err = s.invites.Invite(ctx, tasks.Invite{ID: "team-" + member, EmailAddress: email, RedirectURL: "/welcome"})
	return err
}

// Remove takes the invite back.
func (s Team) Remove(ctx context.Context, member string) error {
	_, err := s.invites.Revoke(ctx, "team-"+member)
	return err
}

func TestAdd(t *testing.T) {
	c := enqueuetest.New(t)
	if err := (Team{c}).Add(t.Context(), "7", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	enqueuetest.RequireInvited(t, c, "ada@example.com")
}

func TestAddTwice(t *testing.T) {
	c := enqueuetest.New(t)
	for range 2 {
		if err := (Team{c}).Add(t.Context(), "7", "ada@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	enqueuetest.RequireInvited(t, c, "ada@example.com")
}

func TestRemove(t *testing.T) {
	c := enqueuetest.New(t)
	if err := (Team{c}).Add(t.Context(), "7", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := (Team{c}).Remove(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	enqueuetest.RequireNothing(t, c)
}

func TestMemberHasAnAccount(t *testing.T) {
	c := enqueuetest.New(t)
	enqueuetest.Fail(t, c, "ada@example.com", tasks.ReasonExistingUser)
	if err := (Team{c}).Add(t.Context(), "7", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	enqueuetest.Deliver(t, c)
	if s, err := c.Status(t.Context(), "team-7"); err != nil || s[0].State != tasks.Rejected {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestMailed(t *testing.T) {
	c := enqueuetest.New(t)
	if err := (Team{c}).Add(t.Context(), "7", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	enqueuetest.Deliver(t, c)
	if n := enqueuetest.Clerk(t, c).Mails("ada@example.com"); n != 1 {
		t.Errorf("%d mails", n)
	}
}
