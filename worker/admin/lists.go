package admin

import (
	"context"
	"io"
	"time"

	"github.com/inviteq/inviteq/tasks"
)

// List is a list of people that was uploaded: one copy, which has no name on the disk. What
// it can do is what `inviteq import` does with a file; the pages check nothing themselves.
// It is not safe for concurrent use. No error of it quotes what is in a row.
type List interface {
	// Columns are the names of its columns, as far as they may be shown.
	Columns(ctx context.Context) ([]string, error)

	// Survey reads it to its end. columns says what a column is: FIELD=NAME, as --column.
	// An error is for the person who has brought the list.
	Survey(ctx context.Context, columns []string, hold time.Duration) (ListSurvey, error)

	// Forecast says by free reads at Clerk what would become of it, after a Survey.
	Forecast(ctx context.Context, progress func(done int)) (tasks.Forecast, error)

	// Accept enqueues the good rows, after a Survey.
	Accept(ctx context.Context, owner string, progress func(done int)) (ListAccepted, error)

	Close()
}

// ListSurvey is what a list holds.
type ListSurvey struct {
	ImportID              string
	Begun                 bool // The import is there already, so that going on adds only what is missing.
	Good, Bad, Duplicates int
	Ignored               []string     // columns that are not used
	Notes                 []string     // What else a person has to know before it goes, a sentence each.
	Problems              []RowProblem // of bad rows and of duplicates that differ, the first hundred
}

// Rows is how many there are.
func (s ListSurvey) Rows() int { return s.Good + s.Bad + s.Duplicates }

// RowProblem is what is wrong with a row.
type RowProblem struct {
	Row    int // The line of the file.
	Reason string
}

// ListAccepted is what became of its rows.
type ListAccepted struct{ Admitted, Known, Conflicting int }

// OpenList copies a list. The error is for the person who has brought it.
type OpenList func(ctx context.Context, r io.Reader, name string) (List, error)
