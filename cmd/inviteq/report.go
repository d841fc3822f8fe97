package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/tasks/show"
)

// report is the CSV file with the outcome of every row of an import. It is
// written beside its place and moved there when it is complete. A nil report is
// none.
type report struct {
	file *os.File
	path string
}

// newReport makes sure, before anything is enqueued, that the report can be
// written. It holds addresses: only its owner may read it.
func newReport(path string) (*report, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no report was asked for
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".inviteq-report-*") // mode 0600
	if err != nil {
		return nil, usagef("--report: cannot write to %s: %w", filepath.Dir(path), innermost(err))
	}
	return &report{f, path}, nil
}

// discard removes what was not completed.
func (r *report) discard() {
	if r != nil && r.file != nil {
		r.file.Close()
		_ = os.Remove(r.file.Name()) // at worst a hidden file stays
	}
}

// reportBatch is how many rows are looked up in one round trip.
const reportBatch = 500

// write goes over the list once more and writes what became of every row.
func (r *report) write(ctx context.Context, run *importRun) error {
	out := show.NewOutcomes(r.file) // Flush tells what goes wrong
	conflicts := map[string]lists.Conflict{}
	for _, c := range run.result.Conflicts {
		conflicts[c.ID] = c
	}
	batch := make([]show.Outcome, 0, reportBatch)
	for row, err := range run.list.Rows(ctx, run.ImportID) {
		one, err := reportOf(row, err)
		if err != nil {
			return err
		}
		if c, ok := conflicts[one.ID]; ok && c.Place == row.Place {
			one.Outcome, one.Reason = "conflict", run.conflict(c)
		}
		if batch = append(batch, one); len(batch) == reportBatch {
			if err := writeRows(ctx, out, run.conn.ledger, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := writeRows(ctx, out, run.conn.ledger, batch); err != nil {
		return err
	}
	return r.complete(out)
}

// complete moves the report to its place.
func (r *report) complete(out show.Outcomes) error {
	if err := errors.Join(out.Flush(), r.file.Close()); err != nil {
		return err
	}
	if err := os.Rename(r.file.Name(), r.path); err != nil {
		return err
	}
	r.file = nil
	return nil
}

// writeImport writes what became of every invite of an import, in the order of its
// list. A row is numbered by its line, or by its place where the import has no lines.
func (r *report) writeImport(ctx context.Context, l *ledger.Ledger, importID string) error {
	out, place := show.NewOutcomes(r.file), 0
	for cursor := ""; ; {
		page, err := l.ListImport(ctx, importID, cursor, reportBatch)
		if err != nil {
			return err
		}
		lines, err := l.Lines(ctx, importID, page.Records)
		if err != nil {
			return err
		}
		for n, record := range page.Records {
			place++
			one := show.Outcome{Row: cmp.Or(lines[n], place), Address: record.Invite.EmailAddress.Raw(), ID: record.Invite.ID}
			if err := out.Write(settled(one, record)); err != nil {
				return err
			}
		}
		if cursor = page.Next; cursor == "" {
			return r.complete(out)
		}
	}
}

// settled is a row with what became of it.
func settled(row show.Outcome, r ledger.Record) show.Outcome {
	row.Outcome, row.Reason, row.InvitationID, row.UpdatedAt = r.State.String(), string(r.Reason), r.InvitationID, r.UpdatedAt
	return row
}

func reportOf(row lists.Row, err error) (show.Outcome, error) {
	if bad, ok := errors.AsType[*lists.RowError](err); ok {
		return show.Outcome{Row: bad.Row, Outcome: "invalid", Reason: bad.Reasons()}, nil
	}
	if dup, ok := errors.AsType[*lists.DuplicateError](err); ok {
		return show.Outcome{Row: dup.Row, Outcome: "duplicate", Reason: "same address as " + dup.First.String()}, nil
	}
	return show.Outcome{Row: row.Row, Address: row.Invite.EmailAddress.Raw(), ID: row.Invite.ID}, err
}

func writeRows(ctx context.Context, out show.Outcomes, l *ledger.Ledger, batch []show.Outcome) error {
	var ids []string
	for _, row := range batch {
		if row.Outcome == "" {
			ids = append(ids, row.ID)
		}
	}
	records, err := l.Get(ctx, ids...)
	if err != nil {
		return err
	}
	byID := make(map[string]ledger.Record, len(records))
	for _, r := range records {
		byID[r.Invite.ID] = r
	}
	for _, row := range batch {
		if record, ok := byID[row.ID]; ok && row.Outcome == "" {
			row = settled(row, record)
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	return nil
}
