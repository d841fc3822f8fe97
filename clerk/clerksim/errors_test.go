package clerksim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inviteq/inviteq/clerk/clerksim"
)

// world is the scene of the error tables: a user, somebody blocked, and one
// invitation in every status.
func world(t *testing.T, sim *clerksim.Sim, c *client) (ids map[string]string) {
	t.Helper()
	ids = make(map[string]string)
	short := c.create(`{"email_address":"expired@example.com","expires_in_days":1}`)
	ids["expired"] = decode[invitationJSON](t, short.body).ID
	later(25 * time.Hour)
	sim.AddUser("user@example.com")
	sim.BlockAddress("blocked@example.com")
	for _, name := range []string{"pending", "accepted", "revoked"} {
		ids[name] = c.invite(name + "@example.com").ID
	}
	if err := sim.Accept(ids["accepted"]); err != nil {
		t.Fatal(err)
	}
	if err := sim.RevokeInDashboard(ids["revoked"]); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestRefusals(t *testing.T) {
	param := func(name string) map[string]any { return map[string]any{"param_name": name} }
	addresses := func(list ...any) map[string]any { return map[string]any{"email_addresses": list} }
	big := `{"email_address":"a@example.com","public_metadata":{"x":"` + strings.Repeat("m", 8200) + `"}}`
	eleven := make([]string, 11)
	for i := range eleven {
		eleven[i] = fmt.Sprintf("p%d@example.com", i)
	}
	tests := []struct {
		name         string
		sw           string
		method, path string
		body         string
		status       int
		code         string
		meta         map[string]any
	}{
		{"pending exists", "", "POST", "/invitations", `{"email_address":"Pending@Example.com"}`, 400, "duplicate_record", addresses("pending@example.com")},
		{"pending exist in bulk", "", "POST", "/invitations/bulk", bulkBody("a@example.com", "pending@example.com", "new@example.com"), 400, "duplicate_record", addresses("pending@example.com")},
		{"expired stands in the way", "duplicate-sees-expired", "POST", "/invitations", `{"email_address":"expired@example.com"}`, 400, "duplicate_record", addresses("expired@example.com")},
		{"user", "", "POST", "/invitations", `{"email_address":"user@example.com"}`, 422, "form_identifier_exists", param("email_address")},
		{"accepted is a user", "", "POST", "/invitations", `{"email_address":"accepted@example.com"}`, 422, "form_identifier_exists", param("email_address")},
		{"user, never bypassed", "user-bypass=never", "POST", "/invitations", `{"email_address":"user@example.com","ignore_existing":true}`, 422, "form_identifier_exists", param("email_address")},
		{"user in bulk", "", "POST", "/invitations/bulk", bulkBody("a@example.com", "user@example.com"), 422, "form_identifier_exists", param("email_address")},
		{"user in bulk, named", "bulk-user-naming=all", "POST", "/invitations/bulk", bulkBody("user@example.com", "accepted@example.com"), 422, "form_identifier_exists",
			map[string]any{"param_name": "email_address", "email_addresses": []any{"user@example.com", "accepted@example.com"}}},
		{"user in bulk, first named", "bulk-user-naming=first", "POST", "/invitations/bulk", bulkBody("user@example.com", "accepted@example.com"), 422, "form_identifier_exists",
			map[string]any{"param_name": "email_address", "email_addresses": []any{"user@example.com"}}},
		{"user in bulk, 400", "bulk-user=400", "POST", "/invitations/bulk", bulkBody("user@example.com"), 400, "form_identifier_exists", param("email_address")},
		{"user in bulk, as duplicate", "bulk-user=duplicate", "POST", "/invitations/bulk", bulkBody("user@example.com"), 400, "duplicate_record", addresses("user@example.com")},
		{"user in bulk, not bypassed", "", "POST", "/invitations/bulk", `[{"email_address":"user@example.com","ignore_existing":true}]`, 422, "form_identifier_exists", param("email_address")},
		{"invalid address", "", "POST", "/invitations", `{"email_address":"nobody"}`, 422, "form_param_format_invalid", param("email_address")},
		{"invalid address in bulk", "", "POST", "/invitations/bulk", bulkBody("a@example.com", "nobody"), 422, "form_param_format_invalid", param("email_address")},
		{"invalid address in bulk, named", "bulk-invalid-naming=all", "POST", "/invitations/bulk", bulkBody("a@example.com", "Nobody"), 422, "form_param_format_invalid",
			map[string]any{"param_name": "email_address", "email_addresses": []any{"nobody"}}},
		{"address missing", "", "POST", "/invitations", `{}`, 422, "form_param_missing", param("email_address")},
		{"address nil", "", "POST", "/invitations", `{"email_address":null}`, 422, "form_param_nil", param("email_address")},
		{"address is a number", "", "POST", "/invitations", `{"email_address":7}`, 422, "form_param_value_invalid", param("email_address")},
		{"unknown parameter", "", "POST", "/invitations", `{"email_address":"a@example.com","colour":"red"}`, 422, "form_param_unknown", param("colour")},
		{"unknown parameter in bulk", "", "POST", "/invitations/bulk", `[{"email_address":"a@example.com","colour":"red"}]`, 422, "form_param_unknown", param("colour")},
		{"eleven", "", "POST", "/invitations/bulk", bulkBody(eleven...), 400, "bulk_size_exceeded", nil},
		{"eleven, 422", "bulk-size-status=422", "POST", "/invitations/bulk", bulkBody(eleven...), 422, "bulk_size_exceeded", nil},
		{"expires too early", "", "POST", "/invitations", `{"email_address":"a@example.com","expires_in_days":0}`, 422, "form_param_value_invalid", param("expires_in_days")},
		{"expires too late", "", "POST", "/invitations", `{"email_address":"a@example.com","expires_in_days":366}`, 422, "form_param_value_invalid", param("expires_in_days")},
		{"expires in fractions", "", "POST", "/invitations", `{"email_address":"a@example.com","expires_in_days":1.5}`, 422, "form_param_value_invalid", param("expires_in_days")},
		{"notify is text", "", "POST", "/invitations", `{"email_address":"a@example.com","notify":"yes"}`, 422, "form_param_value_invalid", param("notify")},
		{"ignore_existing is text", "", "POST", "/invitations", `{"email_address":"a@example.com","ignore_existing":"yes"}`, 422, "form_param_value_invalid", param("ignore_existing")},
		{"no such template", "", "POST", "/invitations", `{"email_address":"a@example.com","template_slug":"birthday"}`, 422, "form_param_value_invalid", param("template_slug")},
		{"template nil", "", "POST", "/invitations", `{"email_address":"a@example.com","template_slug":null}`, 422, "form_param_nil", param("template_slug")},
		{"redirect without scheme", "", "POST", "/invitations", `{"email_address":"a@example.com","redirect_url":"app.example.com"}`, 422, "form_param_format_invalid", param("redirect_url")},
		{"metadata is a list", "", "POST", "/invitations", `{"email_address":"a@example.com","public_metadata":[]}`, 422, "form_param_value_invalid", param("public_metadata")},
		{"metadata nil, single", "", "POST", "/invitations", `{"email_address":"a@example.com","public_metadata":null}`, 422, "form_param_nil", param("public_metadata")},
		{"metadata too large", "", "POST", "/invitations", big, 422, "form_param_exceeds_allowed_size", param("public_metadata")},
		{"malformed JSON", "", "POST", "/invitations", `{"email_address":`, 400, "request_body_invalid", nil},
		{"two values", "", "POST", "/invitations", `{"email_address":"a@example.com"}{}`, 400, "request_body_invalid", nil},
		{"a list to single", "", "POST", "/invitations", bulkBody("a@example.com"), 400, "request_body_invalid", nil},
		{"an object to bulk", "", "POST", "/invitations/bulk", `{"email_address":"a@example.com"}`, 400, "request_body_invalid", nil},
		{"an empty bulk", "", "POST", "/invitations/bulk", `[]`, 400, "request_body_invalid", nil},
		{"a bulk of null", "", "POST", "/invitations/bulk", `[null]`, 400, "request_body_invalid", nil},
		{"null", "", "POST", "/invitations", `null`, 400, "request_body_invalid", nil},
		{"no body", "", "POST", "/invitations", "", 415, "unsupported_content_type", nil},
		{"blocked", "", "POST", "/invitations", `{"email_address":"Blocked@example.com"}`, 403, "not_allowed_access", map[string]any{"identifiers": []any{"blocked@example.com"}}},
		{"blocked, unnamed", "blocked-naming=unnamed", "POST", "/invitations/bulk", bulkBody("a@example.com", "blocked@example.com"), 403, "not_allowed_access", nil},
		{"equal in body, duplicate", "equal-in-body=duplicate", "POST", "/invitations/bulk", bulkBody("a@example.com", "A@example.com"), 400, "duplicate_record", addresses("a@example.com")},
		{"equal in body, invalid", "equal-in-body=invalid", "POST", "/invitations/bulk", bulkBody("a@example.com", "A@example.com"), 422, "form_param_value_invalid", param("email_address")},
		{"revoke revoked", "", "POST", "/invitations/{revoked}/revoke", "", 400, "invitation_already_revoked", nil},
		{"revoke accepted", "", "POST", "/invitations/{accepted}/revoke", "", 400, "invitation_already_accepted", nil},
		{"revoke expired", "refuse-revoke-expired", "POST", "/invitations/{expired}/revoke", "", 400, "invitation_expired", nil},
		{"revoke nothing", "", "POST", "/invitations/inv_nothing/revoke", "", 404, "resource_not_found", nil},
		{"inferred codes unfamiliar", "unfamiliar-codes", "POST", "/invitations/{accepted}/revoke", "", 400, "simulated_unfamiliar_code", nil},
		{"documented codes familiar", "unfamiliar-codes", "POST", "/invitations/{revoked}/revoke", "", 400, "invitation_already_revoked", nil},
		{"list status", "", "GET", "/invitations?status=lost", "", 422, "form_param_value_invalid", param("status")},
		{"list limit 0", "", "GET", "/invitations?limit=0", "", 422, "form_param_value_invalid", param("limit")},
		{"list limit 501", "", "GET", "/invitations?limit=501", "", 422, "form_param_value_invalid", param("limit")},
		{"list offset", "", "GET", "/invitations?offset=-1", "", 422, "form_param_value_invalid", param("offset")},
		{"list order", "", "GET", "/invitations?order_by=status", "", 422, "form_param_value_invalid", param("order_by")},
		{"list order, two signs", "", "GET", "/invitations?order_by=--created_at", "", 422, "form_param_value_invalid", param("order_by")},
		{"list paginated", "", "GET", "/invitations?paginated=perhaps", "", 422, "form_param_value_invalid", param("paginated")},
		{"list unknown", "", "GET", "/invitations?colour=red", "", 422, "form_param_unknown", param("colour")},
		{"101 users", "", "GET", "/users?" + strings.Repeat("email_address=a@example.com&", 101), "", 422, "form_param_exceeds_allowed_size", param("email_address")},
		{"users order", "", "GET", "/users?order_by=username", "", 501, "not_simulated", param("order_by")},
		{"revoke revoked, otherwise", "revoked-code=revoked_invitation", "POST", "/invitations/{revoked}/revoke", "", 400, "revoked_invitation", nil},
		{"delete nothing", "", "DELETE", "/invitations/inv_nothing", "", 404, "resource_not_found", nil},
		{"four, of three", "bulk-max=3", "POST", "/invitations/bulk", bulkBody(eleven[:4]...), 400, "bulk_size_exceeded", nil},
		{"an empty bulk, 422", "empty-bulk-status=422", "POST", "/invitations/bulk", `[]`, 422, "request_body_invalid", nil},
		{"get by id", "", "GET", "/invitations/{pending}", "", 405, "method_not_allowed", nil},
		{"get by id, 404", "wrong-method-status=404", "GET", "/invitations/{pending}", "", 404, "resource_not_found", nil},
		{"list status empty", "", "GET", "/invitations?status=", "", 422, "form_param_value_invalid", param("status")},
		{"list limit empty", "", "GET", "/invitations?limit=", "", 422, "form_param_value_invalid", param("limit")},
		{"list order empty", "", "GET", "/invitations?order_by=", "", 422, "form_param_value_invalid", param("order_by")},
		{"list status deleted", "", "GET", "/invitations?status=deleted", "", 422, "form_param_value_invalid", param("status")},
		{"users unknown", "", "GET", "/users?colour=red", "", 422, "form_param_unknown", param("colour")},
		{"a slash too many", "trailing-slash=refused", "GET", "/invitations/", "", 404, "resource_not_found", nil},
		{"below an invitation", "", "POST", "/invitations/{pending}/resend", "", 404, "resource_not_found", nil},
		{"redirect nil, single", "", "POST", "/invitations", `{"email_address":"a@example.com","redirect_url":null}`, 422, "form_param_nil", param("redirect_url")},
		{"address nil in bulk", "", "POST", "/invitations/bulk", `[{"email_address":null}]`, 422, "form_param_nil", param("email_address")},
		{"template nil in bulk", "", "POST", "/invitations/bulk", `[{"email_address":"a@example.com","template_slug":null}]`, 422, "form_param_nil", param("template_slug")},
		{"no such version", "", "GET", "/invitations?__clerk_api_version=2020-01-01", "", 400, "api_version_invalid", nil},
		{"delete", "", "DELETE", "/invitations", "", 405, "method_not_allowed", nil},
		{"elsewhere", "", "GET", "/organizations", "", 404, "resource_not_found", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sw, err := clerksim.ParseSwitches(tt.sw)
			if err != nil {
				t.Fatal(err)
			}
			inBubble(t, clerksim.Config{Switches: sw}, func(t *testing.T, sim *clerksim.Sim, c *client) {
				path := tt.path
				for name, id := range world(t, sim, c) {
					path = strings.ReplaceAll(path, "{"+name+"}", id)
				}
				invitations, mails := len(sim.Invitations()), len(sim.MailLog())
				r := c.do(tt.method, path, tt.body)
				if r.status != tt.status || r.code(t) != tt.code {
					t.Fatalf("got %d %s, want %d %s: %s", r.status, r.code(t), tt.status, tt.code, r.body)
				}
				if diff := cmp.Diff(tt.meta, decode[errorJSON](t, r.body).Errors[0].Meta); diff != "" {
					t.Errorf("meta (-want +got):\n%s", diff)
				}
				if got := len(sim.Invitations()); got != invitations {
					t.Errorf("a refused call left %d invitations, want %d", got, invitations)
				}
				if got := len(sim.MailLog()); got != mails {
					t.Errorf("a refused call sent %d mails", got-mails)
				}
			})
		})
	}
}

