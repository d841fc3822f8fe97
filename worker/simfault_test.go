package worker

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// These tests play one trouble each, in virtual time, on the shipped worker. The
// simulation mixes them.

// play runs a test in a world of its own.
func play(t *testing.T, cfg clerksim.Config, do func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Latency == (clerksim.Latency{}) {
			cfg.Latency = clerksim.TypicalLatency
		}
		w := newWorld(t, 1, cfg)
		defer w.close()
		do(t, w)
	})
}

// mustStart starts a worker.
func (w *world) mustStart() *simWorker {
	w.t.Helper()
	s, err := w.start()
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// kill ends a worker as SIGKILL does: what it does from now on reaches nobody.
func (w *world) kill(s *simWorker) {
	s.killed = true
	s.wire.cut()
	w.gone(s)
	s.cancel()
}

// give hands in an import of people, and returns their ids.
func (w *world) give(invites ...tasks.Invite) []string {
	w.t.Helper()
	ids := make([]string, len(invites))
	for n := range invites {
		if invites[n].ID == "" {
			invites[n].ID = tasks.NewID("inq")
		}
		ids[n] = invites[n].ID
	}
	for part := range slices.Chunk(invites, tasks.ChunkSize) {
		if _, _, err := w.calm.Admit(w.t.Context(), time.Now(), part); err != nil {
			w.t.Fatal(err)
		}
	}
	w.nudge(0)
	return ids
}

func (w *world) records(ids ...string) []ledger.Record {
	w.t.Helper()
	records, err := w.calm.Get(w.t.Context(), ids...)
	if err != nil || len(records) != len(ids) {
		w.t.Fatalf("%d of %d records: %v", len(records), len(ids), err)
	}
	return records
}

// settle waits until none of the invites is open.
func (w *world) settle(within time.Duration, ids ...string) []ledger.Record {
	w.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(time.Second) {
		records := w.records(ids...)
		n := slices.IndexFunc(records, func(r ledger.Record) bool { return r.State.Open() })
		if n < 0 {
			return records
		}
		if time.Now().After(end) {
			w.t.Fatalf("after %s %s is still %s (%s)\n%s", within, records[n].Invite.ID, records[n].State, records[n].Reason, w.logs())
		}
	}
}

// delivered demands that everybody has been invited by one mail, at no cost in
// attempts.
func (w *world) delivered(records []ledger.Record) {
	w.t.Helper()
	for _, r := range records {
		if mails := w.sim.Mails(r.Invite.EmailAddress.Raw()); r.State != tasks.Pending || r.Attempts != 0 || mails != 1 {
			w.t.Errorf("%s is %s (%s) after %d attempts and %d mails", r.Invite.ID, r.State, r.Reason, r.Attempts, mails)
		}
	}
}

// ready asks /readyz.
func ready(s *simWorker) (int, string) {
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return rec.Code, rec.Body.String()
}

func TestOutageOfNinetyMinutes(t *testing.T) {
	const outage = 90 * time.Minute
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		for range 2 {
			w.mustStart()
		}
		w.sim.Outage(outage, clerksim.Fault{}) // 429, plain text, for everything
		began := time.Now()
		ids := w.give(people(0, 40)...)
		for n := range 10 {
			i := person(100 + n)
			ids = append(ids, w.give(i)...)
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Until(began.Add(outage)))
		// A worker's breaker opens after five failures (four calls may be under way then) and probes after 15 s, 30 s, 60 s and then every two minutes.
		if calls, most := len(w.sim.Calls()), 2*(5+4+47); calls > most {
			t.Errorf("Clerk got %d requests while it was down; two workers may make %d", calls, most)
		}
		w.delivered(w.settle(15*time.Minute, ids...))
	})
}

