package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// problems lists what is wrong, one string each.
func problems(err error) []string {
	v, ok := errors.AsType[*ValidationError](err)
	if !ok {
		return nil
	}
	var s []string
	for _, p := range v.Problems {
		s = append(s, p.String())
	}
	return s
}

func TestValidate(t *testing.T) {
	const (
		redirect = "redirect_url must be an absolute http(s) URL or a path that begins with /"
		metadata = `public_metadata must be a JSON object such as {"plan":"pro"}`
		days     = "expires_in_days must be 1 to 365"
		template = "template_slug must be invitation or waitlist_invitation"
	)
	at := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	ofSize := func(n int) json.RawMessage { return json.RawMessage(`{"a":"` + strings.Repeat("x", n-8) + `"}`) }
	nested := func(n int) json.RawMessage {
		return json.RawMessage(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n))
	}
	tests := []struct {
		name string
		edit func(*Invite)
		want []string
	}{
		{"nothing but an address", func(*Invite) {}, nil},
		{"everything", func(i *Invite) {
			*i = Invite{i.EmailAddress, json.RawMessage(`{"plan":"pro"}`), "https://example.com/welcome?a=b#c", true, true, 365,
				"waitlist_invitation", "order:42", Import, "imp_1", "acme", at, at.Add(time.Hour), 7}
		}, nil},
		{"no address", func(i *Invite) { i.EmailAddress = Email{} }, []string{"email_address is missing"}},
		{"everything wrong at once", func(i *Invite) {
			*i = Invite{Email{}, json.RawMessage(`[]`), "ftp://example.com", true, true, 366,
				"party", "a/b", Lane(9), "c d", "e@f", at, at.Add(-time.Second), 0}
		}, []string{
			"email_address is missing", metadata, redirect, days, template, "lane must be interactive or import",
			"id must be printable ASCII without spaces, / and @", "import_id must be printable ASCII without spaces, / and @",
			"owner must be printable ASCII without spaces, / and @",
			"deadline must not be before not_before",
		}},

		{"days 1", func(i *Invite) { i.ExpiresInDays = 1 }, nil},
		{"days 366", func(i *Invite) { i.ExpiresInDays = 366 }, []string{days}},
		{"days -1", func(i *Invite) { i.ExpiresInDays = -1 }, []string{days}},
		{"template invitation", func(i *Invite) { i.TemplateSlug = "invitation" }, nil},
		{"template in capitals", func(i *Invite) { i.TemplateSlug = "Invitation" }, []string{template}},
		{"id of 129 bytes", func(i *Invite) { i.ID = strings.Repeat("x", 129) }, []string{"id must have 1 to 128 bytes"}},
		{"deadline at not_before", func(i *Invite) { i.NotBefore, i.Deadline = at, at }, nil},
		{"deadline alone", func(i *Invite) { i.Deadline = at }, nil},
		{"year 10000", func(i *Invite) { i.NotBefore = at.AddDate(9000, 0, 0) }, []string{"not_before must be in the years 1 to 9999"}},
		{"year 10000 in UTC", func(i *Invite) {
			i.Deadline = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -2*60*60))
		}, []string{"deadline must be in the years 1 to 9999"}},

		{"metadata spaced out", func(i *Invite) { i.PublicMetadata = json.RawMessage(" {\n\"a\" : 1 }\n") }, nil},
		{"metadata empty object", func(i *Invite) { i.PublicMetadata = json.RawMessage(`{}`) }, nil},
		{"metadata of 8192 bytes", func(i *Invite) { i.PublicMetadata = ofSize(8192) }, nil},
		{"metadata of 8193 bytes", func(i *Invite) { i.PublicMetadata = ofSize(8193) }, []string{"public_metadata has 8193 bytes; at most 8192 are allowed"}},
		{"metadata of 8192 bytes and spaces", func(i *Invite) {
			i.PublicMetadata = append(ofSize(8192), strings.Repeat(" ", 8192)...)
		}, nil},
		{"metadata of a megabyte", func(i *Invite) { i.PublicMetadata = ofSize(1 << 20) }, []string{"public_metadata must have at most 8192 bytes"}},
		{"metadata 32 deep", func(i *Invite) { i.PublicMetadata = nested(32) }, nil},
		{"metadata 33 deep", func(i *Invite) { i.PublicMetadata = nested(33) }, []string{"public_metadata is nested more than 32 levels deep"}},
		{"metadata with brackets in a string", func(i *Invite) {
			i.PublicMetadata = json.RawMessage(`{"a":"` + strings.Repeat(`[{\"`, 40) + `"}`)
		}, nil},
		{"metadata key twice", func(i *Invite) { i.PublicMetadata = json.RawMessage(`{"a":{"b":1,"b":2}}`) }, []string{"public_metadata has the same key twice"}},
		{"metadata key twice, escaped", func(i *Invite) { i.PublicMetadata = json.RawMessage(`{"a":1,"\u0061":2}`) }, []string{"public_metadata has the same key twice"}},
		{"metadata same key in two objects", func(i *Invite) {
			i.PublicMetadata = json.RawMessage(`{"a":{"a":"a"},"b":[{"a":1},{"a":2}]}`)
		}, nil},
		{"metadata array", func(i *Invite) { i.PublicMetadata = json.RawMessage(`[{"a":1}]`) }, []string{metadata}},
		{"metadata string", func(i *Invite) { i.PublicMetadata = json.RawMessage(`"{}"`) }, []string{metadata}},
		{"metadata null", func(i *Invite) { i.PublicMetadata = json.RawMessage(`null`) }, []string{metadata}},
		{"metadata spaces only", func(i *Invite) { i.PublicMetadata = json.RawMessage(`  `) }, []string{metadata}},
		{"metadata cut off", func(i *Invite) { i.PublicMetadata = json.RawMessage(`{"a":`) }, []string{metadata}},
		{"metadata and more", func(i *Invite) { i.PublicMetadata = json.RawMessage(`{} {}`) }, []string{metadata}},
		{"metadata not UTF-8", func(i *Invite) { i.PublicMetadata = json.RawMessage("{\"a\":\"\xff\"}") }, []string{metadata}},

		{"path", func(i *Invite) { i.RedirectURL = "/welcome" }, nil},
		{"path and query", func(i *Invite) { i.RedirectURL = "/welcome?next=https://example.org/" }, nil},
		{"http", func(i *Invite) { i.RedirectURL = "HTTP://localhost:3000" }, nil},
		{"IDN and UTF-8", func(i *Invite) { i.RedirectURL = "https://müller.example/größe" }, nil},
		{"IPv6", func(i *Invite) { i.RedirectURL = "https://[::1]:8443/" }, nil},
		{"2048 bytes", func(i *Invite) { i.RedirectURL = "/" + strings.Repeat("x", 2047) }, nil},
		{"2049 bytes", func(i *Invite) { i.RedirectURL = "/" + strings.Repeat("x", 2048) }, []string{"redirect_url must have at most 2048 bytes"}},
		{"no scheme", func(i *Invite) { i.RedirectURL = "example.com/welcome" }, []string{redirect}},
		{"relative", func(i *Invite) { i.RedirectURL = "welcome" }, []string{redirect}},
		{"host without scheme", func(i *Invite) { i.RedirectURL = "//example.com" }, []string{redirect}},
		{"backslashes", func(i *Invite) { i.RedirectURL = `/\example.com` }, []string{redirect}},
		{"script", func(i *Invite) { i.RedirectURL = "javascript:alert(1)" }, []string{redirect}},
		{"data", func(i *Invite) { i.RedirectURL = "data:text/html,x" }, []string{redirect}},
		{"no host", func(i *Invite) { i.RedirectURL = "https:///welcome" }, []string{redirect}},
		{"port without host", func(i *Invite) { i.RedirectURL = "https://:443/" }, []string{redirect}},
		{"opaque", func(i *Invite) { i.RedirectURL = "https:example.com" }, []string{redirect}},
		{"user and password", func(i *Invite) { i.RedirectURL = "https://example.com:x@example.org/" }, []string{redirect}},
		{"space", func(i *Invite) { i.RedirectURL = "https://example.com/a b" }, []string{redirect}},
		{"line end", func(i *Invite) { i.RedirectURL = "/welcome\r\nLocation: /" }, []string{redirect}},
		{"right-to-left override", func(i *Invite) { i.RedirectURL = "/\u202ewelcome" }, []string{redirect}},
		{"broken escape", func(i *Invite) { i.RedirectURL = "/%zz" }, []string{redirect}},
		{"invalid UTF-8", func(i *Invite) { i.RedirectURL = "/\xff" }, []string{redirect}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := Invite{EmailAddress: mustEmail(t, "ada@example.com")}
			tt.edit(&i)
			err := i.Validate()
			if diff := cmp.Diff(tt.want, problems(err)); diff != "" {
				t.Error(diff)
			}
			if (err == nil) != (tt.want == nil) {
				t.Errorf("Validate() = %v", err)
			}
		})
	}
}

