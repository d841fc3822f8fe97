package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var allOps = []Op{OpCreate, OpBulkCreate, OpRevoke, OpDelete, OpList, OpUsers, OpProbe}

// outcome is what a status means for the three classes of calls.
type outcome struct{ mails, revoke, read Kind }

func same(k Kind) outcome { return outcome{k, k, k} }

func (o outcome) of(op Op) Kind {
	switch op {
	case OpCreate, OpBulkCreate:
		return o.mails
	case OpRevoke:
		return o.revoke
	default:
		return o.read
	}
}

// TestEveryStatus runs every status of HTTP, and some that are not, with every
// kind of body, through every call.
func TestEveryStatus(t *testing.T) {
	// A body of Clerk's has a code that we do not know, so that the status decides.
	bodies := map[string]string{
		"clerk": `{"errors":[{"message":"m","long_message":"l","code":"never_heard_of"}],"clerk_trace_id":"0123456789abcdef0123456789abcdef"}`,
		"json":  `{"error":"not Clerk's"}`,
		"plain": "error code: 1010",
		"html":  "<html><body>502 Bad Gateway</body></html>",
		"empty": "",
	}
	lost := outcome{KindUnknown, KindUnavailable, KindUnavailable}
	done := same(kindEnd) // stands for: no error
	// The last row that fits counts. In a row, "*" is any body that has no entry.
	table := []struct {
		from, to int
		want     map[string]outcome
	}{
		{100, 599, map[string]outcome{"*": lost}},
		{200, 299, map[string]outcome{"*": done}},
		{301, 301, map[string]outcome{"*": same(KindRedirected)}},
		{307, 308, map[string]outcome{"*": same(KindRedirected)}},
		{400, 499, map[string]outcome{"*": same(KindRefused)}},
		{401, 401, map[string]outcome{"*": same(KindUnauthorized)}},
		{403, 403, map[string]outcome{"*": same(KindEdgeBlocked), "clerk": same(KindRefused)}},
		{408, 408, map[string]outcome{"*": lost, "clerk": same(KindRefused)}},
		{409, 409, map[string]outcome{"*": same(KindBusy)}},
		{422, 422, map[string]outcome{"*": same(KindRefused), "clerk": same(KindInvalid)}},
		{429, 429, map[string]outcome{"*": same(KindOverload), "clerk": same(KindQuota)}}, // with Retry-After, see below
	}
	for status := 100; status <= 599; status++ {
		for name, body := range bodies {
			var want outcome
			for _, row := range table {
				if row.from <= status && status <= row.to {
					var ok bool
					if want, ok = row.want[name]; !ok {
						want = row.want["*"]
					}
				}
			}
			for _, op := range allOps {
				x := &exchange{began: true, sent: true, status: status, header: http.Header{"Retry-After": {"7"}}, body: []byte(body)}
				got := kindEnd
				e := classify(op, x, "", time.Now())
				if e != nil {
					got = e.Kind
				}
				if got != want.of(op) {
					t.Errorf("%d %s %v: got %v, want %v", status, name, op, got, want.of(op))
				}
				if e == nil {
					continue
				}
				if e.Op != op || e.Status != status {
					t.Errorf("%d %s %v: Op %v, Status %d", status, name, op, e.Op, e.Status)
				}
				if !e.HasRetryAfter || e.RetryAfter != 7*time.Second {
					t.Errorf("%d %s %v: RetryAfter %v %v, want 7s", status, name, op, e.RetryAfter, e.HasRetryAfter)
				}
				if hasTrace := e.TraceID != ""; hasTrace != (name == "clerk") {
					t.Errorf("%d %s %v: TraceID %q", status, name, op, e.TraceID)
				}
				// Whatever it is called: a POST that mails is only ever cleared by a 2xx, a redirect that says "not here", or a 4xx.
				cleared := status/100 == 4 || status == 301 || status == 307 || status == 308
				if op.mails() && !cleared && !e.Kind.MayHaveTakenEffect() {
					t.Errorf("%d %s %v: %v is taken for harmless", status, name, op, e.Kind)
				}
				if !op.mails() && e.Kind.MayHaveTakenEffect() {
					t.Errorf("%d %s %v: %v is taken for dangerous", status, name, op, e.Kind)
				}
			}
		}
	}
}

