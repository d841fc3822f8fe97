package access

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

func newStore(t testing.TB) *Store {
	t.Helper()
	return NewStore(redistest.Shared(t), "inviteq:{"+redistest.Instance()+"}:")
}

// TestTokensOfBefore: keys and values are spelt as inviteq 0.1 has written them, so
// that its tokens go on working.
func TestTokensOfBefore(t *testing.T) {
	rdb, instance := redistest.Shared(t), redistest.Instance()
	s := NewStore(rdb, "inviteq:{"+instance+"}:")
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
	if err != nil || got.Name != "billing" || got.Role != Viewer || got.Scope != Instance || !got.OfBefore || !got.CreatedAt.Equal(start) {
		t.Errorf("got %+v, %v", got, err)
	}
	all, err := s.Tokens(t.Context())
	if err != nil || len(all) != 1 || !all[0].UsedAt.Equal(start.Add(time.Minute)) {
		t.Errorf("listed %+v, %v", all, err)
	}
}

func TestTokensLiveUntilRevoked(t *testing.T) {
	s := newStore(t)
	one, first, err := s.Create(t.Context(), start, "billing", Operator, Own)
	if err != nil {
		t.Fatal(err)
	}
	two, second, err := s.Create(t.Context(), start.Add(time.Hour), "billing", Admin, Own)
	if err != nil {
		t.Fatal(err)
	}
	web, _, err := s.Create(t.Context(), start.Add(2*time.Hour), "web", Viewer, Instance)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || !strings.HasPrefix(one, "sk_test_") || len(one) != len(tokenPrefix)+tokenIDLen+secretLen {
		t.Errorf("got tokens %q and %q", one, two)
	}
	got, err := s.Authenticate(t.Context(), one)
	if err != nil || got.ID != first.ID || got.Name != "billing" || got.Role != Operator || got.Scope != Own || got.OfBefore || !got.CreatedAt.Equal(start) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := s.Used(t.Context(), start.Add(3*time.Hour), second.ID); err != nil {
		t.Fatal(err)
	}
	all, err := s.Tokens(t.Context())
	if err != nil || len(all) != 3 || all[0].ID != first.ID || !all[0].UsedAt.IsZero() || !all[1].UsedAt.Equal(start.Add(3*time.Hour)) || all[2].Role != Viewer {
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
	if gone, err := s.Revoke(t.Context(), first.ID); err != nil || len(gone) != 1 {
		t.Errorf("revoked by id: %v, %v", gone, err)
	}
	if _, err := s.Authenticate(t.Context(), one); !errors.Is(err, ErrToken) {
		t.Errorf("a revoked token: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), two); err != nil {
		t.Errorf("the other token of the name: %v", err)
	}
	if gone, err := s.Revoke(t.Context(), "billing"); err != nil || len(gone) != 1 || gone[0].ID != second.ID {
		t.Errorf("revoked by name: %v, %v", gone, err)
	}
	if _, err := s.Revoke(t.Context(), "billing"); !errors.Is(err, ErrToken) {
		t.Errorf("revoked twice: %v", err)
	}
	if got, err := s.Authenticate(t.Context(), web); err != nil || got.Role != Viewer || got.Scope != Instance {
		t.Errorf("somebody else's token: %+v, %v", got, err)
	}
}

func TestBadTokens(t *testing.T) {
	s := newStore(t)
	good, _, err := s.Create(t.Context(), start, "a", Operator, Own)
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
		if _, _, err := s.Create(t.Context(), start, name, Operator, Own); err == nil {
			t.Errorf("a token named %q was made", name)
		} else if strings.Contains(err.Error(), "ada") {
			t.Errorf("the error quotes the name: %v", err)
		}
	}
}

// TestTokensOfOneNameDeriveTheSame, whatever happens to Redis.
func TestTokensOfOneNameDeriveTheSame(t *testing.T) {
	s := newStore(t)
	derive := func(s *Store, bearer string) string {
		t.Helper()
		got, err := s.Authenticate(t.Context(), bearer)
		if err != nil {
			t.Fatal(err)
		}
		return string(got.Derive("key"))
	}
	create := func(name string, scope Scope) string {
		t.Helper()
		bearer, _, err := s.Create(t.Context(), start, name, Operator, scope)
		if err != nil {
			t.Fatal(err)
		}
		return bearer
	}
	one, two := create("billing", Own), create("billing", Own)
	if one == two || derive(s, one) != derive(s, two) {
		t.Error("the next token of a name derives something else")
	}
	for _, other := range []string{create("web", Own), create("billing", Instance)} {
		if derive(s, one) == derive(s, other) {
			t.Error("another name or scope derives the same")
		}
	}
	wiped := newStore(t)
	if _, err := wiped.Restore(t.Context(), start, one, "billing", Operator, Own); err != nil || derive(wiped, one) != derive(s, one) {
		t.Errorf("after a wipe it derives something else: %v", err)
	}
	if _, err := wiped.Restore(t.Context(), start, "sk_test_x", "billing", Operator, Own); !errors.Is(err, ErrNotABearer) {
		t.Errorf("restored what is no token: %v", err)
	}
}

func TestAuditLog(t *testing.T) {
	s := newStore(t)
	at := time.Now().Add(-time.Second)
	for _, a := range []Act{
		{Who: "billing", TokenID: "tok_1", Via: ViaAPI, Remote: "192.0.2.1", What: "invite", About: "order-1", Count: 1},
		{Who: "deploy", Via: ViaCommand, What: "revoke", About: "canary@example.com and " + strings.Repeat("x", 1000)},
	} {
		if err := s.Note(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	var all []Act
	for a, err := range s.Acts(t.Context(), at) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if len(all) != 2 || all[0].Who != "billing" || all[0].Count != 1 || all[0].About != "order-1" || all[0].At.Before(at) {
		t.Fatalf("got %+v", all)
	}
	if strings.Contains(all[1].About, "canary") || len(all[1].About) > maxActText {
		t.Errorf("what others have named is masked and cut: %q", all[1].About)
	}
	if last, err := s.LastActs(t.Context(), 1); err != nil || len(last) != 1 || last[0].What != "revoke" {
		t.Errorf("got %+v, %v", last, err)
	}
	for _, err := range s.Acts(t.Context(), time.Now().Add(time.Hour)) {
		t.Errorf("later there is %v", err)
	}
}

func TestWhatARoleSees(t *testing.T) {
	for _, c := range []struct {
		token         Token
		mine, anybody [2]bool // sees, reveals
	}{
		{Token{Name: "a", Role: Viewer, Scope: Own}, [2]bool{true, false}, [2]bool{}},
		{Token{Name: "a", Role: Operator, Scope: Own}, [2]bool{true, true}, [2]bool{}},
		{Token{Name: "a", Role: Admin, Scope: Own}, [2]bool{true, true}, [2]bool{}},
		{Token{Name: "a", Role: Viewer, Scope: Instance}, [2]bool{true, false}, [2]bool{true, false}},
		{Token{Name: "a", Role: Operator, Scope: Instance}, [2]bool{true, true}, [2]bool{true, false}},
		{Token{Name: "a", Role: Admin, Scope: Instance}, [2]bool{true, true}, [2]bool{true, true}},
	} {
		for owner, want := range map[string][2]bool{"a": c.mine, "b": c.anybody, "": c.anybody} {
			if got := [2]bool{c.token.Sees(owner), c.token.Reveals(owner)}; got != want {
				t.Errorf("%s, %s: of %q it sees and reveals %v, want %v", c.token.Role, c.token.Scope, owner, got, want)
			}
		}
	}
}