func TestWrongKeyClosesEverythingAndReopens(t *testing.T) {
	for name, fault := range map[string]clerksim.Fault{"clerk_key": {Kind: clerksim.Unauthorized}, "edge": {Kind: clerksim.EdgeBlock}} {
		t.Run(name, func(t *testing.T) {
			play(t, clerksim.Config{}, func(t *testing.T, w *world) {
				w.tempo.watch = 5 * time.Second
				s := w.mustStart()
				w.sim.Outage(time.Hour, fault)
				ids := w.give(people(0, 25)...)
				time.Sleep(2 * time.Minute)
				if code, body := ready(s); code != http.StatusServiceUnavailable || !strings.Contains(body, "check CLERK_") {
					t.Errorf("/readyz answers %d %s", code, body)
				}
				time.Sleep(58 * time.Minute)
				calls := w.sim.Calls()
				posts := w.sim.Count(clerksim.OpCreate) + w.sim.Count(clerksim.OpBulkCreate)
				if posts > 4 || len(calls) > 4+60*60/30+5 { // what was under way, and a probe every 30 s
					t.Errorf("%d requests, %d of them creates, with a key that does not work", len(calls), posts)
				}
				w.delivered(w.settle(5*time.Minute, ids...))
				time.Sleep(10 * time.Second)
				if code, body := ready(s); code != http.StatusOK {
					t.Errorf("/readyz answers %d %s although the key works again", code, body)
				}
			})
		})
	}
}

func TestPoisonDoesNotHarmItsNeighbours(t *testing.T) {
	for _, naming := range []clerksim.Naming{clerksim.Unnamed, clerksim.NamedFirst, clerksim.NamedAll} {
		for _, screening := range []bool{true, false} {
			for _, bad := range []int{2, 3, 9} {
				t.Run(fmt.Sprintf("%s, screening %t, %d bad", naming, screening, bad), func(t *testing.T) {
					sw := clerksim.Switches{BulkUserNaming: naming, BlockedNaming: naming}
					play(t, clerksim.Config{Switches: sw}, func(t *testing.T, w *world) { poison(t, w, screening, bad) })
				})
			}
		}
	}
}

// poison sends ten invites of whom some are refused, each for a reason of its
// own: every third a user, every third invited by somebody else, every third
// blocked.
func poison(t *testing.T, w *world, screening bool, bad int) {
	want := map[int]tasks.Reason{}
	for n := range bad {
		address := fmt.Sprintf("person%d@example.com", n)
		switch n % 3 {
		case 0:
			w.sim.AddUser(address)
			want[n] = tasks.ReasonExistingUser
		case 1:
			if _, err := w.sim.CreateForeign(address); err != nil {
				t.Fatal(err)
			}
			want[n] = tasks.ReasonAlreadyInvited
		default:
			w.sim.BlockAddress(address)
			want[n] = tasks.ReasonBlocked
		}
	}
	time.Sleep(time.Minute)
	w.change = append(w.change, func(c *Config) { c.NoScreening = !screening })
	w.mustStart()
	for n, r := range w.settle(5*time.Minute, w.give(people(0, 10)...)...) {
		state := tasks.Pending
		if want[n] != "" {
			state = tasks.Rejected
		}
		if r.State != state || r.Reason != want[n] || r.Attempts != 0 {
			t.Errorf("person %d: got %s (%s) after %d attempts, want %s (%s)", n, r.State, r.Reason, r.Attempts, state, want[n])
		}
		if mails := w.sim.Mails(r.Invite.EmailAddress.Raw()); state == tasks.Pending && mails != 1 {
			t.Errorf("person %d got %d mails", n, mails)
		}
	}
	if n := w.sim.Count(clerksim.OpBulkCreate); n > 2 {
		t.Errorf("got %d bulk calls for one batch of ten", n)
	}
}

