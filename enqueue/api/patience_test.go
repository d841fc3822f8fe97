package api_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/api"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// TestLongWaits: a request may wait for longer than one request's work in Redis may take,
// and its answer is whole. Nobody works here, so that each waits for as long as it asks.
func TestLongWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		defer mini.Close()
		mini.SetTime(time.Now())
		rdb := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:6379", Protocol: 2, DisableIdentity: true,
			Dialer:                   func(context.Context, string, string) (net.Conn, error) { return mini.Dial() },
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		defer rdb.Close()
		client, err := enqueue.New(enqueue.Config{Redis: rdb})
		if err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(t.Context(), rdb, ledger.Config{Limits: ledger.ClerkLimits})
		if err != nil {
			t.Fatal(err)
		}
		a, err := api.New(api.Config{Client: client, Ledger: l})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		bearer, _, err := access.NewStore(rdb, ledger.KeyPrefix("")).Create(t.Context(), time.Now(), "a", access.Admin, access.Instance)
		if err != nil {
			t.Fatal(err)
		}
		sending := tasks.Invite{ID: "being-sent"}
		if sending.EmailAddress, err = tasks.ParseEmail("cy@example.com"); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Invite(t.Context(), sending); err != nil {
			t.Fatal(err)
		}
		if turn, err := l.Turn(t.Context(), time.Now().Add(time.Second), tasks.NewID("turn")); err != nil || len(turn.Batch) != 1 {
			t.Fatalf("got %+v, %v", turn, err)
		}
		for _, c := range []struct{ method, path, body, want string }{
			{"POST", "/v1/invitations?", `{"email_address":"ada@example.com"}`, `"state":"queued"`},
			{"POST", "/v1/invitations/bulk?", `[{"email_address":"bob@example.com"}]`, `"state":"queued"`},
			{"POST", "/v1/invitations/inv_of_another/revoke?", "", `"revoking":true`},
			{"POST", "/v1/invitations/being-sent/revoke?", "", `"revoking":true`},
			{"GET", "/v1/events?after=$&", "", `"data":[]`},
		} {
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path+"wait=30", strings.NewReader(c.body))
			r.Header.Set("Authorization", "Bearer "+bearer)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			began := time.Now()
			a.ServeHTTP(w, r)
			if took := time.Since(began); w.Code != 200 || !strings.Contains(w.Body.String(), c.want) || took < 30*time.Second || took > 31*time.Second {
				t.Errorf("%s %s: after %s %d %s", c.method, c.path, took, w.Code, w.Body)
			}
		}
	})
}