func TestQuotaNeedsRetryAfterAndClerksWords(t *testing.T) {
	clerks := `{"errors":[{"code":"too_many_requests"}]}`
	for _, tc := range []struct {
		retryAfter, body string
		err              error
		want             Kind
	}{
		{"3600", clerks, nil, KindQuota},
		{"0", clerks, nil, KindQuota},
		{"", clerks, nil, KindOverload},
		{"soon", clerks, nil, KindOverload},
		{"-5", clerks, nil, KindOverload},
		{"3600", "Too Many Requests", nil, KindOverload},
		{"3600", "", nil, KindOverload},
		{"3600", `{"errors":[]}`, nil, KindOverload},
		{"3600", clerks, io.ErrUnexpectedEOF, KindOverload},
	} {
		h := http.Header{}
		if tc.retryAfter != "" {
			h.Set("Retry-After", tc.retryAfter)
		}
		x := &exchange{began: true, sent: true, status: 429, header: h, body: []byte(tc.body), err: tc.err}
		if e := classify(OpCreate, x, "", time.Now()); e.Kind != tc.want {
			t.Errorf("Retry-After %q, body %q, err %v: got %v, want %v", tc.retryAfter, tc.body, tc.err, e.Kind, tc.want)
		}
	}
}

// TestEveryCode has every code that is known of Clerk's, and where it may differ
// by status or operation.
func TestEveryCode(t *testing.T) {
	create, revoke, remove, read := []Op{OpCreate, OpBulkCreate}, []Op{OpRevoke}, []Op{OpDelete}, []Op{OpList, OpUsers, OpProbe}
	for _, tc := range []struct {
		status   int
		code     string
		meta     string
		ops      []Op
		kind     Kind
		param    string
		culprits []string
	}{
		{400, "duplicate_record", `{"email_addresses":["a@b.example","c@b.example"]}`, create, KindDuplicate, "", []string{"a@b.example", "c@b.example"}},
		{422, "duplicate_record", `{"email_addresses":"a@b.example"}`, create, KindDuplicate, "", []string{"a@b.example"}},
		{400, "duplicate_record", `{}`, revoke, KindRefused, "", nil},
		{422, "form_identifier_exists", `{"param_name":"email_address"}`, create, KindExists, "email_address", nil},
		{400, "form_identifier_exists", `{"identifiers":["a@b.example"]}`, create, KindExists, "", []string{"a@b.example"}},
		{422, "form_param_format_invalid", `{"param_name":"email_address"}`, create, KindInvalid, "email_address", nil},
		{422, "form_param_missing", `{"param_name":"email_address"}`, create, KindInvalid, "email_address", nil},
		{422, "form_param_nil", `{"param_name":"email_address"}`, create, KindInvalid, "email_address", nil},
		{422, "form_param_unknown", `{"param_name":"colour"}`, create, KindInvalid, "colour", nil},
		{422, "form_param_value_invalid", `{"param_name":"expires_in_days"}`, create, KindInvalid, "expires_in_days", nil},
		{422, "form_param_exceeds_allowed_size", `{"param_name":"public_metadata"}`, create, KindInvalid, "public_metadata", nil},
		{400, "form_param_value_invalid", `{"param_name":"order_by"}`, read, KindInvalid, "order_by", nil},
		{422, "something_new", `{"param_name":"x"}`, create, KindInvalid, "x", nil},
		{400, "bulk_size_exceeded", `null`, create, KindMalformed, "", nil},
		{400, "request_body_invalid", ``, create, KindMalformed, "", nil},
		{403, "not_allowed_access", `{"identifiers":["a@b.example"]}`, create, KindBlocked, "", []string{"a@b.example"}},
		{403, "something_else", `{}`, create, KindRefused, "", nil},
		{409, "resource_locked", `{}`, allOps, KindBusy, "", nil},
		{409, "conflict", `{}`, allOps, KindBusy, "", nil},
		{423, "resource_locked", `{}`, allOps, KindBusy, "", nil},
		{400, "invitation_already_revoked", `{}`, revoke, KindAlreadyRevoked, "", nil},
		{400, "invitation_already_accepted", `{}`, revoke, KindAlreadyAccepted, "", nil},
		{400, "invitation_already_revoked", `{}`, create, KindRefused, "", nil},
		{404, "resource_not_found", `{}`, revoke, KindNotFound, "", nil},
		{400, "revoked_invitation", `{}`, revoke, KindAlreadyRevoked, "", nil},
		{400, "revoked_invitation", `{}`, create, KindRefused, "", nil},
		{404, "resource_not_found", `{}`, remove, KindNotFound, "", nil},
		{400, "invitation_already_revoked", `{}`, remove, KindRefused, "", nil}, // not gone, though it cannot be used
		{404, "resource_not_found", `{}`, create, KindRefused, "", nil},         // a wrong base URL must not reject an invite
		{404, "resource_not_found", `{}`, read, KindRefused, "", nil},
		{401, "clerk_key_invalid", `{}`, allOps, KindUnauthorized, "", nil},
		{400, "clerk_key_invalid", `{}`, allOps, KindUnauthorized, "", nil},
		{401, "authentication_invalid", `{}`, allOps, KindUnauthorized, "", nil},
		{429, "too_many_requests", `{}`, allOps, KindOverload, "", nil}, // without Retry-After
		{500, "internal_clerk_error", `{}`, create, KindUnknown, "", nil},
		{500, "internal_clerk_error", `{}`, slices.Concat(revoke, read), KindUnavailable, "", nil},
		{503, "service_unavailable", `{}`, create, KindUnknown, "", nil},
		{503, "service_unavailable", `{}`, slices.Concat(revoke, read), KindUnavailable, "", nil},
		{504, "gateway_timeout", `{}`, create, KindUnknown, "", nil},
		{504, "gateway_timeout", `{}`, slices.Concat(revoke, read), KindUnavailable, "", nil},
		{500, "duplicate_record", `{}`, create, KindUnknown, "", nil}, // a 5xx proves nothing, whatever it says
		// What is not as expected must not hide what is.
		{400, "duplicate_record", `{"email_addresses":[1,null,"a@b.example"],"param_name":7}`, create, KindDuplicate, "", []string{"a@b.example"}},
	} {
		for _, op := range tc.ops {
			meta := ""
			if tc.meta != "" {
				meta = `,"meta":` + tc.meta
			}
			body := fmt.Sprintf(`{"errors":[{"message":"x","long_message":"y","code":%q%s}],"clerk_trace_id":"abc"}`, tc.code, meta)
			x := &exchange{began: true, sent: true, status: tc.status, header: http.Header{}, body: []byte(body)}
			e := classify(op, x, "", time.Now())
			if e.Kind != tc.kind || e.Code != tc.code || e.Param != tc.param || e.TraceID != "abc" {
				t.Errorf("%d %s %v: got %v code %q param %q trace %q; want %v param %q", tc.status, tc.code, op, e.Kind, e.Code, e.Param, e.TraceID, tc.kind, tc.param)
			}
			if diff := cmp.Diff(tc.culprits, e.Culprits()); diff != "" {
				t.Errorf("%d %s %v: culprits (-want +got):\n%s", tc.status, tc.code, op, diff)
			}
		}
	}
}