// A bulk call is refused, and carried out in part all the same, against all that
// is documented. Before anybody knows, the dashboard has ended two of the
// invitations: only a look at all of them prevents a second mail.
func TestRefusedBulkThatTookEffect(t *testing.T) {
	for _, ignore := range []bool{false, true} {
		t.Run(fmt.Sprintf("ignore_existing %t", ignore), func(t *testing.T) {
			sw := clerksim.Switches{BulkPartial: true, Lag: 2 * time.Second, BulkUserNaming: clerksim.Unnamed, UserBypass: clerksim.UserBypassNever}
			play(t, clerksim.Config{Switches: sw}, func(t *testing.T, w *world) {
				w.change = append(w.change, func(c *Config) { c.NoScreening = true })
				w.sim.AddUser("person3@example.com")
				invites := people(0, 10)
				for n := range invites {
					invites[n].IgnoreExisting = ignore
				}
				s := w.mustStart()
				ids := w.give(invites...)
				for w.sim.Count(clerksim.OpBulkCreate) == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				if err := w.calm.Pause(t.Context(), time.Now(), tasks.Import); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if err := w.sim.RevokeInDashboard("person5@example.com"); err != nil {
					t.Fatal(err)
				}
				if err := w.sim.Accept("person7@example.com"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				if err := w.calm.Resume(t.Context(), tasks.Import); err != nil {
					t.Fatal(err)
				}
				s.dispatcher.wake.nudge()
				for n, r := range w.settle(time.Hour, ids...) {
					want := tasks.Pending
					switch n {
					case 3:
						want = tasks.Rejected
					case 5:
						want = tasks.Revoked
					case 7:
						want = tasks.Accepted
					}
					if r.State != want {
						t.Errorf("person %d is %s (%s), want %s", n, r.State, r.Reason, want)
					}
					if mails := w.sim.Mails(r.Invite.EmailAddress.Raw()); n != 3 && mails != 1 || n == 3 && mails != 0 {
						t.Errorf("person %d got %d mails", n, mails)
					}
				}
			})
		})
	}
}

// With ignore_existing the second reading comes when nothing can arrive any more: the
// latest call is found by it, and can be taken back.
func TestLatestCallIsFoundBeforeItIsParked(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.mustStart()
		i := person(1)
		i.IgnoreExisting = true
		w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Delay: ledger.ArrivalBound}, 1)
		id := w.give(i)[0]
		time.Sleep(20 * time.Minute)
		if r := w.records(id)[0]; r.State != tasks.Pending || r.Reason != tasks.ReasonAlreadyAtClerk {
			t.Fatalf("it is %s (%s), want pending", r.State, r.Reason)
		}
		if _, err := w.producer.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r := w.records(id)[0]
		if all := w.sim.ByAddress("person1@example.com"); r.State != tasks.Revoked || len(all) != 1 || all[0].Status != clerksim.StatusRevoked {
			t.Errorf("it is %s (%s), and at Clerk %+v", r.State, r.Reason, all)
		}
	})
}

// A call arrives when everybody has given it up: its invite was taken back, or has
// used up its attempts. The next pass finds what it made, and ends it if it is
// unwanted.
func TestCallThatArrivesLate(t *testing.T) {
	for _, c := range []struct {
		name   string
		revoke bool
		before tasks.State
		after  tasks.State
	}{
		{"taken back", true, tasks.Canceled, tasks.Revoked},
		{"out of attempts", false, tasks.Failed, tasks.Pending},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, clerksim.Config{}, func(t *testing.T, w *world) {
				w.tempo.deaf = false
				w.change = append(w.change, func(c *Config) { c.MaxAttempts = 1 })
				w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Delay: 2 * time.Minute}, 1)
				w.mustStart()
				id := w.give(person(1))[0]
				time.Sleep(3 * time.Second)
				if c.revoke {
					if _, err := w.producer.Revoke(t.Context(), id); err != nil {
						t.Fatal(err)
					}
				}
				if r := w.settle(time.Minute, id)[0]; r.State != c.before {
					t.Fatalf("it is %s (%s), want %s", r.State, r.Reason, c.before)
				}
				time.Sleep(15 * time.Minute)
				r := w.records(id)[0]
				all := w.sim.ByAddress("person1@example.com")
				if r.State != c.after || r.RevokeWanted || len(all) != 1 || all[0].ID != r.InvitationID || string(all[0].Status) != c.after.String() {
					t.Errorf("it is %s (%s), and at Clerk %+v", r.State, r.Reason, all)
				}
			})
		})
	}
}