func TestValidationErrorText(t *testing.T) {
	err := &ValidationError{[]Problem{{"id", "must have 1 to 128 bytes"}, {"", "has 2 cells, but the header has 3"}}}
	if got, want := err.Error(), "id must have 1 to 128 bytes; has 2 cells, but the header has 3"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestInviteJSON(t *testing.T) {
	berlin := time.FixedZone("", 2*60*60)
	at := time.Date(2026, 7, 1, 9, 0, 0, 0, berlin)
	j := InviteJSON{
		EmailAddress: " ada@example.com ", PublicMetadata: json.RawMessage("{ \"a\" : [1, 2] }"), RedirectURL: "/x",
		Notify: new(false), IgnoreExisting: true, ExpiresInDays: new(7), TemplateSlug: "invitation",
		ID: "order-1", Lane: "import", ImportID: "imp_1", NotBefore: new(at), Deadline: new(at.Add(time.Hour)),
	}
	got, err := j.Invite()
	if err != nil {
		t.Fatal(err)
	}
	want := Invite{
		EmailAddress: mustEmail(t, "ada@example.com"), PublicMetadata: json.RawMessage(`{"a":[1,2]}`), RedirectURL: "/x",
		NoNotify: true, IgnoreExisting: true, ExpiresInDays: 7, TemplateSlug: "invitation",
		ID: "order-1", Lane: Import, ImportID: "imp_1",
		NotBefore: time.Date(2026, 7, 1, 7, 0, 0, 0, time.UTC), Deadline: time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got, exactly); diff != "" {
		t.Error(diff)
	}
	back, err := got.JSON().Invite()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, back, exactly); diff != "" {
		t.Error(diff)
	}
}

