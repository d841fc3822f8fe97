package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
)

// strangers draws whom somebody else invites while ours wait, and what they do
// with lists and lanes.
func (p *plan) strangers(r *rand.Rand) {
	for range int(some(r, 0.3) * float64(len(p.invites))) {
		i, like := p.invites[r.IntN(len(p.invites))], chance(r, p.mimic)
		at := i.at + time.Duration(r.NormFloat64()*float64(pick(r, time.Second, 20*time.Second, 5*time.Minute)))
		p.at(min(max(at, 0), p.length), func(s *simulation) { s.somebodyElse(i.EmailAddress.Key(), like) }, "somebody else invites %s", i.ID)
	}
	if p.lifted {
		for range 1 + r.IntN(3) {
			n := 400 + r.IntN(1200)
			p.at(p.when(r), func(s *simulation) {
				for k := range n {
					_, _ = s.sim.CreateForeign(fmt.Sprintf("crowd.%d.%d@example.com", time.Since(s.began), k))
				}
			}, "another program makes %d invitations", n)
		}
	}
	for range r.IntN(3) {
		lane, at := pick(r, tasks.Interactive, tasks.Import), p.when(r)
		p.at(at, func(s *simulation) {
			_ = s.calm.Pause(s.t.Context(), s.redisTime(), lane) // Redis may be in trouble
		}, "%s is paused", lane)
		p.at(at+time.Duration(r.ExpFloat64()*float64(10*time.Minute)), func(s *simulation) { s.resume(lane) }, "%s goes on", lane)
	}
	for range r.IntN(4) {
		p.at(p.when(r), func(s *simulation) { s.retry() }, "a person retries what has failed")
	}
}

// somebodyElse invites a person as the dashboard or another program does; like one
// of ours if like is set.
func (s *simulation) somebodyElse(address string, like bool) {
	body := map[string]any{"email_address": address}
	for _, i := range s.invites {
		if like && i.EmailAddress.Key() == address {
			body["public_metadata"] = i.PublicMetadata
			if i.ExpiresInDays > 0 {
				body["expires_in_days"] = i.ExpiresInDays
			}
		}
	}
	b, err := json.Marshal(body)
	if err == nil {
		_, err = s.sim.CreateForeignFrom(string(b))
	}
	if err != nil {
		s.problem("somebody else: %v", err)
	}
}

// lurks is asked before every request to Clerk: somebody else is a little quicker
// than one of our calls, or a little slower, and the call may be lost. Or a bulk is
// refused and carried out all the same.
func (s *simulation) lurks(req clerksim.Request) clerksim.Fault {
	if s.over.Load() || s.lurk+s.lie == 0 || len(req.Addresses) == 0 || req.Op != clerksim.OpCreate && req.Op != clerksim.OpBulkCreate {
		return clerksim.Fault{}
	}
	s.mu.Lock()
	if req.Op == clerksim.OpBulkCreate && len(req.Addresses) > 1 && chance(s.dice, s.lie) {
		s.mu.Unlock()
		return clerksim.Fault{Kind: clerksim.RefuseAfter}
	}
	hit, late, like := chance(s.dice, s.lurk), chance(s.dice, 0.5), chance(s.dice, s.mimic)
	address, after := req.Addresses[s.dice.IntN(len(req.Addresses))], time.Duration(s.dice.Int64N(int64(5*time.Second)))
	f := pick(s.dice, clerksim.Fault{}, clerksim.Fault{Kind: clerksim.DropBefore}, clerksim.Fault{Kind: clerksim.DropAfter}, clerksim.Fault{Kind: clerksim.ErrorBefore, Status: 503})
	s.mu.Unlock()
	switch {
	case !hit:
		return clerksim.Fault{}
	case !late:
		s.somebodyElse(address, like)
	default:
		s.errands.Go(func() {
			time.Sleep(after)
			s.somebodyElse(address, like)
		})
	}
	return f
}

func (s *simulation) resume(lane tasks.Lane) {
	s.insist(func(ctx context.Context) error { return s.calm.Resume(ctx, lane) })
	s.nudge(0)
}

// retry is a person who queues everything again that has failed or was rejected.
func (s *simulation) retry() {
	s.insist(func(ctx context.Context) error {
		var ids []string
		for _, state := range []tasks.State{tasks.Failed, tasks.Rejected} {
			found, err := s.redis.ZRange(ctx, "inviteq:{default}:state:"+state.String(), 0, 20).Result()
			if err != nil {
				return err
			}
			ids = append(ids, found...)
		}
		if len(ids) == 0 {
			return nil
		}
		_, err := s.calm.Requeue(ctx, s.redisTime(), tasks.ReasonQueuedByHand, []tasks.State{tasks.Failed, tasks.Rejected}, ids...)
		return err
	})
}
