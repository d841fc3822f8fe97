package worker

import (
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

// The worlds tell which server Redis is, unless they are to keep it to themselves: most
// of what is proven about a Redis that goes back rests on it.
func TestWorldsTellWhichServer(t *testing.T) {
	for _, nameless := range []bool{false, true} {
		play(t, clerksim.Config{}, func(t *testing.T, w *world) {
			w.nameless.Store(nameless)
			w.mustStart()
			time.Sleep(time.Minute)
			if got := strings.Contains(w.logs(), "does not tell which server"); got != nameless {
				t.Errorf("nameless %t: the worker misses the server's name: %t", nameless, got)
			}
		})
	}
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
		if o, err := w.calm.Overview(t.Context(), time.Now()); err != nil || o.Outage() == "" || !o.Drain().IsZero() {
			t.Errorf("ten minutes into the outage: %q, all sent %s, %v", o.Outage(), o.Drain(), err)
		}
		time.Sleep(time.Until(began.Add(outage)))
		// A worker's breaker opens after five failures (four calls may be under way then) and probes after 15 s, 30 s, 60 s and then every two minutes.
		if calls, most := len(w.sim.Calls()), 2*(5+4+47); calls > most {
			t.Errorf("Clerk got %d requests while it was down; two workers may make %d", calls, most)
		}
		w.delivered(w.settle(15*time.Minute, ids...))
		if o, err := w.calm.Overview(t.Context(), time.Now()); err != nil || o.Outage() != "" {
			t.Errorf("after the outage: %q, %v", o.Outage(), err)
		}
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

// TestIdleWorkerHearsOfAResume: whoever lets a lane or an import go on does not wait
// for a worker's next look.
func TestIdleWorkerHearsOfAResume(t *testing.T) {
	for name, c := range map[string]struct{ pause, resume func(*world) error }{
		"lane": {
			func(w *world) error { return w.calm.Pause(w.t.Context(), ledger.Now, tasks.Import) },
			func(w *world) error { return w.calm.Resume(w.t.Context(), tasks.Import) },
		},
		"import": {
			func(w *world) error { return w.calm.PauseImport(w.t.Context(), ledger.Now, "imp") },
			func(w *world) error { _, err := w.calm.ResumeImport(w.t.Context(), ledger.Now, "imp"); return err },
		},
	} {
		play(t, clerksim.Config{}, func(t *testing.T, w *world) {
			w.tempo.beat, w.tempo.idle, w.tempo.tasks = time.Second, time.Hour, time.Hour
			w.mustStart()
			time.Sleep(time.Minute)
			w.delivered(w.settle(time.Minute, w.give(people(0, 1)...)...))
			if err := c.pause(w); err != nil {
				t.Fatal(name, err)
			}
			ids := w.give(people(1, 5)...)
			time.Sleep(5 * time.Minute)
			if r := w.records(ids...)[0]; r.State != tasks.Queued {
				t.Errorf("%s: it is %s although paused", name, r.State)
			}
			if err := c.resume(w); err != nil {
				t.Fatal(name, err)
			}
			time.Sleep(5 * time.Second)
			w.delivered(w.records(ids...))
		})
	}
}