// exactly compares addresses, and times with their location.
var exactly = cmp.Options{
	cmp.Comparer(func(a, b Email) bool { return a == b }),
	cmp.Comparer(func(a, b time.Time) bool { return a == b }),
}

func TestInviteJSONDefaults(t *testing.T) {
	tests := []struct {
		name string
		edit func(*InviteJSON)
		want []string
	}{
		{"notify true is the default", func(j *InviteJSON) { j.Notify = new(true) }, nil},
		{"null metadata is none", func(j *InviteJSON) { j.PublicMetadata = json.RawMessage("null") }, nil},
		{"year 1 is no time", func(j *InviteJSON) { j.NotBefore = new(time.Time) }, nil},
		{"interactive is the default", func(j *InviteJSON) { j.Lane = "interactive" }, nil},
		{"0 days is not the default", func(j *InviteJSON) { j.ExpiresInDays = new(0) }, []string{"expires_in_days must be 1 to 365"}},
		{"unknown lane", func(j *InviteJSON) { j.Lane = "fast" }, []string{"lane must be interactive or import"}},
		{"two problems", func(j *InviteJSON) { j.EmailAddress, j.ExpiresInDays = "a@b", new(999) },
			[]string{"email_address has a domain without a dot", "expires_in_days must be 1 to 365"}},
		{"broken metadata", func(j *InviteJSON) { j.PublicMetadata = json.RawMessage("{") },
			[]string{`public_metadata must be a JSON object such as {"plan":"pro"}`}},
		{"blank metadata", func(j *InviteJSON) { j.PublicMetadata = json.RawMessage(" ") },
			[]string{`public_metadata must be a JSON object such as {"plan":"pro"}`}},
		{"huge metadata", func(j *InviteJSON) { j.PublicMetadata = make(json.RawMessage, 1<<20) },
			[]string{"public_metadata must have at most 8192 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := InviteJSON{EmailAddress: "ada@example.com"}
			tt.edit(&j)
			got, err := j.Invite()
			if diff := cmp.Diff(tt.want, problems(err)); diff != "" {
				t.Error(diff)
			}
			want := Invite{}
			if err == nil {
				want.EmailAddress = mustEmail(t, "ada@example.com")
			}
			if diff := cmp.Diff(want, got, exactly); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func ExampleParseEmail() {
	email, err := ParseEmail("Ada@Example.com")
	if err != nil {
		fmt.Println("address", err) // The error says what is wrong without quoting the address.
	}
	fmt.Println(email)
	fmt.Println(email.Key())

	_, err = ParseEmail("ada@example.com, grace@example.com")
	fmt.Println("address", err)
	// Output:
	// A***@E***
	// ada@example.com
	// address holds 2 addresses; keep the one to invite
}

func ExampleInvite_Validate() {
	email, _ := ParseEmail("ada@example.com")
	invite := Invite{EmailAddress: email, ExpiresInDays: 400, RedirectURL: "example.com"}
	fmt.Println(invite.Validate())
	// Output: redirect_url must be an absolute http(s) URL or a path that begins with /; expires_in_days must be 1 to 365
}