// TestKey covers who is let in, and that a stranger spends no quota.
func TestKey(t *testing.T) {
	inBubble(t, clerksim.Config{Limits: clerksim.Limits{Single: clerksim.Limit{N: 1, Window: time.Hour}}}, func(t *testing.T, sim *clerksim.Sim, c *client) {
		for _, key := range []string{"sk_test_other", clerksim.DefaultSecretKey + "x"} {
			c.key = key
			if r := c.create(`{"email_address":"a@example.com"}`); r.status != 401 || r.code(t) != "clerk_key_invalid" {
				t.Errorf("key %q: %d %s", key, r.status, r.body)
			}
		}
		for _, header := range []string{"", "Bearer ", clerksim.DefaultSecretKey, "Basic " + clerksim.DefaultSecretKey, "bearer " + clerksim.DefaultSecretKey} {
			r := c.send("POST", "/nowhere", "", http.Header{"Authorization": {header}})
			if r.status != 401 || r.code(t) != "authorization_header_format_invalid" {
				t.Errorf("header %q: %d %s", header, r.status, r.body)
			}
		}
		c.key = "sk_test_rotated"
		if err := sim.SetSecretKey(c.key); err != nil {
			t.Fatal(err)
		}
		c.invite("a@example.com")
		if err := sim.SetSecretKey("sk_live_x"); err == nil {
			t.Error("a live key was taken")
		}
	})
}

