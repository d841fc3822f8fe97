package api

import (
	"net"
	"net/http"
	"time"
)

// Entry is one request in the audit log: who did what, and how it ended. It
// holds no address, no token and nothing else of a body; Err is for whoever
// runs inviteq and is not told to the client.
type Entry struct {
	At        time.Time
	Took      time.Duration
	TraceID   string // clerk_trace_id of the answer.
	RequestID string // X-Request-Id of the request; "" if there was none, or not a plain one.
	Remote    string // The IP address of the peer, which may be a proxy.
	Token     string // The name of the token; "" if the request had no good one.
	TokenID   string // tok_…
	Method    string
	Route     string // Such as /v1/invitations/{id}/revoke; "" if there is no such path.
	Status    int
	Code      string // Of the first error.
	ID        string // The invite, invitation or import that it was about.
	Invites   int    // How many were accepted, found or listed.
	Replayed  bool   // The Idempotency-Key was known.
	Err       error  // Why a status is 500 or 503.
}

func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// plainID returns s if it can be logged and sent back as it is, else "".
func plainID(s string) string {
	if len(s) > 128 {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return ""
		}
	}
	return s
}