func TestSeveralErrorsInOneAnswer(t *testing.T) {
	body := `{"errors":[
		{"code":"brand_new_code","meta":{"email_addresses":["new@b.example"]}},
		{"code":"duplicate_record","meta":{"email_addresses":["dup@b.example"]}},
		{"code":"form_identifier_exists","meta":{"email_addresses":["User@b.example"]}}],
		"meta":{"email_addresses":["dup@b.example","top@b.example"]}}`
	x := &exchange{began: true, sent: true, status: 400, header: http.Header{}, body: []byte(body)}
	e := classify(OpBulkCreate, x, "", time.Now())
	if e.Kind != KindDuplicate || e.Code != "duplicate_record" {
		t.Errorf("got %v %q, want the first code that is known", e.Kind, e.Code)
	}
	if diff := cmp.Diff([]string{"new@b.example", "dup@b.example", "User@b.example", "top@b.example"}, e.Culprits()); diff != "" {
		t.Errorf("culprits (-want +got):\n%s", diff)
	}
	for address, want := range map[string]Kind{"DUP@b.example": KindDuplicate, "user@b.example": KindExists} {
		if k, named := e.KindFor(address); k != want || !named {
			t.Errorf("KindFor(%s) = %v %v, want %v", address, k, named, want)
		}
	}
	if k, named := e.KindFor("innocent@b.example"); k != KindDuplicate || named {
		t.Errorf("KindFor(innocent) = %v %v, want not named", k, named)
	}
}