func TestSeveralProblemsAtOnce(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		r := c.create(`{"email_address":"x","expires_in_days":400,"a":1,"b":2}`)
		var got []string
		for _, e := range decode[errorJSON](t, r.body).Errors {
			got = append(got, e.Code+" "+e.Meta["param_name"].(string))
		}
		want := []string{"form_param_format_invalid email_address", "form_param_value_invalid expires_in_days", "form_param_unknown a", "form_param_unknown b"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestConfigRefused(t *testing.T) {
	locked := clerksim.Fault{Kind: clerksim.Locked}
	_, err := clerksim.New(clerksim.Config{
		SecretKey: "sk_live_x",
		Limits:    clerksim.Limits{Bulk: clerksim.Limit{N: 5}},
		Switches:  clerksim.Switches{Limiter: "leaky", BulkSizeStatus: 418, Lag: -1},
		Latency:   clerksim.Latency{Median: -1},
		Rules: []clerksim.Rule{
			{},
			{Fault: clerksim.Fault{Kind: "odd"}},
			{Fault: locked, Rate: 1.5},
			{Fault: locked, Times: -1},
			{Fault: locked, From: time.Hour, Until: time.Minute},
			{Fault: clerksim.Fault{Hold: -1}},
		},
		MaxHistory: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"live secret key", "limit bulk", "limiter=", "bulk-size-status", "lag=", "latency", "MaxHistory",
		"no fault", `unknown fault "odd"`, "rate 1.5", "number of times", "not after", "negative duration"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

// TestBodyTooLarge sends more than any invitation needs.
func TestBodyTooLarge(t *testing.T) {
	inBubble(t, clerksim.Config{}, func(t *testing.T, _ *clerksim.Sim, c *client) {
		r := c.create(`{"email_address":"` + strings.Repeat("a", 2<<20) + `"}`)
		if r.status != 413 || !json.Valid(r.body) {
			t.Errorf("got %d", r.status)
		}
	})
}
