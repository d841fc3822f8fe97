package tasks

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewID(t *testing.T) {
	form := regexp.MustCompile(`^(inq|imp|rvk)_[0-9abcdefghjkmnpqrstvwxyz]{24}$`)
	seen := make(map[string]bool)
	for n := range 10_000 {
		id := NewID([]string{"inq", "imp", "rvk"}[n%3])
		if len(id) != 28 || !form.MatchString(id) || seen[id] {
			t.Fatalf("NewID() = %q, seen before: %v", id, seen[id])
		}
		if err := CheckID(id); err != nil {
			t.Fatalf("%q %v", id, err)
		}
		seen[id] = true
	}
}

// TestNewIDOrder makes ids over a century, a part of them a millisecond apart.
func TestNewIDOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for n := range 1000 {
			ids = append(ids, NewID("inq"))
			if n%2 == 0 {
				<-time.After(time.Millisecond)
			} else {
				<-time.After(100 * 365 * 24 * time.Hour / 1000)
			}
		}
		if !slices.IsSorted(ids) {
			t.Error("later ids do not sort later")
		}
	})
}

func TestImportInviteID(t *testing.T) {
	ada, upper, grace := mustEmail(t, "ada@müller.example"), mustEmail(t, "ADA@xn--mller-kva.EXAMPLE"), mustEmail(t, "grace@example.com")
	// Pinned: an import that is run again after an upgrade finds its invites.
	got := ImportInviteID("imp_1", ada)
	if want := "inq_0kd4gyp5rvpw2vrmxmw0zjej"; got != want {
		t.Errorf("ImportInviteID = %q, want %q", got, want)
	}
	if len(got) != 28 || CheckID(got) != nil {
		t.Errorf("%q is not an id of 28 bytes", got)
	}
	if ImportInviteID("imp_1", upper) != got {
		t.Error("two spellings of an address have two ids")
	}
	if ImportInviteID("imp_1", grace) == got || ImportInviteID("imp_2", ada) == got {
		t.Error("another address or import has the same id")
	}
	if ImportInviteID("imp_1a", mustEmail(t, "da@example.com")) == ImportInviteID("imp_1", mustEmail(t, "ada@example.com")) {
		t.Error("the border between import and address does not count")
	}
}

func TestCheckID(t *testing.T) {
	const size, form = "must have 1 to 128 bytes", "must be printable ASCII without spaces, / and @"
	tests := []struct{ in, want string }{
		{"a", ""},
		{"order:42#7", ""},
		{"{braces}*?[x]", ""},
		{strings.Repeat("x", 128), ""},
		{"", size},
		{strings.Repeat("x", 129), size},
		{"a b", form},
		{"a/b", form},
		{"ada@example.com", form},
		{"ada%40example.com", "must not have an encoded @"},
		{"ada%252540example.com", "must not have an encoded @"},
		{"100%", ""},
		{"a\n", form},
		{"a\x00", form},
		{"a\x7f", form},
		{"é", form},
		{"a\xff", form},
	}
	for _, tt := range tests {
		err := CheckID(tt.in)
		if got := errText(err); got != tt.want {
			t.Errorf("CheckID(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
