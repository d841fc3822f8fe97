package api

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/access"
)

// importJSON is the answer about an import. The first part is that of GET.
type importJSON struct {
	Object    string                `json:"object"`
	ID        string                `json:"id"`
	Name      string                `json:"name"`  // Of the file; "" if it had none.
	Owner     string                `json:"owner"` // The token that asked; "" if that is not known.
	State     tasks.ImportState     `json:"state"`
	CreatedAt *time.Time            `json:"created_at"` // null if it is not there, after a dry run
	PausedAt  *time.Time            `json:"paused_at"`  // null if it is not paused
	HeldUntil *time.Time            `json:"held_until"` // null if its first row may go
	Total     int64                 `json:"total"`
	Open      int64                 `json:"open"`
	States    map[tasks.State]int64 `json:"states"`
	ETA       *time.Time            `json:"eta"` // When the last one will be sent, at the current rate; null if none waits, it is paused, or nothing can go.
}

func newImport(i enqueue.Import) importJSON {
	j := importJSON{
		Object: "import", ID: i.ID, Name: i.Name, Owner: i.Owner, State: cmp.Or(i.State, tasks.ImportDone), CreatedAt: tasks.TimeOrNull(i.CreatedAt), PausedAt: tasks.TimeOrNull(i.PausedAt),
		HeldUntil: tasks.TimeOrNull(i.HeldUntil), Total: i.Total, Open: i.Open, States: i.States, ETA: tasks.TimeOrNull(i.ETA),
	}
	if j.States == nil {
		j.States = map[tasks.State]int64{}
	}
	return j
}

// acceptedJSON is the answer to a list.
type acceptedJSON struct {
	importJSON
	Rows        int           `json:"rows"`        // In the list, bad ones and duplicates included.
	Admitted    int           `json:"admitted"`    // New.
	Known       int           `json:"known"`       // From an earlier request.
	Duplicates  int           `json:"duplicates"`  // Left out: the address of an earlier row.
	Invalid     int           `json:"invalid"`     // Left out, because ?skip_invalid=true.
	Conflicting int           `json:"conflicting"` // Not accepted: the id has other content already.
	Conflicts   []int         `json:"conflicts"`   // Their rows, at most a thousand.
	DryRun      bool          `json:"dry_run"`
	Problems    []rowProblems `json:"problems"` // Of the rows that were left out.
	Ignored     []string      `json:"ignored"`  // Columns that are not used.
	Notes       []string      `json:"notes"`    // What else a person should know of how the list was read.

	Preflight *tasks.Forecast `json:"preflight,omitempty"` // Only with ?preflight=true.
}

type rowProblems struct {
	Row    int    `json:"row"`
	Item   int    `json:"item,omitzero"` // of a JSON array
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// maxRowProblems is how many problems of rows are listed; how many rows are bad
// is said in any case.
const maxRowProblems = 1000

// importState is GET /v1/imports/{id}.
func (x *exchange) importState() *answer { return x.aboutImport(x.cfg.Client.Import) }

// pauseImport is POST /v1/imports/{id}/pause.
func (x *exchange) pauseImport() *answer { return x.aboutImport(x.cfg.Client.PauseImport) }

// resumeImport is POST /v1/imports/{id}/resume.
func (x *exchange) resumeImport() *answer { return x.aboutImport(x.cfg.Client.ResumeImport) }

// aboutImport does something with an import, and answers how it stands.
func (x *exchange) aboutImport(do func(context.Context, string) (enqueue.Import, error)) *answer {
	if refused := x.plain(); refused != nil {
		return refused
	}
	id, err := x.ownImport(x.ctx, x.id)
	if err != nil {
		return noImport(err)
	}
	i, err := do(x.ctx, id)
	if err != nil {
		return noImport(err)
	}
	return ok(newImport(i))
}

// noImport answers when an import cannot be shown.
func noImport(err error) *answer {
	if errors.Is(err, enqueue.ErrNotFound) {
		return notFound("No import was found with the given id.")
	}
	return unavailable(err)
}

// importName is the id of the import that a caller has named. The names of a token of
// scope own are its own: nobody else's import has them.
func (x *exchange) importName(name string) string {
	if x.token.Scope == access.Own {
		return idempotencyKey{name, x.token}.id("imp", "named")
	}
	return name
}

// ownImport returns the id of the import that is called so, if it exists for the token;
// otherwise the error is enqueue.ErrNotFound.
func (x *exchange) ownImport(ctx context.Context, id string) (string, error) {
	for _, id := range []string{id, x.importName(id)} {
		i, err := x.cfg.Ledger.Import(ctx, id)
		if err == nil && x.token.Sees(i.Owner) {
			return id, nil
		}
		if err != nil && !errors.Is(err, enqueue.ErrNotFound) {
			return "", err
		}
	}
	return "", enqueue.ErrNotFound
}

// importPage is a part of the list of imports.
type importPage struct {
	Data  []importJSON `json:"data"`
	Total int64        `json:"total_count"`
}

// listImports is GET /v1/imports.
func (x *exchange) listImports() *answer {
	q := x.r.URL.Query()
	if refused := refuseUnknown(q, "limit", "offset"); refused != nil {
		return refused
	}
	limit, refused := numberParam(q, "limit", defaultLimit, 1, maxImports)
	if refused != nil {
		return refused
	}
	offset, refused := numberParam(q, "offset", 0, 0, maxOffset)
	if refused != nil {
		return refused
	}
	all, total, err := x.ownImports(offset, limit)
	if err != nil {
		return unavailable(err)
	}
	page := importPage{Data: []importJSON{}, Total: total}
	for _, i := range all {
		page.Data = append(page.Data, newImport(i))
	}
	return ok(page)
}

// ownImports are those that exist for the token.
func (x *exchange) ownImports(offset, limit int) (all []enqueue.Import, total int64, _ error) {
	if x.token.Scope == access.Instance {
		return x.cfg.Client.Imports(x.ctx, offset, limit)
	}
	ids, err := x.cfg.Ledger.ImportsOf(x.ctx, x.token.Name)
	if err != nil {
		return nil, 0, err
	}
	offset = min(offset, len(ids))
	for _, id := range ids[offset:min(len(ids), offset+limit)] {
		i, err := x.cfg.Client.Import(x.ctx, id)
		if errors.Is(err, enqueue.ErrNotFound) {
			continue // It was trimmed just now.
		}
		if err != nil {
			return nil, 0, err
		}
		all = append(all, i)
	}
	return all, int64(len(ids)), nil
}

// maxImports is how many imports are listed at once.
const maxImports = 100
