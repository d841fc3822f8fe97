package example

import (
	"encoding/csv"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue/lists"
)

var update = flag.Bool("update", false, "write example.csv")

func TestCSVIsGenerated(t *testing.T) {
	want := generate()
	if *update {
		if err := os.WriteFile("example.csv", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if CSV != want {
		t.Errorf("example.csv is not what this test generates; run it with -update: %s", cmp.Diff(want, CSV))
	}
}

// TestCSV counts the list with the program's own reader.
func TestCSV(t *testing.T) {
	got, seen := make(map[string]int), make(map[string]bool)
	list, err := lists.Open(t.Context(), strings.NewReader(CSV), lists.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	for row, err := range list.Rows(t.Context(), "") {
		bad, isBad := errors.AsType[*lists.RowError](err)
		duplicate, isDuplicate := errors.AsType[*lists.DuplicateError](err)
		address := row.Invite.EmailAddress.Raw()
		switch {
		case isBad && bad.Problems[0].Field == "email_address":
			got["invalid address"]++
		case isBad:
			got["invalid cell"]++
		case isDuplicate && duplicate.Same:
			got["duplicate"]++
		case isDuplicate:
			got["duplicate with other columns"]++
		case err != nil:
			t.Fatal(err)
		default:
			got["distinct"]++
			seen[address] = true
		}
		if address != strings.ToLower(address) {
			got["mixed case"]++
		}
		if err == nil && row.Invite.PublicMetadata == nil {
			t.Errorf("%v has no metadata", row.Place)
		}
	}
	want := map[string]int{
		"distinct": 463, "duplicate": 15, "duplicate with other columns": 5,
		"invalid address": 12, "invalid cell": 5, "mixed case": 23,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	users, err := Users()
	if err != nil || len(users) != 20 {
		t.Errorf("Users() = %d addresses, %v, want 20", len(users), err)
	}
	invited, err := Invited()
	if err != nil || len(invited) != 15 {
		t.Errorf("Invited() = %d addresses, %v, want 15", len(invited), err)
	}
	for _, a := range slices.Concat(users, invited) {
		if !seen[a] {
			t.Errorf("%s is prepared but not on the list", a)
		}
		delete(seen, a)
	}
}

func TestReservedDomainsOnly(t *testing.T) {
	for line := range strings.Lines(CSV) {
		for n, domain := range strings.Split(strings.ToLower(line), "@") {
			if n > 0 && domain != "" && !strings.HasPrefix(domain, "example.") && !strings.HasPrefix(domain, "example,") {
				t.Errorf("not a reserved domain: %s", line)
			}
		}
	}
}

var (
	firstNames = strings.Fields(`Ada Alan Amina Barbara Björn Chen Chloé Dagmar Dorothy Edsger Emeka Fatima Frances
		Grace Hedy Hiroshi Ines Ivan Jean John Karen Katherine Kenji Leila Leslie Linus Margaret Maria Niklaus
		Noor Olga Priya Radia Ravi Rosa Sofia Sven Tim Tunde Wanjiru Xin Yuki Zoë`)
	lastNames = strings.Fields(`Adeyemi Allen Backus Bartik Berezin Codd Dijkstra Diop Engelbart Ferreira Goldberg
		Hamilton Hoare Hopper Ito Johnson Kamau Kay Knuth Kowalski Lamarr Lamport Liskov Lovelace Meyer Moreau
		Nakamura Novak Okafor Perlman Ritchie Rossi Sato Shannon Silva Spärck Thompson Torvalds Turing Wilkes Wing Zhou`)
	teams   = []string{"design", "engineering", "finance", "operations", "sales, EMEA", "support"}
	domains = []string{"example.com", "example.org", "example.net"}
	ascii   = strings.NewReplacer("ö", "o", "é", "e", "ë", "e", "ä", "a")
)

// spoilt are addresses as people type and paste them.
var spoilt = []func(address, name string) string{
	func(_, _ string) string { return "" },
	func(_, name string) string { return name },
	func(a, _ string) string { return strings.Replace(a, "@", "", 1) },
	func(a, _ string) string { return strings.Replace(a, "@", "@@", 1) },
	func(a, _ string) string { return strings.Replace(a, "@", ".@", 1) },
	func(a, _ string) string { return strings.Replace(a, ".", "..", 1) },
	func(a, _ string) string { return strings.Replace(a, ".", " ", 1) },
	func(a, _ string) string { return "." + a },
	func(a, _ string) string { return a + "." },
	func(a, _ string) string { return a[:strings.LastIndex(a, ".")] },
	func(a, _ string) string { return "mailto:" + a },
	func(a, _ string) string { return a + "; " + a },
	func(a, _ string) string { return a + " (new)" },
	func(a, name string) string { return name + " <" + a + ">" },
	func(a, _ string) string { return a[strings.Index(a, "@"):] },
}

// generate makes the list: 480 people, of whom 20 are spoilt, and 20 rows that
// repeat somebody, all of them shuffled.
func generate() string {
	random := rand.New(rand.NewPCG(350, 25))
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	var rows [][]string
	for taken := make(map[string]bool); len(rows) < 480; {
		first, last := pick(firstNames), pick(lastNames)
		mailbox := ascii.Replace(first + "." + last)
		if taken[mailbox] {
			continue
		}
		taken[mailbox] = true
		n := len(rows)
		if n < 440 || n >= 460 { // The others keep their capitals.
			mailbox = strings.ToLower(mailbox)
		}
		switch {
		case n < 20:
			mailbox += "+member"
		case n < 35:
			mailbox += "+invited"
		case n < 55:
			mailbox += pick([]string{"+work", "+beta", "+newsletter", "+list"})
		}
		row := []string{mailbox + "@" + pick(domains), first + " " + last, pick(teams), "", ""}
		if random.IntN(8) == 0 {
			row[1] = last + ", " + first
		}
		if random.IntN(10) == 0 {
			row[3] = pick([]string{"7", "14", "60"})
		}
		if random.IntN(25) == 0 {
			row[4] = "no"
		}
		if n >= 460 && n < 460+len(spoilt) {
			row[0] = spoilt[n-460](row[0], first+" "+last)
		}
		rows = append(rows, row)
	}
	rows[475][3] = "400"
	rows[476][3] = "soon"
	rows[477][3] = "0"
	rows[478][4] = "maybe"
	rows[479] = append(rows[479], "left")
	for n := range 20 {
		again := slices.Clone(rows[60+17*n])
		switch {
		case n < 5:
			again[0] = strings.ToUpper(again[0])
		case n < 10:
			again[2] += " (moved)"
		}
		rows = append(rows, again)
	}
	random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })

	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(strings.Fields("email_address public_metadata.name public_metadata.team expires_in_days notify"))
	_ = w.WriteAll(rows) // Into memory: cannot fail.
	return b.String()
}
