package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/redisconn"
)

// answer is what a request comes to: a value to be rendered as JSON, or problems.
type answer struct {
	status   int
	value    any
	problems []problem
	header   http.Header
	raw      []byte // instead of value: the OpenAPI document
	idle     bool   // nothing was changed
	err      error  // for the audit log only
}

// problem is one entry of an error in Clerk's shape.
type problem struct {
	Message     string         `json:"message"`
	LongMessage string         `json:"long_message"`
	Code        string         `json:"code"`
	Meta        map[string]any `json:"meta,omitempty"`
}

// problems is the body of an error.
type problems struct {
	Errors  []problem `json:"errors"`
	TraceID string    `json:"clerk_trace_id"`
}

// The codes. All but the last lines are Clerk's own, as far as they are known
// (https://clerk.com/docs/errors/backend-api).
const (
	codeKeyInvalid      = "clerk_key_invalid"
	codeNotAllowed      = "authorization_invalid"
	codeNotFound        = "resource_not_found"
	codeMethod          = "method_not_allowed"
	codeBody            = "request_body_invalid"
	codeBodySize        = "request_body_too_large"
	codeContentType     = "unsupported_content_type"
	codeMissing         = "form_param_missing"
	codeNil             = "form_param_nil"
	codeUnknown         = "form_param_unknown"
	codeFormat          = "form_param_format_invalid"
	codeValue           = "form_param_value_invalid"
	codeSize            = "form_param_exceeds_allowed_size"
	codeBulkSize        = "bulk_size_exceeded"
	codeDuplicate       = "duplicate_record"
	codeExists          = "form_identifier_exists"
	codeBlocked         = "not_allowed_access"
	codeTooMany         = "too_many_requests"
	codeAlreadyRevoked  = "invitation_already_revoked"
	codeAlreadyAccepted = "invitation_already_accepted"
	codeUnavailable     = "service_unavailable"
	codeConflict        = "conflict"

	codeAlreadyExpired = "invitation_expired"
	codeKeyConflict    = "idempotency_key_conflict"
	codeKeyMalformed   = "idempotency_key_invalid"
	codeForgotten      = "invitation_forgotten"
	codeListInvalid    = "import_invalid"
	codeListEmpty      = "import_empty"
	codeMore           = "more_errors"
	codeRow            = "import_row_invalid"
	codeInternal       = "internal_error"
	codeNoClerk        = "clerk_key_missing"
	codePositionGone   = "position_gone"
)

// ok is a 200.
func ok(value any) *answer { return &answer{status: http.StatusOK, value: value} }

// refuse is an error with one entry. The text is ours and never quotes a value.
func refuse(status int, code, message, long string) *answer {
	return &answer{status: status, problems: []problem{{Message: message, LongMessage: long, Code: code}}}
}

// unavailable says that Redis, or whatever else is needed, does not work now.
func unavailable(err error) *answer {
	long := "The queue cannot be reached at the moment. Please try again."
	// Where Redis is, is for the audit log.
	if t, ok := errors.AsType[*redisconn.Trouble](redisconn.Explain("", err)); ok && t.Kind != redisconn.Unreachable {
		long = t.Advice() + "."
	}
	switch {
	case errors.Is(err, ledger.ErrRekeying):
		long = "The ledger is being encrypted, which ends by itself. Please try again in a minute."
	case errors.Is(err, ledger.ErrNoKey), errors.Is(err, ledger.ErrNotEncrypted):
		long = "The encryption key of this API is not that of the ledger. Its operator can fix that: see the log."
	}
	a := refuse(http.StatusServiceUnavailable, codeUnavailable, "Service unavailable", long)
	a.err = err
	return a.after(time.Second)
}

// busy says that too much is under way.
func busy() *answer {
	return refuse(http.StatusServiceUnavailable, codeUnavailable, "Service unavailable", "Too many requests of this kind are under way. Please try again.").after(5 * time.Second)
}

// Busy answers requests for which a server has no place, as the API itself does when
// too much is under way.
func Busy(w http.ResponseWriter, _ *http.Request) {
	trace := newTrace()
	w.Header().Set("Clerk-Trace-Id", trace)
	busy().write(w, trace)
}

// after adds Retry-After.
func (a *answer) after(d time.Duration) *answer {
	return a.with("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
}

func (a *answer) with(name, value string) *answer {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(name, value)
	return a
}

// paramProblem is a problem with one parameter.
func paramProblem(code, param, long string) problem {
	message := map[string]string{
		codeMissing: "is missing", codeNil: "is nil", codeUnknown: "is unknown", codeSize: "exceeds allowed size",
	}[code]
	if message == "" {
		message = "is invalid"
	}
	return problem{Message: message, LongMessage: param + " " + long, Code: code, Meta: map[string]any{"param_name": param}}
}

func refuseParam(code, param, long string) *answer {
	return &answer{status: http.StatusUnprocessableEntity, problems: []problem{paramProblem(code, param, long)}}
}

// write sends the answer. It is rendered first, so that nothing is sent by half.
func (a *answer) write(w http.ResponseWriter, trace string) {
	h := w.Header()
	maps.Copy(h, a.header)
	body := a.raw
	if body == nil {
		// Without a charset, as Clerk answers: its JavaScript SDK compares the whole header.
		h.Set("Content-Type", "application/json")
		value := a.value
		if a.problems != nil {
			value = problems{a.problems, trace}
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(value) // our own types: it does not fail
		body = b.Bytes()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // if the client has gone, nobody is left to be told
}
