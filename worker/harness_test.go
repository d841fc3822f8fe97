package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// stage is a worker between a real Redis and a simulated Clerk.
type stage struct {
	t        testing.TB
	sim      *clerksim.Sim
	redis    *redis.Client
	ledger   *ledger.Ledger
	instance string
	limits   ledger.Limits
}

func newStage(t testing.TB, sim clerksim.Config) *stage {
	t.Helper()
	s, err := clerksim.New(sim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	st := &stage{t: t, sim: s, redis: redistest.Shared(t), instance: redistest.Instance(), limits: ledger.ClerkLimits}
	if st.ledger, err = ledger.Open(t.Context(), st.redis, ledger.Config{Instance: st.instance}); err != nil {
		t.Fatal(err)
	}
	return st
}

// client is a Clerk client that talks to the simulated Clerk over a pipe.
func (s *stage) client(b clerk.Breaker) *clerk.Client {
	s.t.Helper()
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: "http://127.0.0.1/v1", DialContext: s.sim.DialContext, Breaker: b})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// start runs a worker until the test ends, or until the function that it returns
// is called.
func (s *stage) start(change ...func(*Config)) (*Worker, func()) {
	s.t.Helper()
	cfg := Config{
		Redis:  redistest.OptionsOf(s.redis),
		Ledger: ledger.Config{Instance: s.instance, Limits: s.limits, Reserve: ledger.AutoReserve},
		Clerk:  s.client(clerk.Breaker{}),
		Log:    zerolog.New(zerolog.NewTestWriter(s.t)).Level(zerolog.InfoLevel),
	}
	for _, f := range change {
		f(&cfg)
	}
	w, err := New(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("worker: %v", err)
		}
	}
	s.t.Cleanup(stop)
	return w, stop
}

// admit puts invites into the ledger, as a producer does.
func (s *stage) admit(invites ...tasks.Invite) []string {
	s.t.Helper()
	return s.admitAt(time.Now(), invites...)
}

func (s *stage) admitAt(now time.Time, invites ...tasks.Invite) []string {
	s.t.Helper()
	var ids []string
	for part := range slices.Chunk(invites, tasks.ChunkSize) {
		for i := range part {
			if part[i].ID == "" {
				part[i].ID = tasks.NewID("inq")
			}
			ids = append(ids, part[i].ID)
		}
		if _, _, err := s.ledger.Admit(s.t.Context(), now, part); err != nil {
			s.t.Fatal(err)
		}
	}
	return ids
}

// person returns an invite for the n-th of an endless list of people.
func person(n int) tasks.Invite {
	e, err := tasks.ParseEmail(fmt.Sprintf("person%d@example.com", n))
	if err != nil {
		panic(err)
	}
	return tasks.Invite{EmailAddress: e}
}

func people(from, to int) []tasks.Invite {
	var all []tasks.Invite
	for n := from; n < to; n++ {
		i := person(n)
		i.Lane, i.ImportID = tasks.Import, "imp"
		all = append(all, i)
	}
	return all
}

// await waits until every invite is in a state that is not open.
func (s *stage) await(within time.Duration, ids ...string) []ledger.Record {
	s.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		records, err := s.ledger.Get(s.t.Context(), ids...)
		if err != nil && !errors.Is(err, context.Canceled) {
			s.t.Fatal(err)
		}
		open := 0
		for _, r := range records {
			if r.State.Open() {
				open++
			}
		}
		if open == 0 && len(records) == len(ids) {
			return records
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("after %s %d of %d invites are still open, the first: %+v", within, open, len(ids), records[0].State)
		}
	}
}
