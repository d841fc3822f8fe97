package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// busyLedger is a ledger in which every script has work to do.
type busyLedger struct {
	*Ledger
	flying                              Turn // a bulk turn that has not ended
	queued, pending, rejected, settling string
	wish                                string // to invite somebody anew
	doubtful                            string // settled, and a call of it may still arrive
}

// newBusyLedger empties the server and makes one.
func newBusyLedger(t *testing.T, admin *redis.Client, what string) busyLedger {
	t.Helper()
	if err := admin.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), admin, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	if err != nil {
		t.Fatal(err)
	}
	b := busyLedger{Ledger: l}
	at := start.Add(-3 * time.Hour)
	give := func(n int, importID string) (ids []string) {
		var all []tasks.Invite
		for range n {
			i := invite(t, tasks.NewID("p")+"@example.com")
			if i.ImportID = importID; importID != "" {
				i.Lane = tasks.Import
			}
			all = append(all, i)
			ids = append(ids, i.ID)
		}
		admit(t, l, at, all...)
		return ids
	}
	recovering := func() {
		t.Helper()
		if err := admin.HSet(t.Context(), l.keys.of("meta"), "recover", "1", "epochs", fmt.Sprintf("%d:%d:restarted", start.UnixMilli(), start.UnixMilli())).Err(); err != nil {
			t.Fatal(err)
		}
	}
	settle := func(to tasks.State, settled Settlement) string {
		tn := turn(t, l, at)
		r := tn.Batch[0]
		settled.ID, settled.Turn, settled.To = r.Invite.ID, r.Turn, to
		if _, err := l.SettleTurn(t.Context(), at, tn, Ending{Token: StampToken, Members: []Settlement{settled}}); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Minute)
		return r.Invite.ID
	}
	give(1, "")
	b.rejected = settle(tasks.Rejected, Settlement{Reason: "blocked"})
	give(1, "")
	b.pending = settle(tasks.Pending, Settlement{InvitationID: "inv_1"})
	give(1, "")
	b.doubtful = settle(tasks.Failed, Settlement{Reason: "attempts_exhausted", Call: LostCall})
	if err := admin.SAdd(t.Context(), l.keys.of("aside"), b.doubtful).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Beat(t.Context(), at, "run1"); err != nil {
		t.Fatal(err)
	}
	give(1, "")
	settle(tasks.Unknown, Settlement{Reason: "timeout", At: at})
	give(1, "imp_old")
	at = at.Add(40 * time.Minute)
	settle(tasks.Rejected, Settlement{Reason: "blocked"})
	at = at.Add(40 * time.Minute)
	give(12, "imp_new")
	b.flying = turn(t, l, at)
	if b.flying.Endpoint != Bulk {
		t.Fatalf("got a %s turn", b.flying.Endpoint)
	}
	b.settling = b.flying.Batch[0].Invite.ID
	later := invite(t, "later@example.com")
	later.NotBefore = at.Add(time.Minute)
	admit(t, l, at, later)
	b.queued = give(12, "")[0]
	wish, err := l.RequestMany(t.Context(), at, "", []tasks.State{tasks.Pending, tasks.Expired}, true, b.pending)
	if err != nil {
		t.Fatal(err)
	}
	b.wish = wish.ID
	if what == "recover" {
		recovering()
	}
	return b
}

