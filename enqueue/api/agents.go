package api

import (
	"bytes"
	"io"
	"net/http"

	"github.com/inviteq/inviteq/tasks/access"
)

// AgentsPath is where agents speak the Model Context Protocol, if Config.Agents is set.
const AgentsPath = "/mcp"

// maxMessage is the longest message of an agent: a thousand addresses and more.
const maxMessage = 1 << 20

func (x *exchange) readMessage() *answer { return x.readJSON(maxMessage) }

// agents hands a message on to whoever serves agents. The answer is one JSON object, so
// that a request costs no more than any other.
func (x *exchange) agents() *answer {
	switch {
	case x.cfg.Agents == nil:
		return notFound("No agents are served here; `inviteq api --api-agents` serves them.")
	case x.token.Scope != access.Instance:
		return refuse(http.StatusForbidden, codeNotAllowed, "Not allowed", "This token has the scope own; agents need one of the scope instance.")
	}
	r := x.r.Clone(x.ctx)
	r.Body = io.NopCloser(bytes.NewReader(x.body))
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	x.cfg.Agents(x.token).ServeHTTP(rec, r)
	return &answer{status: rec.status, raw: rec.body.Bytes(), header: rec.header}
}

// recorder keeps an answer until it can be written with the others.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
