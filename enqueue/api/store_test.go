package api

import (
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestBind(t *testing.T) {
	s := newStore(redistest.Shared(t), redistest.Instance())
	for _, c := range []struct{ name, value, want string }{{"k", "one", "one"}, {"k", "two", "one"}, {"other", "two", "two"}, {"k", "one", "one"}} {
		if got, err := s.bind(t.Context(), c.name, c.value, time.Hour); err != nil || got != c.want {
			t.Errorf("bind %s to %s: got %s, %v; want %s", c.name, c.value, got, err, c.want)
		}
	}
	if left, err := s.rdb.TTL(t.Context(), s.bound+"k").Result(); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("it lasts %s, %v", left, err)
	}
	if key := newStore(s.rdb, "").bound; key != "inviteq:{default}:bound:" {
		t.Errorf("bindings of 0.1 stand under %s", key)
	}
}
