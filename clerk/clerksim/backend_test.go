package clerksim_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/inviteq/inviteq/clerk/clerksim"
	"github.com/inviteq/inviteq/clerk/clerksim/javascript"
)

// jsResult is an invitation, a deleted object or an error as @clerk/backend hands
// it to its caller.
type jsResult struct {
	ID, EmailAddress, Status, URL string
	Revoked, Deleted              bool
	PublicMetadata                map[string]any
}

type jsFailure struct {
	Status      int
	Code, Param string
	Trace       string
	RetryAfter  int
	Value       *jsResult // it did not fail
}

type jsList struct {
	Data       []jsResult
	TotalCount int
}

// TestOfficialJavaScriptSDK runs testdata/backend.mjs against a Sim, with both
// published codes, and with each answer to a deletion.
func TestOfficialJavaScriptSDK(t *testing.T) {
	script, err := os.ReadFile("testdata/backend.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for _, switches := range []clerksim.Switches{
		{},
		{RevokedCode: clerksim.RevokedCodeRevoked, DeleteAnswer: clerksim.DeleteAnswerInvitation},
		{DeleteAnswer: clerksim.DeleteAnswerEmpty},
	} {
		t.Run(switches.String(), func(t *testing.T) {
			sim := clerksim.Start(t, clerksim.Config{Switches: switches, Limits: clerksim.Limits{Single: clerksim.Limit{N: 3, Window: time.Hour}}})
			out := javascript.Run(t, string(script), "API_URL="+sim.URL[:len(sim.URL)-len("/v1")], "API_KEY="+sim.SecretKey)
			var seen struct {
				Created, Revoked              jsResult
				Bulk                          []jsResult
				List, Found, Gone, GoneNow    jsList
				Duplicate, Invalid, Twice     jsFailure
				Deleted, DeletedTwice, Nobody jsFailure
				Stranger, Eleven, Throttled   jsFailure
			}
			if err := json.Unmarshal(out, &seen); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if c := seen.Created; c.Status != "pending" || c.PublicMetadata["seatCount"] != 3.0 || c.URL == "" || c.ID != sim.ByAddress("ada@example.com")[0].ID {
				t.Errorf("created %+v", c)
			}
			if len(seen.Bulk) != 3 || seen.List.TotalCount != 4 || len(seen.List.Data) != 2 || seen.List.Data[1].EmailAddress != "b@example.com" ||
				seen.Found.TotalCount != 1 || seen.Found.Data[0].ID != seen.Created.ID {
				t.Errorf("bulk %+v, list %+v, found %+v", seen.Bulk, seen.List, seen.Found)
			}
			if !seen.Revoked.Revoked || seen.Revoked.Status != "revoked" || seen.Gone.TotalCount != 1 || seen.GoneNow.TotalCount != 0 {
				t.Errorf("revoked %+v, listed %d before the deletion, %d after it", seen.Revoked, seen.Gone.TotalCount, seen.GoneNow.TotalCount)
			}
			code := "invitation_already_revoked"
			if switches.RevokedCode != "" {
				code = string(switches.RevokedCode)
			}
			if s := seen.Throttled.RetryAfter; s < 3500 || s > 3600 {
				t.Errorf("throttled for %d s", s)
			}
			seen.Throttled.RetryAfter = 0
			for name, c := range map[string]struct {
				got, want jsFailure
			}{
				"duplicate":     {seen.Duplicate, jsFailure{Status: 400, Code: "duplicate_record"}},
				"invalid":       {seen.Invalid, jsFailure{Status: 422, Code: "form_param_format_invalid", Param: "email_address"}},
				"revoked twice": {seen.Twice, jsFailure{Status: 400, Code: code}},
				"deleted twice": {seen.DeletedTwice, jsFailure{Status: 404, Code: "resource_not_found"}},
				"nobody":        {seen.Nobody, jsFailure{Status: 404, Code: "resource_not_found"}},
				"stranger":      {seen.Stranger, jsFailure{Status: 401, Code: "clerk_key_invalid"}},
				"eleven":        {seen.Eleven, jsFailure{Status: 400, Code: "bulk_size_exceeded"}},
				"throttled":     {seen.Throttled, jsFailure{Status: 429, Code: "too_many_requests"}},
			} {
				if len(c.got.Trace) != 32 {
					t.Errorf("%s: %+v has no trace", name, c.got)
				}
				if c.got.Trace = ""; c.got != c.want {
					t.Errorf("%s: got %+v, want %+v", name, c.got, c.want)
				}
			}
			if v := seen.Deleted.Value; switches.DeleteAnswer == "" && (v == nil || v.ID != seen.Created.ID || !v.Deleted) {
				t.Errorf("deleted %+v", v)
			}
			if got := sim.ByAddress("ada@example.com")[0]; got.Status != clerksim.StatusDeleted {
				t.Errorf("in the end it is %s", got.Status)
			}
		})
	}
}