// Somebody else invites a person whose invite was taken back in doubt: that
// invitation is theirs, and stays.
func TestInvitationAfterACanceledOneIsLeftAlone(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropBefore}, 1)
		w.mustStart()
		id := w.give(person(1))[0]
		time.Sleep(time.Second)
		if _, err := w.producer.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if r := w.settle(time.Minute, id)[0]; r.State != tasks.Canceled || !r.Doubt {
			t.Fatalf("it is %s (%s), in doubt %t, want canceled in doubt", r.State, r.Reason, r.Doubt)
		}
		time.Sleep(20 * time.Minute)
		theirs, err := w.sim.CreateForeign("person1@example.com")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		all := w.sim.ByAddress("person1@example.com")
		if r := w.records(id)[0]; r.State != tasks.Canceled || len(all) != 1 || all[0].ID != theirs.ID || all[0].Status != clerksim.StatusPending {
			t.Errorf("it is %s (%s), and at Clerk %+v", r.State, r.Reason, all)
		}
	})
}

// TestWatchLeavesTheNextInviteAlone: an invite was taken back in doubt, and the next
// one for the address, with the same content, has invited: its answer was lost. When
// the watch for the first one reads just then, the invitation is not taken for late.
func TestWatchLeavesTheNextInviteAlone(t *testing.T) {
	for offset := time.Duration(0); offset < 30*time.Second; offset += 3 * time.Second {
		play(t, clerksim.Config{}, func(t *testing.T, w *world) {
			w.tempo.deaf = false
			w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropBefore}, 1)
			w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropAfter, Delay: 8 * time.Second}, 1)
			w.mustStart()
			first := w.give(person(1))[0]
			time.Sleep(time.Second)
			if _, err := w.producer.Revoke(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if r := w.settle(time.Minute, first)[0]; r.State != tasks.Canceled || !r.Doubt {
				t.Fatalf("the first is %s (%s), in doubt %t", r.State, r.Reason, r.Doubt)
			}
			time.Sleep(20*time.Second + offset)
			second := w.give(person(1))[0]
			w.settle(5*time.Minute, second)
			time.Sleep(20 * time.Minute)
			r := w.records(second)[0]
			all := w.sim.ByAddress("person1@example.com")
			if r.State != tasks.Pending || len(all) != 1 || all[0].ID != r.InvitationID || all[0].Status != clerksim.StatusPending {
				t.Errorf("%s later, the second is %s (%s), and at Clerk %+v", offset, r.State, r.Reason, all)
			}
		})
	}
}

// Who is found to be a user before their turn leaves the list in it, and not when the
// claim has run out.
func TestScreenedAhead(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		list := people(0, 120)
		users := map[string]bool{}
		for n := 5; n < len(list); n += 13 {
			users[list[n].EmailAddress.Raw()] = true
			w.sim.AddUser(list[n].EmailAddress.Raw())
		}
		for n := range list {
			list[n].Lane = tasks.Import
		}
		w.mustStart()
		for _, r := range w.settle(15*time.Second, w.give(list...)...) {
			if want := users[r.Invite.EmailAddress.Raw()]; (r.State == tasks.Rejected) != want || r.Crashes > 0 {
				t.Errorf("%s is %s (%s) after %d crashes; a user: %t", r.Invite.ID, r.State, r.Reason, r.Crashes, want)
			}
		}
		if n := w.sim.CountStatus(clerksim.OpBulkCreate, 200); n != w.sim.Count(clerksim.OpBulkCreate) {
			t.Errorf("%d bulk calls, %d of them taken", w.sim.Count(clerksim.OpBulkCreate), n)
		}
	})
}

