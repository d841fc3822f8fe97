package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTokensLiveUntilRevoked(t *testing.T) {
	l := open(t, Config{})
	one, first, err := l.CreateToken(t.Context(), start, "billing", false)
	if err != nil {
		t.Fatal(err)
	}
	two, second, err := l.CreateToken(t.Context(), start.Add(time.Hour), "billing", false)
	if err != nil {
		t.Fatal(err)
	}
	web, _, err := l.CreateToken(t.Context(), start.Add(2*time.Hour), "web", true)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || !strings.HasPrefix(one, "sk_test_") || len(one) != len(tokenPrefix)+tokenIDLen+secretLen {
		t.Errorf("got tokens %q and %q", one, two)
	}
	got, err := l.Authenticate(t.Context(), one)
	if err != nil || got.ID != first.ID || got.Name != "billing" || got.ReadOnly || !got.CreatedAt.Equal(start) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := l.TokenUsed(t.Context(), start.Add(3*time.Hour), second.ID); err != nil {
		t.Fatal(err)
	}
	all, err := l.Tokens(t.Context())
	if err != nil || len(all) != 3 || all[0].ID != first.ID || !all[0].UsedAt.IsZero() || !all[1].UsedAt.Equal(start.Add(3*time.Hour)) || !all[2].ReadOnly {
		t.Errorf("got %+v, %v", all, err)
	}
	// What is kept does not hold a secret.
	stored, err := l.Redis().HGetAll(t.Context(), l.keys.of("tokens")).Result()
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
	if gone, err := l.RevokeTokens(t.Context(), first.ID); err != nil || len(gone) != 1 {
		t.Errorf("revoked by id: %v, %v", gone, err)
	}
	if _, err := l.Authenticate(t.Context(), one); !errors.Is(err, ErrToken) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := l.Authenticate(t.Context(), two); err != nil {
		t.Errorf("the other token of the name: %v", err)
	}
	if gone, err := l.RevokeTokens(t.Context(), "billing"); err != nil || len(gone) != 1 || gone[0].ID != second.ID {
		t.Errorf("revoked by name: %v, %v", gone, err)
	}
	if _, err := l.RevokeTokens(t.Context(), "billing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if got, err := l.Authenticate(t.Context(), web); err != nil || !got.ReadOnly {
		t.Errorf("somebody else's token, which is read-only: %+v, %v", got, err)
	}
}

func TestBadTokens(t *testing.T) {
	l := open(t, Config{})
	good, _, err := l.CreateToken(t.Context(), start, "a", false)
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, Config{})
	for _, bearer := range []string{
		"", "sk_test_", good + "0", good[:len(good)-1], "sk_live_" + good[8:], strings.ToUpper(good), strings.Repeat("a", len(good)),
		tokenPrefix + strings.Repeat("\x00", tokenIDLen+secretLen), tokenPrefix + strings.Repeat(":", tokenIDLen) + good[len(tokenPrefix)+tokenIDLen:],
		good[:len(tokenPrefix)+tokenIDLen] + strings.Repeat("0", secretLen),
	} {
		if _, err := l.Authenticate(t.Context(), bearer); !errors.Is(err, ErrToken) {
			t.Errorf("%q: got %v, want ErrToken", bearer, err)
		}
	}
	if _, err := other.Authenticate(t.Context(), good); !errors.Is(err, ErrToken) {
		t.Errorf("at another instance: %v", err)
	}
	for _, name := range []string{"", "a b", "ada@example.com", "tok_x", strings.Repeat("x", 65), "a\n"} {
		if _, _, err := l.CreateToken(t.Context(), start, name, false); err == nil {
			t.Errorf("a token named %q was made", name)
		} else if strings.Contains(err.Error(), "ada") {
			t.Errorf("the error quotes the name: %v", err)
		}
	}
}

func TestBind(t *testing.T) {
	l := open(t, Config{})
	for _, c := range []struct{ name, value, want string }{{"k", "one", "one"}, {"k", "two", "one"}, {"other", "two", "two"}, {"k", "one", "one"}} {
		if got, err := l.Bind(t.Context(), c.name, c.value, time.Hour); err != nil || got != c.want {
			t.Errorf("bind %s to %s: got %s, %v; want %s", c.name, c.value, got, err, c.want)
		}
	}
	if left, err := l.Redis().TTL(t.Context(), l.keys.of("bound")+"k").Result(); err != nil || left <= 0 || left > time.Hour {
		t.Errorf("it lasts %s, %v", left, err)
	}
}
