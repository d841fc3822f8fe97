package enqueue_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/enqueue"
)

func TestJSONLines(t *testing.T) {
	const ada = `{"email_address":"ada@example.com"}`
	wide := `{"email_address":"ada@example.com",` + strings.Repeat(" ", 700_000) + `"id":"x"}`
	deep := `{"email_address":"ada@example.com","public_metadata":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41)
	notLines := func(row int) string {
		return fmt.Sprintf(`the file is not JSON Lines: row %d must be one JSON object, such as {"email_address":"ada@example.com"}`, row)
	}
	tests := []struct {
		name, in string
		want     []string
	}{
		{"empty", "", nil},
		{"blank lines alone", "\n \r\n\t\n", nil},
		{"one", ada, []string{"1 ada@example.com"}},
		{"every field", `{"email_address":"ada@example.com","public_metadata":{"n": 1.50, "b": true},"redirect_url":"/x","notify":false,"ignore_existing":true,` +
			`"expires_in_days":7,"template_slug":"invitation","id":"order:42","lane":"interactive","not_before":"2026-01-31T10:00:00+01:00","deadline":"2026-02-01T00:00:00Z"}`, []string{
			`1 ada@example.com {"public_metadata":{"n":1.50,"b":true},"redirect_url":"/x","notify":false,"ignore_existing":true,"expires_in_days":7,` +
				`"template_slug":"invitation","id":"order:42","lane":"interactive","not_before":"2026-01-31T09:00:00Z","deadline":"2026-02-01T00:00:00Z"}`}},
		{"BOM, CRLF, blank lines, no last line end", "\ufeff" + ada + "\r\n\r\n  " + ada + "  \r\n" + ada, []string{"1 ada@example.com", "3 ada@example.com", "4 ada@example.com"}},
		{"lines longer than the buffer", ada + "\n" + wide + "\n" + wide, []string{"1 ada@example.com", `2 ada@example.com {"id":"x"}`, `3 ada@example.com {"id":"x"}`}},

		{"broken lines among good ones", lines(ada, `{"email_address":`, `{"email_address":"x"}`, "oops", `{}`, `"x"`, ada+ada, ada+",", ada), []string{
			"1 ada@example.com", "row 2: is not valid JSON (it ends too early)", "row 3: email_address is not one plain address such as ada@example.com",
			"row 4: is not a JSON object; every line must be one", "row 5: email_address is missing", "row 6: is not a JSON object; every line must be one",
			"row 7: has something after the JSON value", "row 8: has something after the JSON value", "9 ada@example.com"}},
		{"every problem at once", `{"email_address":"a@b","expires_in_days":0,"lane":"fast","import_id":"imp_1"}`, []string{
			"row 1: import_id belongs to the whole import, not to a row; email_address has a domain without a dot; lane must be interactive or import; expires_in_days must be 1 to 365"}},
		{"unknown field", `{"email":"ada@example.com"}`, []string{`row 1: has an unknown field "email"`}},
		{"an address as a field", `{"ada@example.com":1}`, []string{`row 1: has an unknown field`}},
		{"field twice", `{"email_address":"ada@example.com","email_address":"b@example.com"}`, []string{"row 1: has the same field twice"}},
		{"wrong type", `{"email_address":["ada@example.com"]}`, []string{"row 1: has email_address of the wrong type; it must be a string"}},
		{"wrong time", `{"email_address":"ada@example.com","deadline":"soon"}`, []string{"row 1: has a time that is not RFC 3339, such as 2026-01-31T09:00:00Z"}},
		{"Latin-1", ada + "\n{\"email_address\":\"\xe9@example.com\"}", []string{"1 ada@example.com", "row 2: is not valid UTF-8"}},
		{"deep metadata", deep, []string{"row 1: public_metadata is nested more than 32 levels deep"}},
		{"very deep", ada + "\n{\"public_metadata\":" + strings.Repeat("[", 500_000), []string{"1 ada@example.com", "row 2: is not valid JSON (at byte 10019)"}},

		{"CSV", lines("", "email,id", "ada@example.com,x"), []string{notLines(2)}},
		{"an array", lines("[", ada, "]"), []string{notLines(1)}},
		{"UTF-16", "\xff\xfe{\x00}\x00\n\x00", []string{"the file is UTF-16; save it as UTF-8"}},
		{"UTF-16 without a mark", "{\x00}\x00\n\x00", []string{"the file is UTF-16 or not text at all; save it as UTF-8"}},
		{"gzip", "\x1f\x8b\x08\x00", []string{"the file is compressed; unpack it first"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, told(enqueue.JSONLines(strings.NewReader(tt.in)))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.want, told(enqueue.JSONLines(iotest.HalfReader(strings.NewReader(tt.in))))); diff != "" {
				t.Errorf("read in halves: %s", diff)
			}
		})
	}
}
