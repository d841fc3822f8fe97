package main

import (
	"cmp"
	"net/http"

	"github.com/rs/zerolog"

	"github.com/inviteq/inviteq/cmd/inviteq/listen"
	"github.com/inviteq/inviteq/enqueue/api"
)

// auditLog writes a line for each request. Of those that a stranger can make by the
// thousand, refused or not, it writes the first of each kind within ten
// seconds, and then their sum.
type auditLog struct {
	log     zerolog.Logger
	refused *listen.Tally
}

// refusedLines is how many lines each kind of refusal has within ten seconds.
const refusedLines = 20

func newAuditLog(log zerolog.Logger) auditLog {
	return auditLog{log, listen.NewTally(log, "api requests refused", refusedLines)}
}

// write writes the line of a request. What it is about is named by ids.
func (a auditLog) write(e api.Entry) {
	line := a.log.Info
	switch {
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusTooManyRequests, e.Status == http.StatusServiceUnavailable && e.Err == nil:
		line = a.log.Warn
	case e.Status >= http.StatusInternalServerError:
		line = a.log.Error
	case e.Route == api.HealthPath:
		line = a.log.Debug
	}
	refused := e.Status == http.StatusUnauthorized || e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable || e.Route == ""
	stranger := e.TokenID == "" && e.Err == nil && e.Route != api.HealthPath
	if (refused || stranger) && !a.refused.Add(cmp.Or(e.Code, "public")) {
		return
	}
	l := line().Str("trace", e.TraceID).Str("token", e.Token).Str("token_id", e.TokenID).Str("remote", e.Remote).
		Str("method", e.Method).Str("route", e.Route).Int("status", e.Status).Dur("took_ms", e.Took)
	for name, value := range map[string]string{"request_id": e.RequestID, "code": e.Code, "id": e.ID} {
		if value != "" {
			l = l.Str(name, value)
		}
	}
	if e.Invites > 0 {
		l = l.Int("invites", e.Invites)
	}
	if e.Replayed {
		l = l.Bool("replayed", true)
	}
	l.Err(e.Err).Msg("api request")
}