func TestNoAnswer(t *testing.T) {
	lost := outcome{KindUnknown, KindUnavailable, KindUnavailable}
	for _, tc := range []struct {
		name  string
		x     exchange
		cause Cause
		want  outcome
		is    error
	}{
		{"never got to sending", exchange{}, "", same(KindMalformed), nil},
		{"not a byte left", exchange{began: true, err: io.EOF}, CauseDial, same(KindNotSent), nil},
		{"canceled before a byte left", exchange{began: true, err: context.Canceled}, CauseCanceled, same(KindNotSent), context.Canceled},
		{"bytes left, no answer", exchange{began: true, sent: true, err: io.EOF}, CauseEOF, lost, nil},
		{"bytes left, timeout", exchange{began: true, sent: true, err: io.EOF}, CauseTimeout, lost, context.DeadlineExceeded},
		{"200 that broke off", exchange{began: true, sent: true, status: 200, header: http.Header{}, err: io.EOF}, CauseEOF, lost, nil},
		{"200 that is too large", exchange{began: true, sent: true, status: 200, header: http.Header{}, cut: true}, "", lost, nil},
		{"403 that broke off is not the edge's", exchange{began: true, sent: true, status: 403, header: http.Header{}, err: io.EOF}, CauseEOF, same(KindRefused), nil},
		{"403 that is too large is", exchange{began: true, sent: true, status: 403, header: http.Header{}, cut: true}, "", same(KindEdgeBlocked), nil},
	} {
		for _, op := range allOps {
			e := classify(op, &tc.x, tc.cause, time.Now())
			if e == nil || e.Kind != tc.want.of(op) {
				t.Errorf("%s, %v: got %v, want %v", tc.name, op, e, tc.want.of(op))
				continue
			}
			if tc.is != nil && !errors.Is(e, tc.is) {
				t.Errorf("%s, %v: errors.Is(%v) is false", tc.name, op, tc.is)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
	const hour = time.Hour
	for _, tc := range []struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		{"", "", 0, false},
		{"0", "", 0, true},
		{"36", "", 36 * time.Second, true},
		{" 36 ", "", 36 * time.Second, true},
		{"0.2", "", time.Second, true},
		{"1.5", "", 2 * time.Second, true},
		{"-1", "", 0, false},
		{"+1", "", 0, false},
		{"1e3", "", 0, false},
		{"0x10", "", 0, false},
		{"NaN", "", 0, false},
		{"1.2.3", "", 0, false},
		{".", "", 0, false},
		{"soon", "", 0, false},
		{"99999999999999999999999999", "", maxRetryAfter, true},
		{"9223372036854775807", "", maxRetryAfter, true},
		{"Tue, 12 May 2026 11:00:00 GMT", "", hour, true},
		{"Tuesday, 12-May-26 11:00:00 GMT", "", hour, true},
		{"Tue, 12 May 2026 09:00:00 GMT", "", 0, true}, // has passed
		{"Tue, 12 May 2026 11:00:00 GMT", "Tue, 12 May 2026 10:30:00 GMT", hour / 2, true}, // by the sender's clock
		{"Tue, 12 May 2026 11:00:00 GMT", "yesterday", hour, true},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", maxRetryAfter, true},
		{"Tue, 32 May 2026 11:00:00 GMT", "", 0, false},
	} {
		h := http.Header{}
		h.Set("Retry-After", tc.value)
		h.Set("Date", tc.date)
		if got, ok := retryAfter(h, now); got != tc.want || ok != tc.ok {
			t.Errorf("Retry-After %q, Date %q: got %v %v, want %v %v", tc.value, tc.date, got, ok, tc.want, tc.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"0", "36", "1.5", "-1", "1e309", "9223372036854775808", "Tue, 12 May 2026 11:00:00 GMT", "\xff"} {
		f.Add(s, "Tue, 12 May 2026 10:30:00 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		d, ok := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Now())
		if d < 0 || d > maxRetryAfter || (!ok && d != 0) {
			t.Errorf("got %v %v", d, ok)
		}
	})
}

// FuzzClassify feeds any answer to every call. What must hold for all: an Error
// whose text is made of known words only, and no mailing call cleared by
// something that clears nothing.
func FuzzClassify(f *testing.F) {
	f.Add(400, []byte(`{"errors":[{"code":"duplicate_record","meta":{"email_addresses":["a@b.example"]}}],"clerk_trace_id":"a@b.example"}`))
	f.Add(422, []byte(`{"errors":[{"code":"a@b.example","meta":{"param_name":"a@b.example"}}]}`))
	f.Add(429, []byte(`{"errors":[{"code":"too_many_requests"}]}`))
	f.Add(502, []byte("<html>"))
	f.Add(200, []byte("[]"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		for _, op := range allOps {
			x := &exchange{began: true, sent: true, status: status, header: http.Header{}, body: body}
			e := classify(op, x, CauseConn, time.Now())
			if e == nil {
				if status/100 != 2 {
					t.Fatalf("status %d is taken for a success", status)
				}
				continue
			}
			for _, r := range e.Error() {
				if r == '@' || r == '<' || r == '{' || r == '"' || r == '\n' {
					t.Fatalf("the text quotes the answer: %s", e.Error())
				}
			}
			if _, err := json.Marshal(e); err != nil {
				t.Fatal(err)
			}
			if status >= 500 && op.mails() && e.Kind != KindUnknown {
				t.Fatalf("status %d: %v", status, e.Kind)
			}
		}
	})
}

func TestKindWords(t *testing.T) {
	want := []string{
		"unknown", "not_sent", "quota", "overload", "busy", "duplicate", "exists", "invalid", "malformed", "blocked",
		"unauthorized", "edge_blocked", "redirected", "not_found", "already_revoked", "already_accepted", "unavailable", "refused",
	}
	var got []string
	for k := range kindEnd {
		got = append(got, k.String())
		if k.Error() != "clerk: "+k.String()+": "+kindWords[k].advice || kindWords[k].advice == "" {
			t.Errorf("%v.Error() = %q", k, k.Error())
		}
		if !errors.Is(&Error{Kind: k}, k) || KindOf(fmt.Errorf("x: %w", &Error{Kind: k})) != k {
			t.Errorf("%v is not found in an Error of its kind", k)
		}
		if k != KindUnknown && errors.Is(&Error{Kind: k}, KindUnknown) {
			t.Errorf("an Error of kind %v passes for unknown", k)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
	if (Kind)(0) != KindUnknown || KindOf(io.EOF) != KindUnknown || !kindEnd.MayHaveTakenEffect() || kindEnd.String() != "kind_18" {
		t.Error("what is not known must be taken for unknown")
	}
}

// TestKindVerdicts pins, for every kind, the three questions a worker asks.
func TestKindVerdicts(t *testing.T) {
	type verdict struct{ effect, permanent, closes bool }
	want := map[Kind]verdict{
		KindUnknown: {effect: true},
		KindNotSent: {}, KindQuota: {}, KindOverload: {}, KindBusy: {}, KindDuplicate: {}, KindUnavailable: {}, KindRefused: {},
		KindExists: {permanent: true}, KindInvalid: {permanent: true}, KindMalformed: {permanent: true}, KindBlocked: {permanent: true},
		KindNotFound: {permanent: true}, KindAlreadyRevoked: {permanent: true}, KindAlreadyAccepted: {permanent: true},
		KindUnauthorized: {closes: true}, KindEdgeBlocked: {closes: true}, KindRedirected: {closes: true},
	}
	for k := range kindEnd {
		w, ok := want[k]
		if !ok {
			t.Errorf("%v has no row", k)
		}
		if got := (verdict{k.MayHaveTakenEffect(), k.Permanent(), k.ClosesEverything()}); got != w {
			t.Errorf("%v: got %+v, want %+v", k, got, w)
		}
	}
}

func TestOps(t *testing.T) {
	want := map[Op]struct {
		word  string
		mails bool
	}{
		OpCreate: {"create", true}, OpBulkCreate: {"bulk_create", true}, OpRevoke: {"revoke", false}, OpDelete: {"delete", false},
		OpList: {"list", false}, OpUsers: {"users", false}, OpProbe: {"probe", false},
		opEnd: {"op_7", true},
	}
	for op := range opEnd + 1 {
		w, ok := want[op]
		if !ok || op.String() != w.word || op.mails() != w.mails {
			t.Errorf("%d: %s %v, want %+v", op, op, op.mails(), w)
		}
	}
}
