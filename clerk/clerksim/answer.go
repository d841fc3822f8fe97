package clerksim

import (
	"encoding/json"
	"net/http"
)

// answer is what the simulated Clerk decides to say: a status and a value to be
// rendered as JSON, or raw bytes of another type.
type answer struct {
	status int
	value  any
	header http.Header
	raw    []byte // instead of value, with its type in header
}

// problem is one entry of Clerk's error list.
type problem struct {
	Message     string         `json:"message"`
	LongMessage string         `json:"long_message"`
	Code        string         `json:"code"`
	Meta        map[string]any `json:"meta,omitempty"`
}

// problems is the body of every error answered by Clerk proper.
type problems struct {
	Errors  []problem `json:"errors"`
	TraceID string    `json:"clerk_trace_id"`
}

// wireInvitation is an invitation as answered. The fields and their order are
// those of Clerk's OpenAPI document.
type wireInvitation struct {
	Object         string          `json:"object"`
	ID             string          `json:"id"`
	EmailAddress   string          `json:"email_address"`
	PublicMetadata json.RawMessage `json:"public_metadata"`
	Revoked        bool            `json:"revoked,omitempty"`
	Status         Status          `json:"status"`
	URL            string          `json:"url,omitempty"`
	ExpiresAt      int64           `json:"expires_at"`
	CreatedAt      int64           `json:"created_at"`
	UpdatedAt      int64           `json:"updated_at"`
}

// wireDeleted is what is answered of something that has been deleted.
type wireDeleted struct {
	Object  string `json:"object"`
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

type wireInvitationPage struct {
	Data       []wireInvitation `json:"data"`
	TotalCount int              `json:"total_count"`
}

func (s *Sim) wire(inv seen) wireInvitation {
	out := wireInvitation{
		Object:         "invitation",
		ID:             inv.id,
		EmailAddress:   inv.email,
		PublicMetadata: s.echoMetadata(inv.metadata),
		Revoked:        inv.status == revoked,
		Status:         statuses[inv.status],
		ExpiresAt:      inv.expiresAt,
		CreatedAt:      inv.created,
		UpdatedAt:      inv.updated,
	}
	if !out.Revoked {
		out.URL = ticketURL(s.cfg.Seed, inv.id)
	}
	return out
}

// Clerk's error codes (https://clerk.com/docs/errors/backend-api).
const (
	codeDuplicateRecord  = "duplicate_record"
	codeIdentifierExists = "form_identifier_exists"
	codeFormatInvalid    = "form_param_format_invalid"
	codeParamMissing     = "form_param_missing"
	codeParamNil         = "form_param_nil"
	codeParamUnknown     = "form_param_unknown"
	codeValueInvalid     = "form_param_value_invalid" // inferred
	codeExceedsSize      = "form_param_exceeds_allowed_size"
	codeBulkSize         = "bulk_size_exceeded" // inferred
	codeBodyInvalid      = "request_body_invalid"
	codeBodyTooLarge     = "request_body_too_large"   // inferred
	codeContentType      = "unsupported_content_type" // inferred
	codeNotAllowed       = "not_allowed_access"       // inferred
	codeLocked           = "resource_locked"
	codeAlreadyAccepted  = "invitation_already_accepted" // inferred
	codeAlreadyExpired   = "invitation_expired"          // unknown; the simulator's own
	codeNotFound         = "resource_not_found"
	codeKeyInvalid       = "clerk_key_invalid"
	codeHeaderInvalid    = "authorization_header_format_invalid"
	codeVersionInvalid   = "api_version_invalid"
	codeTooManyRequests  = "too_many_requests" // inferred
	codeInternal         = "internal_clerk_error"
	codeUnavailable      = "service_unavailable"
	codeGatewayTimeout   = "gateway_timeout"
	codeMethodNotAllowed = "method_not_allowed" // inferred
	codeNotSimulated     = "not_simulated"      // the simulator's own
	codeUnfamiliar       = "simulated_unfamiliar_code"
)

// inferredCodes are those that UnfamiliarCodes replaces.
var inferredCodes = map[string]bool{
	codeValueInvalid: true, codeBulkSize: true, codeNotAllowed: true, codeContentType: true, codeBodyTooLarge: true, codeMethodNotAllowed: true,
	codeAlreadyAccepted: true, codeAlreadyExpired: true, codeTooManyRequests: true,
}

// refuse makes an answer with one error.
func (s *Sim) refuse(status int, code, message, long string, meta map[string]any) *answer {
	return s.refuseAll(status, problem{Message: message, LongMessage: long, Code: code, Meta: meta})
}

func (s *Sim) refuseAll(status int, list ...problem) *answer {
	if s.cfg.Switches.UnfamiliarCodes {
		for i := range list {
			if inferredCodes[list[i].Code] {
				list[i].Code = codeUnfamiliar
			}
		}
	}
	return &answer{status: status, value: &problems{Errors: list}}
}

func (s *Sim) refuseParam(code, param, long string) *answer {
	return s.refuseAll(http.StatusUnprocessableEntity, paramProblem(code, param, long))
}

func paramProblem(code, param, long string) problem {
	message := map[string]string{
		codeParamMissing: "is missing",
		codeParamNil:     "is nil",
		codeParamUnknown: "is unknown",
		codeExceedsSize:  "exceeds allowed size",
	}[code]
	if message == "" {
		message = "is invalid"
	}
	return problem{Message: message, LongMessage: param + " " + long, Code: code, Meta: map[string]any{"param_name": param}}
}

// serverError is Clerk's JSON for a 5xx or another status that a fault asks for.
func (s *Sim) serverError(status int, code string) *answer {
	if code == "" {
		switch status {
		case http.StatusServiceUnavailable:
			code = codeUnavailable
		case http.StatusGatewayTimeout:
			code = codeGatewayTimeout
		case http.StatusConflict:
			code = codeLocked
		default:
			code = codeInternal
		}
	}
	return s.refuse(status, code, http.StatusText(status), "There was a simulated error on Clerk's servers.", nil)
}
