package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
)

func TestDeliversWhatWaits(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	ids := s.admit(people(0, 20)...)
	s.start()
	for _, r := range s.await(20*time.Second, ids...) {
		if r.State != tasks.Pending || r.InvitationID == "" {
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

// A task whose record is not there is given a second chance, then put aside for a
// person to see.
func TestTaskWithoutARecord(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	s.start()
	c := asynq.NewClientFromRedisClient(s.redis)
	queue := tasks.QueuesOf(s.instance).Interactive
	give := func(id string) {
		if _, err := c.Enqueue(asynq.NewTask(tasks.TypeCreate, tasks.Create{ID: id}.Encode()), tasks.Options(queue, id)...); err != nil {
			t.Fatal(err)
		}
	}
	in := asynq.NewInspectorFromRedisClient(s.redis)
	await := func(id string, want asynq.TaskState) *asynq.TaskInfo {
		for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			got, err := in.GetTaskInfo(queue, id)
			if err == nil && got.State == want {
				return got
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %+v, %v; want it %s", id, got, err, want)
			}
		}
	}
	give("inq_late")
	await("inq_late", asynq.TaskStateRetry)
	i := person(1)
	i.ID = "inq_late"
	s.admit(i)
	give("inq_never")
	await("inq_late", asynq.TaskStateCompleted)
	if got := await("inq_never", asynq.TaskStateArchived); !strings.Contains(got.LastErr, "not found") {
		t.Errorf("archived because of %q", got.LastErr)
	}
}

func TestLostAnswerIsSettledByReading(t *testing.T) {
	s := newStage(t, clerksim.Config{})
	s.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropAfter}, 1)
	ids := s.admit(person(1))
	s.start()
	r := s.await(40*time.Second, ids...)[0]
	if r.State != tasks.Pending || r.Attempts != 0 || s.sim.Mails("person1@example.com") != 1 {
		t.Errorf("got %+v", r)
	}
}
