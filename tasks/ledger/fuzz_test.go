package ledger

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/inviteq/inviteq/tasks"
)

// FuzzParseRecord reads whatever may stand in Redis. What is no record gives an
// error that says which it is and quotes nothing of it.
func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		"q\t0\t1\t18a1b2c3d4e\tAbCdEfGh\nada@example.com\n{\"plan\":\"pro\"}",
		"q\t1\t2\t18a1b2c3d4e\tAbCdEfGh\tspring\t1800000000000\t1900000000000\nada@example.com",
		"p\t0\t3\t18a1b2c3d4e\tAbCdEfGh\t\t\t\t\t\t\t2\t1800000000000\t\tturn_1\t1800000000000\tinv_1\n{\"e\":\"ada@example.com\",\"d\":7}",
		"u\t0\t1\t1\tA\t\t\t\t1\t1\t1\t1\t1\tbusy\tt\t1\t\t1\t1\thold\t1\nada@example.com", "", "\n", "q\n", "x\n{}", "q\t\t\t\t\n{\"e\":\"\"}",
		strings.Repeat("\t", 40) + "\nada@example.com", "a\n$00 ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRecord("inq_1", s, nil)
		if err != nil {
			want := errRecord.Error() + ": inq_1"
			if errors.Is(err, ErrNoKey) { // It looks like one of an encrypted ledger.
				want += ": " + ErrNoKey.Error()
			}
			if err.Error() != want {
				t.Fatalf("got %q, want %q", err, want)
			}
			return
		}
		if r.Invite.ID != "inq_1" || r.Invite.EmailAddress.IsZero() || r.State.String() == "" {
			t.Fatalf("%q: got %+v", s, r)
		}
		// What can be read can be written again, and means the same.
		body, err := encodeContent(&r.Invite)
		if err != nil {
			return // Metadata that no producer could have given.
		}
		again, err := decodeContent(body)
		if err != nil || again.EmailAddress != r.Invite.EmailAddress || again.ExpiresInDays != r.Invite.ExpiresInDays ||
			again.RedirectURL != r.Invite.RedirectURL && utf8.ValidString(r.Invite.RedirectURL) || again.NoNotify != r.Invite.NoNotify {
			t.Fatalf("%q: written as %q, read as %+v, %v", s, body, again, err)
		}
	})
}

// FuzzParseLimit holds that a limit which is understood is written in a way that
// is understood as the same.
func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{"100/1h", "25/1h30m", "10/s", "none", "5/min", "1/1.5s", "10/20s", "10/10m", "1000000/2540400h", "0/1h", "1/999ms", "/", "-1/1h", "1/1h/1h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLimit(s)
		if err != nil {
			if l != (Limit{}) {
				t.Fatalf("%q: got %+v with %v", s, l, err)
			}
			return
		}
		if l.Calls < 0 || l.Calls > 0 && l.Window < time.Second || l.Calls == 0 && s != "none" {
			t.Fatalf("%q: got %+v", s, l)
		}
		if again, err := ParseLimit(l.String()); err != nil || again != l {
			t.Fatalf("%q: %+v is written as %q, which is %+v, %v", s, l, l, again, err)
		}
		if l.Calls > 0 && l.span() <= l.Window {
			t.Fatalf("%q: a span of %v", s, l.span())
		}
	})
}

// FuzzParseCursor holds that whatever a client sends as a cursor leads into one
// of the indexes, or nowhere.
func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"", "0,12,inq_1", "3,1800000000000,a,b", "4,1,x", "-1,1,x", "0,NaN,x", "0,(5,x", "0,1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, score, member, err := parseCursor(s, 4)
		if err == nil && (at < 0 || at > 3 || s != "" && (score == "" || strings.HasPrefix(score, "("))) {
			t.Fatalf("%q: got %d, %q, %q", s, at, score, member)
		}
		if err != nil && s != "" && len(s) > 8 && strings.Contains(err.Error(), s) {
			t.Fatalf("%q is quoted: %v", s, err)
		}
	})
}

// Limits also come from a command line, through encoding.TextUnmarshaler.
func TestLimitAsText(t *testing.T) {
	for in, want := range map[string]Limit{
		"100/10m": {100, 10 * time.Minute}, "100/1h": {100, time.Hour}, "25/1h30m": {25, 90 * time.Minute}, "10/s": {10, time.Second}, "5/min": {}, "none": {}, "1/10m0s": {1, 10 * time.Minute},
	} {
		var got Limit
		err := got.UnmarshalText([]byte(in))
		if got != want || (err != nil) != (in == "5/min") {
			t.Errorf("%s: got %+v, %v; want %+v", in, got, err, want)
		}
	}
	if tasks.ChunkSize < BulkSize {
		t.Error("a chunk must fill a bulk")
	}
}
