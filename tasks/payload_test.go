package tasks

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/payloads.golden")

// goldens are the payloads of version 1: what each says, and what it is in Go.
func goldens(t *testing.T) []struct {
	name    string
	payload interface{ Encode() []byte }
} {
	t.Helper()
	at := time.Date(2026, 1, 31, 9, 0, 0, 123_000_000, time.UTC)
	plain := Invite{EmailAddress: mustEmail(t, "ada@example.com")}
	full := Invite{
		EmailAddress: mustEmail(t, "Grace+Tag@müller.example"), PublicMetadata: json.RawMessage(`{"plan":"pro","n":1.50,"html":"<&>"}`),
		RedirectURL: "https://example.com/welcome?a=1&b=2", NoNotify: true, IgnoreExisting: true, ExpiresInDays: 365,
		TemplateSlug: "waitlist_invitation", ID: "order:42", Lane: Import, ImportID: "imp_1",
		NotBefore: at, Deadline: at.Add(24 * time.Hour),
	}
	member := func(i Invite) Invite {
		i.Lane, i.ImportID = Import, "imp_1"
		return i
	}
	return []struct {
		name    string
		payload interface{ Encode() []byte }
	}{
		{"invitation:create by id", Create{ID: "inq_0123456789abcdefghjkmnpq"}},
		{"invitation:create with the smallest invite", Create{Invite: &plain}},
		{"invitation:create with every field", Create{ID: "order:42", Invite: &full}},
		{"invitation:bulk_create by position", BulkCreate{ImportID: "imp_1", From: 100, Count: 100}},
		{"invitation:bulk_create, the first", BulkCreate{ImportID: "imp_1", Count: 7}},
		{"invitation:bulk_create with invites", BulkCreate{ImportID: "imp_1", Invites: []Invite{member(plain), full}}},
		{"invitation:revoke by id", Revoke{ID: "rvk_0123456789abcdefghjkmnpq"}},
		{"invitation:revoke of an address", Revoke{Target: "ada@example.com"}},
		{"invitation:revoke of an invitation", Revoke{Target: "inv_2b6fcd92dvf96q05x8e4a8xvt6a"}},
		{"invitation:reconcile the newest", Reconcile{}},
		{"invitation:reconcile everything", Reconcile{Full: true}},
		{"invitation:reconcile and adopt", Reconcile{Full: true, AdoptBefore: at}},
	}
}