// The place of a user in a bulk call is filled with one who, as it turns out, was
// invited before Redis was emptied: that one leaves the call as well.
func TestPlaceIsFilledAfterAnEpoch(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.mustStart()
		sent := people(100, 110)
		for n := range sent {
			sent[n].Lane = tasks.Import
		}
		w.delivered(w.settle(time.Minute, w.give(sent...)...))
		time.Sleep(time.Minute)
		w.setBack(nil)
		list := append(people(0, 10), sent...)
		for n := range list {
			list[n].Lane, list[n].ImportID = tasks.Import, "again"
		}
		w.sim.AddUser(list[3].EmailAddress.Raw())
		for n, r := range w.settle(5*time.Minute, w.give(list...)...) {
			want := tasks.Pending
			if n == 3 {
				want = tasks.Rejected
			}
			if mails := w.sim.Mails(r.Invite.EmailAddress.Raw()); r.State != want || mails > 1 {
				t.Errorf("%s is %s (%s) after %d mails, want %s", r.Invite.ID, r.State, r.Reason, mails, want)
			}
		}
	})
}

// Whom the ledger knows to have an open invitation is looked for, one after the other
// and four at once: Clerk is not asked to refuse them, and no token is spent.
func TestKnownInvitationCostsNoToken(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.mustStart()
		w.delivered(w.settle(time.Minute, w.give(person(1))...))
		for _, n := range []int{1, 1, 4} {
			var ids []string
			for range n {
				ids = append(ids, w.give(person(1))...)
			}
			for _, r := range w.settle(5*time.Minute, ids...) {
				if r.State != tasks.Rejected || r.Reason != tasks.ReasonAlreadyInvited {
					t.Errorf("got %s (%s), want rejected (already_invited)", r.State, r.Reason)
				}
			}
		}
		if n := w.sim.Count(clerksim.OpCreate) + w.sim.Count(clerksim.OpBulkCreate); n != 1 {
			t.Errorf("%d calls for one invitation, want 1", n)
		}
		o, err := w.calm.Overview(t.Context(), time.Now())
		if spent := o.Quotas[ledger.Single].Spent + o.Quotas[ledger.Bulk].Spent; err != nil || spent != 1 {
			t.Errorf("spent %d tokens, want 1: %v", spent, err)
		}
		// Who was revoked at Clerk meanwhile is invited: the ledger alone decides nothing.
		if err := w.sim.RevokeInDashboard("person1@example.com"); err != nil {
			t.Fatal(err)
		}
		if r := w.settle(time.Minute, w.give(person(1))...)[0]; r.State != tasks.Pending {
			t.Errorf("revoked at Clerk and invited again: %s (%s)", r.State, r.Reason)
		}
	})
}

// An invite whose call kills its worker is parked after the third, with a line in
// the log, and released by hand.
func TestPoisonIsParked(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.sim.Inject(clerksim.OpCreate, clerksim.Fault{Kind: clerksim.DropBefore, Delay: time.Minute}, 3)
		id := w.give(person(1))[0]
		claim := ""
		for range 3 {
			s := w.mustStart()
			for r := w.records(id)[0]; r.State != tasks.Sending || r.Turn == claim; r = w.records(id)[0] {
				time.Sleep(200 * time.Millisecond)
			}
			claim = w.records(id)[0].Turn
			time.Sleep(time.Second)
			w.kill(s)
			time.Sleep(time.Minute)
		}
		last := w.mustStart()
		r := w.settle(5*time.Minute, id)[0]
		if r.State != tasks.Parked || r.Reason != tasks.ReasonWorkersDied || r.Attempts != 0 || r.Crashes != 3 {
			t.Fatalf("it is %s (%s) after %d attempts and %d crashes", r.State, r.Reason, r.Attempts, r.Crashes)
		}
		if !strings.Contains(w.logs(), id) {
			t.Error("no log line names it")
		}
		back, err := w.calm.Requeue(t.Context(), time.Now(), tasks.ReasonQueuedByHand, []tasks.State{tasks.Parked}, id)
		if err != nil || !back[0] {
			t.Fatal(back, err)
		}
		last.dispatcher.wake.nudge()
		w.delivered(w.settle(5*time.Minute, id))
	})
}

