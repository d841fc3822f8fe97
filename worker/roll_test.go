package worker

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/ownership"
)

// TestRoll looks for invites that waited before an epoch, at a Clerk that lists
// everything at once, or no more than ten of what it counts. There each is asked for
// by itself, and nobody waits.
func TestRoll(t *testing.T) {
	const listed = 3000
	for _, short := range []bool{false, true} {
		t.Run(fmt.Sprintf("short=%t", short), func(t *testing.T) {
			var whole, single int
			now := time.Now()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if q := r.URL.Query().Get("query"); q != "" {
					single++
					_, _ = fmt.Fprint(w, `{"data":[],"total_count":0}`)
					return
				}
				whole++
				var offset int
				_, _ = fmt.Sscan(r.URL.Query().Get("offset"), &offset)
				most := 500
				if short {
					most = 10
				}
				_, _ = fmt.Fprint(w, `{"data":[`)
				for n := offset; n < min(offset+most, listed); n++ {
					if n > offset {
						_, _ = fmt.Fprint(w, ",")
					}
					made := now.Add(-time.Duration(n) * time.Second).UnixMilli()
					_, _ = fmt.Fprintf(w, `{"object":"invitation","id":"inv_%d","email_address":"Person%d@example.com","status":"pending","created_at":%d}`, n, n, made)
				}
				_, _ = fmt.Fprintf(w, `],"total_count":%d}`, listed)
			}))
			defer srv.Close()
			key, err := clerk.ParseSecretKey(clerksim.DefaultSecretKey)
			if err != nil {
				t.Fatal(err)
			}
			client, err := clerk.New(clerk.Config{SecretKey: key, BaseURL: srv.URL + "/v1"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			s := newStage(t, clerksim.Config{})
			facts := ownership.Facts{Now: now, Epochs: []ledger.Epoch{{Start: now.Add(-2 * time.Minute), End: now.Add(-time.Minute)}}}
			r := newReads(s.ledger, client, func() ownership.Facts { return facts })

			look := func(of ...int) (absent int) {
				t.Helper()
				var waiting []ledger.Record
				for _, n := range of {
					i := person(n)
					i.ID = tasks.NewID("inq")
					waiting = append(waiting, ledger.Record{Invite: i, State: tasks.Queued, CreatedAt: now.Add(-time.Hour)})
				}
				shown, _, err := r.look(t.Context(), waiting)
				if err != nil || len(shown) != len(of) {
					t.Fatalf("looked for %d, read %d: %v", len(of), len(shown), err)
				}
				return single
			}
			if n := look(5000, 5001, 5002, 100); short && n != 4 || !short && n != 1 {
				t.Errorf("%d were asked for by themselves", n)
			}
			if !short && whole != 1 {
				t.Errorf("%d pages were read for a gap of three minutes, want 1", whole)
			}
			facts.Now = now.Add(time.Millisecond)
			look(5003, 5004)
			if !short && (whole != 1 || single != 1) {
				t.Errorf("read %d pages and %d addresses at once again, want 1 and 1", whole, single)
			}
			// Another epoch, which began long ago: the list is read down to there, ten pages for each who asks.
			facts.Epochs = append(facts.Epochs, ledger.Epoch{Start: now.Add(-45 * time.Minute), End: now.Add(-44 * time.Minute)})
			before := whole
			look(5005)
			if !short && (whole != before+7 || single != 1) {
				t.Errorf("read %d pages and %d addresses back to 45 minutes ago, want 7 and 1", whole-before, single)
			}
			if n := look(2000); !short && n != 2 {
				t.Errorf("who was invited 33 minutes ago was not asked for by themselves")
			}
		})
	}
}

// TestRollIsFreshEnough: a list that takes long to read is read rarely, but once after
// each epoch, once more before the first invite goes that nothing else protects, and
// no more when nothing can arrive.
func TestRollIsFreshEnough(t *testing.T) {
	end := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	facts := ownership.Facts{Claim: 25 * time.Second, Epochs: []ledger.Epoch{{Start: end.Add(-time.Second), End: end}}}
	for _, c := range []struct {
		name   string
		after  time.Duration // the end of the epoch
		took   time.Duration // the last reading
		ignore bool
		want   time.Duration
	}{
		{"quickly read", time.Minute, 50 * time.Millisecond, false, 59 * time.Second},
		{"read in two seconds", time.Minute, 2 * time.Second, false, 40 * time.Second},
		{"read in minutes", 5 * time.Minute, 2 * time.Minute, false, 5*time.Minute - watchLag},
		{"read before the epoch", 5 * time.Second, 2 * time.Second, false, 0},
		{"while a call may be under way", 30 * time.Second, 2 * time.Second, true, 10 * time.Second},
		{"when none is any more", 41 * time.Second, 2 * time.Second, true, 40 * time.Second},
		{"later", 2 * time.Minute, 2 * time.Second, true, 100 * time.Second},
		{"when nothing can arrive", time.Hour, 2 * time.Second, true, ledger.ArrivalBound + watchLag},
	} {
		facts.Now = end.Add(c.after)
		r := roll{took: c.took}
		rec := ledger.Record{Invite: tasks.Invite{ID: "a", IgnoreExisting: c.ignore}, State: tasks.Queued}
		since, upTo := r.needs([]ledger.Record{rec}, facts)
		if got := upTo.Sub(end); got != c.want || end.Sub(since) != time.Second+rollBack {
			t.Errorf("%s: since %s before the end, read %s after it, want %s", c.name, end.Sub(since), got, c.want)
		}
	}
}
