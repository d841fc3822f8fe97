package reconcile

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// world is a ledger and a simulated Clerk that agree, until a test makes them
// disagree.
type world struct {
	*testing.T
	sim    *clerksim.Sim
	clerk  *clerk.Client
	ledger *ledger.Ledger
}

func newWorld(t *testing.T, cfg clerksim.Config) *world {
	t.Helper()
	return worldOver(t, cfg, redistest.Shared(t), redistest.Instance())
}

func worldOver(t *testing.T, cfg clerksim.Config, rdb *redis.Client, instance string) *world {
	t.Helper()
	sim, err := clerksim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: "http://127.0.0.1/v1", DialContext: sim.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	l, err := ledger.Open(t.Context(), rdb, ledger.Config{Instance: instance, Limits: ledger.Limits{}})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, sim, c, l}
}

func email(t testing.TB, address string) tasks.Email {
	t.Helper()
	e, err := tasks.ParseEmail(address)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// deliver invites n people through both sides, some time ago.
func (w *world) deliver(n int) []string {
	w.Helper()
	var ids []string
	for i := range n {
		address := fmt.Sprintf("p%d@example.com", i)
		inv, err := w.sim.CreateForeign(address)
		if err != nil {
			w.Fatal(err)
		}
		ids = append(ids, w.record(address, inv.ID, time.Now().Add(-time.Hour)))
	}
	return ids
}

// claim writes the record of an invite that has been claimed for a call.
func (w *world) claim(address string, at time.Time) (string, ledger.Turn) {
	w.Helper()
	one := tasks.Invite{ID: tasks.NewID("inq"), EmailAddress: email(w, address)}
	if _, _, err := w.ledger.Admit(w.Context(), at, []tasks.Invite{one}); err != nil {
		w.Fatal(err)
	}
	turn, err := w.ledger.Turn(w.Context(), at, tasks.NewID("turn"))
	if err != nil || len(turn.Batch) != 1 {
		w.Fatalf("got turn %+v, %v", turn, err)
	}
	return one.ID, turn
}

// record writes the record of an invite that Clerk has taken.
func (w *world) record(address, invitationID string, at time.Time) string {
	w.Helper()
	id, turn := w.claim(address, at)
	w.settle(at, turn, ledger.Settlement{To: tasks.Pending, InvitationID: invitationID})
	return id
}

// settle settles the one invite of a turn.
func (w *world) settle(at time.Time, turn ledger.Turn, s ledger.Settlement) {
	w.Helper()
	s.ID, s.Turn = turn.Batch[0].Invite.ID, turn.Batch[0].Turn
	if _, err := w.ledger.SettleTurn(w.Context(), at, turn, ledger.Ending{Token: ledger.StampToken, Members: []ledger.Settlement{s}}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) run(p Pass) Report {
	w.Helper()
	p.Ledger, p.Clerk = w.ledger, w.clerk
	r, err := p.Run(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	if !p.DryRun {
		w.counted(r)
	}
	return r
}

// counted compares the rows of the last report with its counts.
func (w *world) counted(r Report) []Row {
	w.Helper()
	rows, kept, err := Rows(w.Context(), w.ledger, r, "", 0, 1e6)
	if err != nil {
		w.Fatal(err)
	}
	counts := map[Finding]int{}
	for _, row := range rows {
		counts[row.Finding]++
	}
	if kept != len(rows) {
		w.Errorf("%d rows, and %d are kept", len(rows), kept)
	}
	for f, n := range counts {
		last, kept, err := Rows(w.Context(), w.ledger, r, f, n-1, 5)
		if err != nil || kept != n || len(last) != 1 || last[0].Finding != f {
			w.Errorf("the last of %d that are %s: %+v of %d, %v", n, f, last, kept, err)
		}
	}
	for f, n := range r.Counts() {
		if counts[f] != min(n, RowsKept) {
			w.Errorf("%d rows are %s, and %d are counted", counts[f], f, n)
		}
	}
	return rows
}

func (w *world) state(id string) tasks.State {
	w.Helper()
	r, err := w.ledger.Get(w.Context(), id)
	if err != nil || len(r) != 1 {
		w.Fatalf("got %v, %v", r, err)
	}
	return r[0].State
}

func TestDriftIsSettledInOnePass(t *testing.T) {
	w := newWorld(t, clerksim.Config{})
	ids := w.deliver(30)
	if err := w.sim.Accept("p3@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.RevokeInDashboard("p7@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sim.CreateForeign("stranger@example.com"); err != nil {
		t.Fatal(err)
	}
	dry := w.run(Pass{Full: true, DryRun: true})
	if w.state(ids[3]) != tasks.Pending {
		t.Error("a dry run has changed the ledger")
	}
	got := w.run(Pass{Full: true, Adopt: true})
	for _, r := range []Report{dry, got} {
		if !r.Agreed || r.Scanned != 31 || r.Same != 28 || r.Foreign != 1 || r.Settled["pending→accepted"] != 1 || r.Settled["pending→revoked"] != 1 || r.Missing != 0 {
			t.Errorf("got %+v", r)
		}
	}
	if w.state(ids[3]) != tasks.Accepted || w.state(ids[7]) != tasks.Revoked || got.Adopted != 1 {
		t.Errorf("got %s, %s, %d adopted", w.state(ids[3]), w.state(ids[7]), got.Adopted)
	}
	w.rows(got, map[Finding][]string{
		Settled: {"p***@e*** pending accepted " + ids[3], "p***@e*** pending revoked " + ids[7]},
		Foreign: {"s***@e***  pending "},
	})
	if again := w.run(Pass{Full: true}); again.Differences() != 0 || again.Same != 31 || again.Foreign != 0 {
		t.Errorf("a second pass finds %+v", again)
	}
}

// rows compares the rows of the last report with what they should say, and looks for
// addresses.
func (w *world) rows(r Report, want map[Finding][]string) {
	w.Helper()
	got := map[Finding][]string{}
	for _, row := range w.counted(r) {
		got[row.Finding] = append(got[row.Finding], strings.Join([]string{row.Address, row.Ledger, row.Clerk, row.InviteID}, " "))
		if row.InvitationID == "" || (row.Finding == Foreign) != (row.InviteID == "" && row.Finding != Doubled && row.Finding != Unadoptable) {
			w.Errorf("row %+v", row)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("the rows (want, got):\n%s", diff)
	}
	if r.Again() != 0 {
		w.Errorf("%d findings are about nothing that was scanned: %+v", r.Again(), r)
	}
	raw := strings.Join(w.ledger.Redis().LRange(w.Context(), "inviteq:{"+w.ledger.Instance()+"}:found:"+r.Kind, 0, -1).Val(), "")
	if raw == "" || strings.Contains(raw, "@example.com") {
		w.Errorf("Redis keeps %q", raw)
	}
}

func TestCompareIsExhaustive(t *testing.T) {
	for _, have := range tasks.States {
		for _, seen := range append(clerk.AllStatuses(), "new_in_clerk") {
			f, to := compare(have, seen)
			if (f == settle) == (to == have) {
				t.Errorf("%s × %s: finding %d goes to %s", have, seen, f, to)
			}
			if f == settle && !to.Delivered() {
				t.Errorf("%s × %s: goes to %s, which no invitation can be", have, seen, to)
			}
			if seen == "new_in_clerk" && f != leave {
				t.Errorf("%s × an unknown status: got %d, want to leave it", have, f)
			}
		}
	}
	rows := map[string]tasks.State{ // Every row that acts.
		"pending×accepted": tasks.Accepted, "pending×expired": tasks.Expired, "pending×revoked": tasks.Revoked,
		"unknown×pending": tasks.Pending, "unknown×accepted": tasks.Accepted, "unknown×expired": tasks.Expired, "unknown×revoked": tasks.Revoked,
		"expired×accepted": tasks.Accepted, "expired×revoked": tasks.Revoked, "revoked×accepted": tasks.Accepted,
	}
	for _, have := range tasks.States {
		for _, seen := range clerk.AllStatuses() {
			key := have.String() + "×" + string(seen)
			f, to := compare(have, seen)
			if want, acts := rows[key]; (f == settle) != acts || acts && to != want {
				t.Errorf("%s: got finding %d to %s", key, f, to)
			}
		}
	}
}
