package api

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

var start = time.UnixMilli(1_800_000_000_000)

func newStore(t testing.TB) *Store {
	t.Helper()
	return NewStore(redistest.Shared(t), redistest.Instance())
}

// TestTokensOfBefore: keys and values are spelt as inviteq 0.1 has written them, so
// that its tokens and bindings go on working.
func TestTokensOfBefore(t *testing.T) {
	rdb, instance := redistest.Shared(t), redistest.Instance()
	s := NewStore(rdb, instance)
	const bearer = "sk_test_inq0123456789abcdef" + "zyxwvtsrqpnmkjhgfedcba9876543210zyxwvtsrqpnmkjhgfedc"
	if err := rdb.HSet(t.Context(), "inviteq:{"+instance+"}:tokens",
		"tok_0123456789abcdef", `{"name":"billing","sha256":"f6d6d4f49fdf5da5d1cbfc7a1e9ad8f3","created":1800000000000}`, // of another secret
		"tok_0123456789abcdeg", "not JSON").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), bearer); !errors.Is(err, ErrToken) {
		t.Errorf("another secret: %v", err)
	}
	if err := rdb.HSet(t.Context(), "inviteq:{"+instance+"}:tokens",
		"tok_0123456789abcdef", `{"name":"billing","sha256":"0a19379d39dc2b937aa568e4e284adf5b70c8dd3092bcdaa6044a158b12b0a65","created":1800000000000,"read_only":true}`,
		"tok_0123456789abcdef:used", "1800000060000").Err(); err != nil {
		t.Fatal(err)
	}
	got, err := s.Authenticate(t.Context(), bearer)
	if err != nil || got.Name != "billing" || !got.ReadOnly || !got.CreatedAt.Equal(start) {
		t.Errorf("got %+v, %v", got, err)
	}
	all, err := s.Tokens(t.Context())
	if err != nil || len(all) != 1 || !all[0].UsedAt.Equal(start.Add(time.Minute)) {
		t.Errorf("listed %+v, %v", all, err)
	}
	if err := rdb.Set(t.Context(), "inviteq:{"+instance+"}:bound:key_x", "before", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if bound, err := s.bind(t.Context(), "key_x", "now", time.Hour); err != nil || bound != "before" {
		t.Errorf("bound to %q, %v", bound, err)
	}
	if key := NewStore(rdb, "").tokens; key != "inviteq:{default}:tokens" {
		t.Errorf("the default instance's tokens stand under %s", key)
	}
}

func TestTokensLiveUntilRevoked(t *testing.T) {
	s := newStore(t)
	one, first, err := s.CreateToken(t.Context(), start, "billing", false)
	if err != nil {
		t.Fatal(err)
	}
	two, second, err := s.CreateToken(t.Context(), start.Add(time.Hour), "billing", false)
	if err != nil {
		t.Fatal(err)
	}
	web, _, err := s.CreateToken(t.Context(), start.Add(2*time.Hour), "web", true)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || !strings.HasPrefix(one, "sk_test_") || len(one) != len(tokenPrefix)+tokenIDLen+secretLen {
		t.Errorf("got tokens %q and %q", one, two)
	}
	got, err := s.Authenticate(t.Context(), one)
	if err != nil || got.ID != first.ID || got.Name != "billing" || got.ReadOnly || !got.CreatedAt.Equal(start) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := s.TokenUsed(t.Context(), start.Add(3*time.Hour), second.ID); err != nil {
		t.Fatal(err)
	}
	all, err := s.Tokens(t.Context())
	if err != nil || len(all) != 3 || all[0].ID != first.ID || !all[0].UsedAt.IsZero() || !all[1].UsedAt.Equal(start.Add(3*time.Hour)) || !all[2].ReadOnly {
		t.Errorf("got %+v, %v", all, err)
	}
	// What is kept does not hold a secret.
	stored, err := s.rdb.HGetAll(t.Context(), s.tokens).Result()
	if err != nil || len(stored) != 4 {
		t.Fatalf("%d fields, %v", len(stored), err)
	}
	for field, value := range stored {
		for _, bearer := range []string{one, two, web} {
			if strings.Contains(field+value, bearer[len(bearer)-secretLen:]) {
				t.Errorf("%s holds a secret", field)
			}
		}
	}
	if gone, err := s.RevokeTokens(t.Context(), first.ID); err != nil || len(gone) != 1 {
		t.Errorf("revoked by id: %v, %v", gone, err)
	}
	if _, err := s.Authenticate(t.Context(), one); !errors.Is(err, ErrToken) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), two); err != nil {
		t.Errorf("the other token of the name: %v", err)
	}
	if gone, err := s.RevokeTokens(t.Context(), "billing"); err != nil || len(gone) != 1 || gone[0].ID != second.ID {
		t.Errorf("revoked by name: %v, %v", gone, err)
	}
	if _, err := s.RevokeTokens(t.Context(), "billing"); !errors.Is(err, ErrToken) {
		t.Errorf("revoked twice: %v", err)
	}
	if got, err := s.Authenticate(t.Context(), web); err != nil || !got.ReadOnly {
		t.Errorf("somebody else's token, which is read-only: %+v, %v", got, err)
	}
}

func TestBadTokens(t *testing.T) {
	s := newStore(t)
	good, _, err := s.CreateToken(t.Context(), start, "a", false)
	if err != nil {
		t.Fatal(err)
	}
	other := newStore(t)
	for _, bearer := range []string{
		"", "sk_test_", good + "0", good[:len(good)-1], "sk_live_" + good[8:], strings.ToUpper(good), strings.Repeat("a", len(good)),
		tokenPrefix + strings.Repeat("\x00", tokenIDLen+secretLen), tokenPrefix + strings.Repeat(":", tokenIDLen) + good[len(tokenPrefix)+tokenIDLen:],
		good[:len(tokenPrefix)+tokenIDLen] + strings.Repeat("0", secretLen),
	} {
		if _, err := s.Authenticate(t.Context(), bearer); !errors.Is(err, ErrToken) {
			t.Errorf("%q: got %v, want ErrToken", bearer, err)
		}
	}
	if _, err := other.Authenticate(t.Context(), good); !errors.Is(err, ErrToken) {
		t.Errorf("at another instance: %v", err)
	}
	for _, name := range []string{"", "a b", "ada@example.com", "tok_x", strings.Repeat("x", 65), "a\n"} {
		if _, _, err := s.CreateToken(t.Context(), start, name, false); err == nil {
			t.Errorf("a token named %q was made", name)
		} else if strings.Contains(err.Error(), "ada") {
			t.Errorf("the error quotes the name: %v", err)
		}
	}
}

func TestBind(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct{ name, value, want string }{{"k", "one", "one"}, {"k", "two", "one"}, {"other", "two", "two"}, {"k", "one", "one"}} {
		if got, err := s.bind(t.Context(), c.name, c.value, time.Hour); err != nil || got != c.want {
			t.Errorf("bind %s to %s: got %s, %v; want %s", c.name, c.value, got, err, c.want)
		}
	}
	if left, err := s.rdb.TTL(t.Context(), s.bound+"k").Result(); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("it lasts %s, %v", left, err)
	}
}
