package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks/show"
)

// listFlags say how a list is read.
type listFlags struct {
	Format    string   `placeholder:"FORMAT" help:"csv, json, jsonl or xlsx. Defaults to what the content tells."`
	Sheet     string   `placeholder:"NAME" help:"The sheet of a workbook. Defaults to the first one that is not hidden and has an address."`
	Column    []string `placeholder:"FIELD=NAME" sep:"none" variable:"-" help:"Says what a column is: --column email_address=\"Work mail\", --column public_metadata.plan=Tier, --column ignore=Notes."`
	GlobalIDs bool     `name:"global-ids" help:"The ids in the list are your own, as those of inviteq invite --id. Otherwise an id names a row within its import."`
	MaxRows   int      `default:"1000000" placeholder:"ROWS" variable:"INVITEQ_IMPORT_MAX_ROWS" help:"The most rows of a list."`
}

// options understands the flags and adds to the complaints.
func (f listFlags) options(p *program) lists.Options {
	o := lists.Options{Sheet: f.Sheet, GlobalIDs: f.GlobalIDs, MaxRows: f.MaxRows}
	var err error
	if f.Format != "" {
		o.Format, err = lists.ParseFormat(f.Format)
		p.complaints.add(err)
	}
	if o.Columns, err = lists.ParseColumns(f.Column); err != nil {
		p.complaints.add(fmt.Errorf("--%w", err))
	}
	if f.MaxRows < 1 {
		p.complaints.add(errors.New("--max-rows ($INVITEQ_IMPORT_MAX_ROWS) must be a whole number of at least 1"))
	}
	return o
}

// openList copies the list; "-" is standard input. From here on the process needs
// little more memory than what it keeps, and some more of the processor.
func (p *program) openList(ctx context.Context, name string, o lists.Options) (*lists.List, error) {
	debug.SetGCPercent(25)
	from := p.console.in
	if name == "-" {
		if terminal(from) != nil {
			p.console.note("Reading the list from this terminal; Ctrl-D ends it.")
		}
	} else {
		file, err := os.Open(name)
		if err != nil {
			return nil, &usageError{err}
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil && info.IsDir() {
			return nil, usagef("%s is a directory", name)
		}
		from, o.Name = file, name
	}
	list, err := lists.Open(ctx, from, o)
	if err != nil && ctx.Err() == nil {
		err = unusable(name, err)
	}
	return list, err
}

// unusable is the error about a list as a whole.
func unusable(name string, err error) error {
	if errors.Is(err, lists.ErrDisk) {
		return err
	}
	return usagef("%s: %s", listName(name), flagged(err))
}

// flagged is an error about a list with the flag by which a column is named.
func flagged(err error) string {
	return strings.NewReplacer("column ignore=", "--column ignore=", "column email_address=", "--column email_address=").Replace(err.Error())
}

func listName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// survey reads the list to its end. What tell does not want to know is duplicates
// that ask for the same.
func (p *program) survey(ctx context.Context, name string, list *lists.List, tell func(*lists.RowError) error) (lists.Survey, error) {
	found, err := list.Survey(ctx, func(err error) error {
		if bad, ok := errors.AsType[*lists.RowError](err); ok {
			return tell(bad)
		}
		if d, ok := errors.AsType[*lists.DuplicateError](err); ok && !d.Same {
			p.console.note("%v", d) // Something is lost by leaving it out.
		}
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return found, context.Cause(ctx)
	}
	if err != nil {
		return found, unusable(name, err)
	}
	for _, note := range found.Notes() {
		p.console.note("%s", note)
	}
	if n := len(found.Ignored); n > 0 {
		shown := found.Ignored[:min(n, 20)]
		more := ""
		if n > len(shown) {
			more = fmt.Sprintf(" and %s more", show.Thousands(n-len(shown)))
		}
		p.console.note("ignored: %s%s", strings.Join(shown, ", "), more)
	}
	return found, nil
}