// TestGolden pins the wire format of version 1: tasks of an older release are
// still in the queue when a newer one starts.
func TestGolden(t *testing.T) {
	var got bytes.Buffer
	for _, g := range goldens(t) {
		fmt.Fprintf(&got, "# %s\n%s\n", g.name, g.payload.Encode())
	}
	const file = "testdata/payloads.golden"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("payload v1 has changed, which breaks tasks in the queue:\n%s", diff)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			b := g.payload.Encode()
			var got any
			var err error
			switch g.payload.(type) {
			case Create:
				got, err = ParseCreate(b)
			case BulkCreate:
				got, err = ParseBulkCreate(b)
			case Revoke:
				got, err = ParseRevoke(b)
			case Reconcile:
				got, err = ParseReconcile(b)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.payload, got, exactly); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// parsers are all parsers, by task type.
var parsers = map[string]func([]byte) (any, error){
	TypeCreate:     func(b []byte) (any, error) { return ParseCreate(b) },
	TypeBulkCreate: func(b []byte) (any, error) { return ParseBulkCreate(b) },
	TypeRevoke:     func(b []byte) (any, error) { return ParseRevoke(b) },
	TypeReconcile:  func(b []byte) (any, error) { return ParseReconcile(b) },
}

// TestHostile holds bytes that no parser takes, whatever the type.
func TestHostile(t *testing.T) {
	const notJSON = "payload is not valid JSON"
	tests := []struct{ name, in, want string }{
		{"empty", "", "payload is empty"},
		{"spaces", "  \n", "payload is empty"},
		{"null", "null", `payload has "v":0; this version of inviteq understands "v":1`},
		{"empty object", "{}", `payload has "v":0; this version of inviteq understands "v":1`},
		{"array", `[{"v":1}]`, "payload is not a JSON object"},
		{"string", `"v"`, "payload is not a JSON object"},
		{"number", `1`, "payload is not a JSON object"},
		{"msgpack of another framework", "\x82\xa1v\x01", "payload is not valid UTF-8"},
		{"protobuf", "\x0a\x03foo", notJSON + " (at byte 2)"},
		{"gob", "\x1f\xff\x81", "payload is not valid UTF-8"},
		{"Latin-1", "{\"v\":1,\"id\":\"\xe9\"}", "payload is not valid UTF-8"},
		{"NULs", "\x00\x00\x00", notJSON + " (at byte 1)"},
		{"cut off", `{"v":1,"id":"inq_`, notJSON + " (it ends too early)"},
		{"trailing comma", `{"v":1,}`, notJSON + " (at byte 8)"},
		{"comment", `{"v":1/**/}`, notJSON + " (at byte 7)"},
		{"BOM", "\ufeff{\"v\":1}", notJSON + " (at byte 1)"},
		{"two objects", `{"v":1}{"v":1}`, "payload has something after the JSON value"},
		{"trailing bracket", `{"v":1}]`, "payload has something after the JSON value"},
		{"no version", `{"id":"x","target":"x","import_id":"x","full":true}`, ""},
		{"version 2", `{"v":2}`, `payload has "v":2; this version of inviteq understands "v":1`},
		{"version 2 with new fields", `{"v":2,"envelope":{}}`, `payload has "v":2; this version of inviteq understands "v":1`},
		{"version -1", `{"v":-1}`, `payload has "v":-1; this version of inviteq understands "v":1`},
		{"version as a string", `{"v":"1"}`, "payload has v of the wrong type; it must be a whole number"},
		{"version as a fraction", `{"v":1.0}`, "payload has v of the wrong type; it must be a whole number"},
		{"version too large", `{"v":99999999999999999999}`, "payload has v of the wrong type; it must be a whole number"},
		{"version twice", `{"v":1,"v":1}`, "payload has the same field twice"},
		{"unknown field", `{"v":1,"e-mail":"x"}`, `payload has an unknown field "e-mail"`},
		{"unknown field with an odd name", `{"v":1,"a b":"x"}`, `payload has an unknown field`},
		{"unknown field with a long name", `{"v":1,"` + strings.Repeat("x", 41) + `":"x"}`, `payload has an unknown field`},
		{"deep nesting", `{"v":` + strings.Repeat("[", 1_000_000), ""},
		{"deep objects", strings.Repeat(`{"a":`, 200_000), ""},
		{"too long", `{"v":1` + strings.Repeat(" ", MaxPayloadLen) + `}`, fmt.Sprintf("payload has %d bytes; at most %d are allowed", MaxPayloadLen+7, MaxPayloadLen)},
	}
	for _, tt := range tests {
		for typ, parse := range parsers {
			t.Run(tt.name+"/"+typ, func(t *testing.T) {
				got, err := parse([]byte(tt.in))
				if err == nil {
					t.Fatalf("%v", got)
				}
				if tt.want != "" && err.Error() != tt.want {
					t.Errorf("error %q, want %q", err, tt.want)
				}
				if len(err.Error()) > 200 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			})
		}
	}
}

func TestParseCreate(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"by id", `{"v":1,"id":"inq_1"}`, ""},
		{"whole", `{"v":1,"email_address":"ada@example.com"}`, ""},
		{"whole with an id of ours that is none", `{"v":1,"id":"inq_1","email_address":"ada@example.com"}`, "id must not begin with inq_, as only the ids that inviteq makes do"},
		{"whole with an id", `{"v":1,"id":"order-1","email_address":"ada@example.com"}`, ""},
		{"spaced out", " {\n \"v\" : 1 , \"id\" : \"inq_1\" }\n", ""},
		{"nothing", `{"v":1}`, "email_address is missing"},
		{"id and options, but no address", `{"v":1,"id":"inq_1","notify":false}`, "email_address is missing"},
		{"bad id", `{"v":1,"id":"a/b"}`, "id must be printable ASCII without spaces, / and @"},
		{"an address for an id", `{"v":1,"id":"ada@example.com"}`, "id must be printable ASCII without spaces, / and @"},
		{"bad address", `{"v":1,"email_address":"ada@example.com\r\nBcc: x"}`, "email_address contains a control character (U+000D)"},
		{"escaped NUL", `{"v":1,"email_address":"ada\u0000@example.com"}`, "email_address contains a control character (U+0000)"},
		{"lone surrogate", `{"v":1,"email_address":"ada\ud800@example.com"}`, `payload has half of a character (\ud800), which stands for nothing by itself`},
		{"lone surrogate in metadata", `{"v":1,"email_address":"ada@example.com","public_metadata":{"n":"\ud83d\ude00 \udE00\uD83D"}}`,
			`payload has half of a character (\udE00), which stands for nothing by itself`},
		{"every problem", `{"v":1,"email_address":"x","expires_in_days":0,"lane":"x","template_slug":"x","redirect_url":"x","public_metadata":[]}`,
			`email_address is not one plain address such as ada@example.com; lane must be interactive or import; expires_in_days must be 1 to 365; ` +
				`public_metadata must be a JSON object such as {"plan":"pro"}; redirect_url must be an absolute http(s) URL or a path that begins with /; ` +
				`template_slug must be invitation or waitlist_invitation`},
		{"address of the wrong type", `{"v":1,"email_address":["ada@example.com"]}`, "payload has email_address of the wrong type; it must be a string"},
		{"notify of the wrong type", `{"v":1,"notify":"no"}`, "payload has notify of the wrong type; it must be true or false"},
		{"days of the wrong type", `{"v":1,"expires_in_days":"7"}`, "payload has expires_in_days of the wrong type; it must be a whole number"},
		{"time of the wrong form", `{"v":1,"not_before":"tomorrow"}`, "payload has a time that is not RFC 3339, such as 2026-01-31T09:00:00Z"},
		{"time of the wrong type", `{"v":1,"deadline":1767225600}`, "payload has a time that is not RFC 3339, such as 2026-01-31T09:00:00Z"},
		{"address twice", `{"v":1,"email_address":"ada@example.com","email_address":"grace@example.com"}`, "payload has the same field twice"},
		{"address twice, escaped", `{"v":1,"email_address":"ada@example.com","email\u005faddress":"grace@example.com"}`, "payload has the same field twice"},
		{"metadata member twice", `{"v":1,"email_address":"ada@example.com","public_metadata":{"role":"user","role":"admin"}}`, "payload has the same field twice"},
		{"deep metadata", `{"v":1,"email_address":"ada@example.com","public_metadata":` + strings.Repeat(`{"a":`, 999) + "1" + strings.Repeat("}", 999) + `}`,
			"public_metadata is nested more than 32 levels deep"},
		{"huge metadata", `{"v":1,"email_address":"ada@example.com","public_metadata":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`,
			"public_metadata must have at most 8192 bytes"},
		{"Go's field name", `{"v":1,"InviteJSON":{"email_address":"ada@example.com"}}`, `payload has an unknown field "InviteJSON"`},
		{"a field of bulk_create", `{"v":1,"import_id":"imp_1","from":0,"count":1}`, `payload has an unknown field "from"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCreate([]byte(tt.in))
			if errText(err) != tt.want {
				t.Errorf("error %q, want %q", errText(err), tt.want)
			}
			if err != nil && got != (Create{}) {
				t.Errorf("an error, and yet %v", got)
			}
		})
	}
}

func TestParseBulkCreate(t *testing.T) {
	invites := func(n int) string {
		return `{"v":1,"import_id":"imp_1","invites":[` + strings.TrimSuffix(strings.Repeat(`{"email_address":"ada@example.com"},`, n), ",") + `]}`
	}
	tests := []struct{ name, in, want string }{
		{"by position", `{"v":1,"import_id":"imp_1","from":100,"count":100}`, ""},
		{"100 invites", invites(100), ""},
		{"101 invites", invites(101), "invites has 101 members; at most 100 are allowed"},
		{"no import", `{"v":1,"from":0,"count":1}`, "import_id must have 1 to 128 bytes"},
		{"count 0", `{"v":1,"import_id":"imp_1"}`, "count must be 1 to 100, and from must not be negative"},
		{"count 101", `{"v":1,"import_id":"imp_1","count":101}`, "count must be 1 to 100, and from must not be negative"},
		{"from -1", `{"v":1,"import_id":"imp_1","from":-1,"count":1}`, "count must be 1 to 100, and from must not be negative"},
		{"empty list", `{"v":1,"import_id":"imp_1","invites":[]}`, "count must be 1 to 100, and from must not be negative"},
		{"both forms", `{"v":1,"import_id":"imp_1","count":1,"invites":[{"email_address":"ada@example.com"}]}`, "invites cannot be given together with from and count"},
		{"another import", `{"v":1,"import_id":"imp_1","invites":[{"email_address":"ada@example.com","import_id":"imp_2"}]}`, "invites[0].import_id is not the import_id of the payload"},
		{"the same import", `{"v":1,"import_id":"imp_1","invites":[{"email_address":"ada@example.com","import_id":"imp_1"}]}`, ""},
		{"problems with their positions", `{"v":1,"import_id":"a b","invites":[{},{"email_address":"ada@example.com"},{"email_address":"x@y","expires_in_days":0}]}`,
			"import_id must be printable ASCII without spaces, / and @; invites[0].email_address is missing; " +
				"invites[2].email_address has a domain without a dot; invites[2].expires_in_days must be 1 to 365"},
		{"wrong type", `{"v":1,"import_id":"imp_1","invites":{"email_address":"ada@example.com"}}`, "payload has invites of the wrong type; it must be an array"},
		{"wrong type inside", `{"v":1,"import_id":"imp_1","invites":[{"email_address":1}]}`, "payload has invites.email_address of the wrong type; it must be a string"},
		{"a member that is no object", `{"v":1,"import_id":"imp_1","invites":["ada@example.com"]}`, "payload has invites of the wrong type; it must be an object"},
		{"unknown field inside", `{"v":1,"import_id":"imp_1","invites":[{"email":"ada@example.com"}]}`, `payload has an unknown field "email"`},
		{"field twice inside", `{"v":1,"import_id":"imp_1","invites":[{"lane":"import","lane":"interactive"}]}`, "payload has the same field twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseBulkCreate([]byte(tt.in))
			if errText(err) != tt.want {
				t.Errorf("error %q, want %q", errText(err), tt.want)
			}
			if err != nil && (got.ImportID != "" || got.Invites != nil) {
				t.Errorf("an error, and yet %v", got)
			}
			for _, i := range got.Invites {
				if i.Lane != Import || i.ImportID != "imp_1" {
					t.Errorf("%v of import %q", i, i.ImportID)
				}
			}
		})
	}
}

// A bulk payload in which everything is wrong has an error that can be read.
func TestParseBulkCreateFloodOfProblems(t *testing.T) {
	in := `{"v":1,"import_id":"imp_1","invites":[` + strings.TrimSuffix(strings.Repeat(`{},`, 100_000), ",") + `]}`
	_, err := ParseBulkCreate([]byte(in))
	if n := len(problems(err)); n != ChunkSize+1 {
		t.Errorf("%d problems, want %d", n, ChunkSize+1)
	}
}

func TestParseRevoke(t *testing.T) {
	const either = "target or id must be given, and not both"
	tests := []struct{ name, in, want string }{
		{"by id", `{"v":1,"id":"rvk_1"}`, ""},
		{"our id", `{"v":1,"target":"inq_1"}`, ""},
		{"Clerk's id", `{"v":1,"target":"inv_1"}`, ""},
		{"an address", `{"v":1,"target":"ada@example.com"}`, ""},
		{"neither", `{"v":1}`, either},
		{"both", `{"v":1,"id":"rvk_1","target":"inq_1"}`, either},
		{"bad id", `{"v":1,"id":"a b"}`, "id must be printable ASCII without spaces, / and @"},
		{"bad target", `{"v":1,"target":"a b"}`, "target must be printable ASCII without spaces, / and @"},
		{"bad address", `{"v":1,"target":"Ada (ada@example.com)"}`, "target is not one plain address such as ada@example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRevoke([]byte(tt.in))
			if errText(err) != tt.want {
				t.Errorf("error %q, want %q", errText(err), tt.want)
			}
			if err != nil && got != (Revoke{}) {
				t.Errorf("an error, and yet %v", got)
			}
		})
	}
}

func TestDecodeStrictSaysWhyReadingFailed(t *testing.T) {
	want := os.ErrDeadlineExceeded
	var j InviteJSON
	err := DecodeStrict(failingReader{want}, &j)
	if got := errText(err); got != "cannot be read: "+want.Error() {
		t.Errorf("error %q", got)
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// An invite that has not been validated does not become half a payload.
func TestEncodeOfBrokenMetadata(t *testing.T) {
	i := Invite{EmailAddress: mustEmail(t, "ada@example.com"), PublicMetadata: json.RawMessage(`{"a`)}
	if got := (Create{Invite: &i}).Encode(); got != nil {
		t.Errorf("Encode() = %s", got)
	}
	if _, err := ParseCreate(nil); err == nil {
		t.Error("the empty payload is accepted")
	}
}