// work lets each script do something; in the background, so to say, of b.
var work = map[string]func(t *testing.T, l *Ledger, b busyLedger) error{
	"admit": func(t *testing.T, l *Ledger, b busyLedger) error {
		i, j := invite(t, "new@example.com"), invite(t, "later2@example.com")
		i.ImportID, j.ImportID, j.NotBefore = "imp_more", "imp_more", start.Add(time.Hour)
		_, _, err := l.Admit(t.Context(), start, []tasks.Invite{i, j})
		return err
	},
	"one": func(t *testing.T, l *Ledger, b busyLedger) error {
		i := invite(t, "single@example.com")
		i.Owner = "billing"
		_, _, err := l.Admit(t.Context(), start, []tasks.Invite{i})
		return err
	},
	"turn": func(t *testing.T, l *Ledger, b busyLedger) error {
		_, err := l.Turn(t.Context(), b.flying.Deadline.Add(time.Hour), tasks.NewID("turn"))
		return err
	},
	"topup": func(t *testing.T, l *Ledger, b busyLedger) error {
		_, err := l.TopUp(t.Context(), b.flying.Deadline.Add(-time.Second), b.flying, 3)
		return err
	},
	"settle": func(t *testing.T, l *Ledger, b busyLedger) error {
		var members []Settlement
		for n, r := range b.flying.Batch {
			s := Settlement{ID: r.Invite.ID, Turn: r.Turn, To: tasks.Pending, InvitationID: fmt.Sprintf("inv_b%d", n)}
			if n == 1 {
				s = Settlement{ID: r.Invite.ID, Turn: r.Turn, To: tasks.Queued, Reason: "overload", At: start.Add(time.Hour)}
			}
			members = append(members, s)
		}
		_, err := l.SettleTurn(t.Context(), b.flying.Deadline.Add(-time.Second), b.flying, Ending{
			Token: RefundToken, Members: members,
			Gate: GateChange{Endpoint: Bulk, Until: start.Add(time.Hour), Why: "quota", Surprise: true},
		})
		return err
	},
	"gate": func(t *testing.T, l *Ledger, b busyLedger) error {
		return l.SetGate(t.Context(), start, GateChange{Endpoint: Single, Until: start.Add(time.Hour), Why: "quota", Surprise: true})
	},
	"cancel": func(t *testing.T, l *Ledger, b busyLedger) error {
		_, err := l.Cancel(t.Context(), start, b.queued)
		return errors.Join(err, second(l.Cancel(t.Context(), start, b.pending)))
	},
	"requeue": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.Requeue(t.Context(), start, "by_hand", []tasks.State{tasks.Rejected}, b.rejected))
	},
	"due": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.DueUnknown(t.Context(), start, time.Minute, 10))
	},
	"observe": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.Observe(t.Context(), start, Observation{ID: b.pending, From: tasks.Pending, To: tasks.Accepted}))
	},
	"spend": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.Spend(t.Context(), start))
	},
	"adopt": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.Adopt(t.Context(), start, Stranger{Invite: invite(t, "stranger@example.com"), InvitationID: "inv_s", State: tasks.Pending, CreatedAt: start}))
	},
	"trim": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.Trim(t.Context(), start, time.Hour, 10))
	},
	"forget": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.ForgetInvite(t.Context(), start, b.queued))
	},
	"beat": func(t *testing.T, l *Ledger, b busyLedger) error { return second(l.Beat(t.Context(), start, "run2")) },
	"recover": func(t *testing.T, l *Ledger, b busyLedger) error {
		return l.Recover(t.Context(), start, Epoch{Start: start, End: start}, []time.Time{start})
	},
	"unwatch": func(t *testing.T, l *Ledger, b busyLedger) error {
		return l.EndWatch(t.Context(), start.Add(24*time.Hour), b.doubtful)
	},
	"wish": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.RequestRevoke(t.Context(), start, "inv_theirs"))
	},
	"stop": func(t *testing.T, l *Ledger, b busyLedger) error { return l.PauseImport(t.Context(), start, "imp_new") },
	"sweep": func(t *testing.T, l *Ledger, b busyLedger) error {
		return second(l.SweepRequest(t.Context(), start, b.wish))
	},
	"salt": func(t *testing.T, l *Ledger, b busyLedger) error {
		return l.run(t.Context(), "salt", l.currentSalt().stands, rekeyingMark, "").Err()
	},
	"rekey": func(t *testing.T, l *Ledger, b busyLedger) error {
		other, err := newSalt(someKeys(t, 1))
		if err != nil {
			return err
		}
		k := rekeying{Ledger: l, from: l.currentSalt(), to: other}
		return k.encrypt(t.Context(), []string{b.queued})
	},
	"reindex": func(t *testing.T, l *Ledger, b busyLedger) error { return second(l.Reindex(t.Context())) },
	"sample": func(t *testing.T, l *Ledger, b busyLedger) error {
		return l.Sample(t.Context(), start, "v1", Waits{3: 2})
	},
	"note": func(t *testing.T, l *Ledger, b busyLedger) error { return l.Pause(t.Context(), start, tasks.Import) },
}