func TestRollingRestart(t *testing.T) {
	limits := clerksim.Limits{Single: clerksim.Limit{N: 100, Window: time.Minute}, Bulk: clerksim.Limit{N: 25, Window: time.Minute}}
	play(t, clerksim.Config{Limits: limits}, func(t *testing.T, w *world) {
		w.limits.Single.Window, w.limits.Bulk.Window = time.Minute, time.Minute
		workers := []*simWorker{w.mustStart(), w.mustStart()}
		ids := w.give(people(0, 600)...)
		for n := range 30 {
			ids = append(ids, w.give(person(1000+n))...)
			time.Sleep(10 * time.Second)
			s := workers[n%2]
			if took := w.stop(s); took > shutdownWithin || s.err != nil {
				t.Errorf("a restart took %s: %v", took, s.err)
			}
			workers[n%2] = w.mustStart()
		}
		records := w.settle(10*time.Minute, ids...)
		w.delivered(records)
		for _, r := range records {
			if r.Crashes > 0 || r.Doubt {
				t.Errorf("%s: %d claims ran out, in doubt %t: a shutdown could have waited", r.Invite.ID, r.Crashes, r.Doubt)
			}
		}
		// 630 are screened, some of them also ahead by a worker that was stopped then.
		if n := w.sim.Count(clerksim.OpList); n > 1000 {
			t.Errorf("%d reads: outcomes were looked up that a shutdown could have waited for", n)
		}
	})
}

// asynq's subscription waits for its answer without a limit, and asynq's shutdown
// waits for the subscription. A worker leaves in time all the same.
func TestLeavesWhileASubscriptionHangs(t *testing.T) {
	play(t, clerksim.Config{}, func(t *testing.T, w *world) {
		w.tempo.deaf = false
		w.hurts.set(func(h *hurts) { h.hush = "subscribe" })
		s := w.mustStart()
		ids := w.give(people(0, 10)...)
		w.delivered(w.settle(time.Minute, ids...))
		if took := w.stop(s); took > shutdownWithin || s.err != nil {
			t.Errorf("it took %s to leave: %v", took, s.err)
		}
	})
}

// While Redis refuses, there is one line in the log and no hot loop; the rest
// comes by itself.
func TestRedisTrouble(t *testing.T) {
	for trouble, says := range map[string]string{
		"LOADING Redis is loading the dataset in memory":                   "is loading its data",
		"OOM command not allowed when used memory > 'maxmemory'.":          "is full (maxmemory)",
		"NOPERM this user has no permissions to run the 'evalsha' command": "does not let this user do what is needed (the command evalsha)",
		"READONLY You can't write against a read only replica.":            "is a replica",
	} {
		t.Run(strings.Fields(trouble)[0], func(t *testing.T) {
			play(t, clerksim.Config{}, func(t *testing.T, w *world) {
				w.tempo.watch, w.tempo.deaf = 15*time.Second, false
				s := w.mustStart()
				time.Sleep(time.Minute)
				ids := w.give(people(0, 15)...)
				w.refuse(trouble)
				before := w.mini.CommandCount()
				time.Sleep(10 * time.Minute)
				if n := w.mini.CommandCount() - before; n > 10*60*40 {
					t.Errorf("%d commands in ten minutes to a Redis that refuses", n)
				}
				if code, body := ready(s); code != http.StatusServiceUnavailable || !strings.Contains(body, says) {
					t.Errorf("/readyz answers %d %s", code, body)
				}
				w.refuse("")
				w.delivered(w.settle(10*time.Minute, ids...))
				time.Sleep(time.Minute)
				if code, body := ready(s); code != http.StatusOK {
					t.Errorf("/readyz answers %d %s although Redis works again", code, body)
				}
				logs := w.logs()
				if n := strings.Count(logs, `"level":"error"`) + strings.Count(logs, `"level":"warn"`); n > 4 {
					t.Errorf("%d warnings and errors in the log for one trouble", n)
				}
				if bad, well := strings.Count(logs, `"not ready"`), strings.Count(logs, `"well again"`); bad != 1 || well != 1 {
					t.Errorf("%d lines say that it is not ready, %d that it is well again\n%s", bad, well, logs)
				}
			})
		})
	}
}
