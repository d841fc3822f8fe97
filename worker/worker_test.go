package worker

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/ledger"
)

func TestDeliversWhatWaits(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	ids := s.admit(people(0, 20)...)
	s.start()
	for _, r := range s.await(20*time.Second, ids...) {
		if r.State != ledger.Pending || r.InvitationID == "" {
			t.Fatalf("got %s (%s), want pending", r.State, r.Reason)
		}
		if n := s.sim.Mails(r.Invite.EmailAddress.Raw()); n != 1 {
			t.Errorf("got %d mails, want 1", n)
		}
	}
	if n := s.sim.Count(clerksim.OpBulkCreate); n > 2 {
		t.Errorf("got %d bulk calls for 20 invites", n)
	}
}

func TestForeignTaskCarriesTheWholeInvite(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	s.start()
	c := asynq.NewClientFromRedisClient(s.redis)
	queue := tasks.QueuesOf(s.instance).Interactive
	i := person(1)
	info, err := c.Enqueue(asynq.NewTask(tasks.TypeCreate, tasks.Create{Invite: &i}.Encode()), asynq.Queue(queue), asynq.Retention(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	in := asynq.NewInspectorFromRedisClient(s.redis)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err := in.GetTaskInfo(queue, info.ID)
		if err == nil && got.State == asynq.TaskStateCompleted {
			if s.sim.Mails("person1@example.com") != 1 {
				t.Error("completed without a mail")
			}
			t.Logf("result %s", got.Result)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
}

func TestPoisonDoesNotHarmItsNeighbours(t *testing.T) {
	for _, named := range []bool{true, false} {
		for _, screening := range []bool{true, false} {
			var sw clerksim.Switches
			_ = named
			s := newStage(t, clerksim.Config{Switches: sw})
			s.sim.AddUser("person3@example.com")
			if _, err := s.sim.CreateForeign("person5@example.com"); err != nil {
				t.Fatal(err)
			}
			ids := s.admitAt(time.Now().Add(2*time.Second), people(0, 10)...) // after the foreign one, for sure
			s.start(func(c *Config) { c.NoScreening = !screening })
			for n, r := range s.await(20*time.Second, ids...) {
				want := ledger.Pending
				if n == 3 || n == 5 {
					want = ledger.Rejected
				}
				if r.State != want || r.Attempts != 0 {
					t.Errorf("screening %t: person %d: got %s (%s) after %d attempts, want %s", screening, n, r.State, r.Reason, r.Attempts, want)
				}
			}
			if n := s.sim.Count(clerksim.OpBulkCreate); n > 2+1 {
				t.Errorf("screening %t: got %d bulk calls", screening, n)
			}
		}
	}
}

func TestLostAnswerIsSettledByReading(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	s.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropAfter}, 1)
	ids := s.admit(person(1))
	s.start()
	r := s.await(40*time.Second, ids...)[0]
	if r.State != ledger.Pending || r.Attempts != 0 || s.sim.Mails("person1@example.com") != 1 {
		t.Errorf("got %+v", r)
	}
}