func second[T any](_ T, err error) error { return err }

// digest stands for all that Redis holds.
func digest(t *testing.T, admin *redis.Client) string {
	t.Helper()
	s, err := admin.Do(t.Context(), "debug", "digest").Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// as returns the ledger as a user sees it whose rights are still whole.
func as(t *testing.T, server *redistest.Server, user string) *Ledger {
	t.Helper()
	o := server.Options().Simple()
	o.Username, o.Password = user, "any"
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	l, err := Open(t.Context(), rdb, Config{Limits: ClerkLimits, Reserve: AutoReserve})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestRefusedScriptChangesNothing takes away the right to one command after the
// other from each script that calls it.
func TestRefusedScriptChangesNothing(t *testing.T) {
	server := redistest.Start(t, "--enable-debug-command", "yes")
	admin := server.Client(t)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		t.Run(name, func(t *testing.T) {
			do := work[name]
			if do == nil {
				t.Fatal("this test has no work for it")
			}
			b := newBusyLedger(t, admin, name)
			before := digest(t, admin)
			if err := do(t, b.Ledger, b); err != nil {
				t.Fatalf("with all rights: %v", err)
			}
			if digest(t, admin) == before {
				t.Fatal("with all rights it changes nothing")
			}
			src, err := b.source(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range commandsOf(src) {
				b := newBusyLedger(t, admin, name)
				acl := func(rules ...any) {
					t.Helper()
					if err := admin.Do(t.Context(), append([]any{"acl", "setuser", "u", "reset", "on", "nopass", "~*", "&*", "+@all"}, rules...)...).Err(); err != nil {
						t.Fatal(err)
					}
				}
				acl()
				l := as(t, server, "u")
				acl("-" + strings.ToLower(command))
				before := digest(t, admin)
				err := do(t, l, b)
				if redisconn.KindOf(err) != redisconn.NoRight || !strings.Contains(strings.ToUpper(err.Error()), "'"+command+"'") {
					t.Errorf("without %s: got %v", command, err)
				}
				if digest(t, admin) != before {
					t.Errorf("without %s it is half done", command)
				}
			}
		})
	}
}

// TestFullRedis fills Redis: what grows is refused whole, and all else goes on.
func TestFullRedis(t *testing.T) {
	server := redistest.Start(t, "--enable-debug-command", "yes", "--maxmemory-policy", "noeviction")
	admin := server.Client(t)
	fill := func(t *testing.T, limit string) {
		t.Helper()
		if err := admin.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		t.Run(name, func(t *testing.T) {
			b := newBusyLedger(t, admin, name)
			before := digest(t, admin)
			fill(t, "1")
			defer fill(t, "0")
			err := work[name](t, b.Ledger, b)
			changed := digest(t, admin) != before
			if slices.Contains(growing, name) {
				if redisconn.KindOf(err) != redisconn.Full || changed {
					t.Errorf("got %v; changed: %v", err, changed)
				}
				return
			}
			if err != nil || !changed {
				t.Errorf("got %v; changed: %v", err, changed)
			}
		})
	}
	t.Run("opening and reading", func(t *testing.T) {
		b := newBusyLedger(t, admin, "")
		fill(t, "1")
		defer fill(t, "0")
		l, err := Open(t.Context(), admin, Config{Limits: ClerkLimits})
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"publish":  l.Publish(t.Context()),
			"restore":  l.Restore(t.Context()),
			"overview": second(l.Overview(t.Context(), start)),
			"get":      second(l.Get(t.Context(), b.queued)),
			"list":     second(l.ListState(t.Context(), tasks.Queued, "", 10)),
			"pause":    l.Pause(t.Context(), start, tasks.Interactive),
			"resume":   l.Resume(t.Context(), tasks.Interactive),
			"report":   l.SaveReport(t.Context(), "full", 1, []string{"1"}),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
