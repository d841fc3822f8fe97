package lists

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/inviteq/inviteq/tasks"
)

// MaxRowLen is the longest row of a list, in bytes. The largest valid row has a
// twentieth of it. A file that goes on longer without ending a row is given up
// there, so that any file is read in the same memory.
const MaxRowLen = 1 << 20

// Place says where a row is.
type Place struct {
	Row  int // The line of the file on which it begins, from 1, as editors count; of a workbook, the row of the sheet.
	Item int // Of a JSON array, which of its members, from 1; otherwise 0.
}

// String returns "row 7", or "row 1, item 3".
func (p Place) String() string {
	if p.Item > 0 {
		return fmt.Sprintf("row %d, item %d", p.Row, p.Item)
	}
	return "row " + strconv.Itoa(p.Row)
}

// Row is one good row of a list.
type Row struct {
	Place

	// Invite is valid, and in the import lane unless the list says otherwise. Its
	// ID and ImportID are those with which Accept has handed it over, or would.
	Invite tasks.Invite

	name    string // What its id column says, unless the ids are global.
	ordinal uint32 // Which row of the list it is, from 1.
}

// RowError says everything that is wrong with one row.
type RowError struct {
	Place
	Problems []tasks.Problem // Field is empty when the row as a whole is at fault.
}

// Error names the row, its fields and what is allowed, never a value.
func (e *RowError) Error() string { return e.Place.String() + ": " + e.Reasons() }

// Reasons is the error without the row.
func (e *RowError) Reasons() string {
	return (&tasks.ValidationError{Problems: e.Problems}).Error()
}

// rowErr makes the error of one row from one that is not about a field.
func rowErr(at Place, reason string) *RowError {
	return &RowError{Place: at, Problems: []tasks.Problem{{Reason: reason}}}
}

// DuplicateError says that an earlier row has the same address. That row counts;
// the later one is left out even if its other columns differ, because a second
// invite would be refused by Clerk or mail the person twice.
type DuplicateError struct {
	Place
	First Place // The row that counts.
	Same  bool  // The two rows ask for the same thing, so nothing is lost.
}

// Error names both rows.
func (e *DuplicateError) Error() string { return e.Place.String() + ": " + e.Reason() }

// Reason is the error without the row.
func (e *DuplicateError) Reason() string {
	if e.Same {
		return fmt.Sprintf("same address as %v", e.First)
	}
	return fmt.Sprintf("same address as %v, with other contents; %v counts", e.First, e.First)
}

// isAboutRow reports an error after which reading goes on.
func isAboutRow(err error) bool {
	_, bad := errors.AsType[*RowError](err)
	_, duplicate := errors.AsType[*DuplicateError](err)
	return bad || duplicate
}

// draft is a row on its way: what its cells have set, and what is wrong with them.
type draft struct {
	tasks.InviteJSON
	name     string // what the id column says, unless the ids are global
	problems []tasks.Problem
}

func (d *draft) refuse(field, reason string) {
	d.problems = append(d.problems, tasks.Problem{Field: field, Reason: reason})
}

// maxNameLen is the longest id within an import, in bytes.
const maxNameLen = 512

// row validates the draft.
func (d *draft) row(at Place, o *Options) (Row, error) {
	if d.Lane == "" && !o.Interactive {
		d.Lane = tasks.Import.String()
	}
	if o.GlobalIDs {
		d.ID, d.name = d.name, ""
		if err := tasks.CheckCallerID(d.ID); d.ID != "" && err != nil {
			d.refuse("id", err.Error())
		}
	} else if len(d.name) > maxNameLen || !utf8.ValidString(d.name) {
		d.refuse("id", "must be UTF-8 text of at most 512 bytes")
	}
	invite, err := d.Invite()
	if v, ok := errors.AsType[*tasks.ValidationError](err); ok {
		for _, p := range v.Problems {
			if !d.isRefused(p.Field) {
				d.problems = append(d.problems, p)
			}
		}
	}
	if o.Hold > 0 && !invite.Deadline.IsZero() && invite.Deadline.Before(time.Now().Add(o.Hold)) {
		d.refuse("deadline", "is sooner than the first row may go, because the import is held")
	}
	if len(d.problems) > 0 {
		return Row{Place: at}, &RowError{Place: at, Problems: d.problems}
	}
	return Row{Place: at, Invite: invite, name: d.name}, nil
}

func (d *draft) isRefused(field string) bool {
	for _, p := range d.problems {
		if p.Field == field && field != "" {
			return true
		}
	}
	return false
}
