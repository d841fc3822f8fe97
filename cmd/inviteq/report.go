package main

import (
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks/ledger"
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

// reportRow is one row of the list on its way into the report.
type reportRow struct {
	row     int
	address string
	id      string
	outcome string // of a row that is no invite
	reason  string
}

// write goes over the list once more and writes what became of every row.
func (r *report) write(ctx context.Context, run *importRun) error {
	w := csv.NewWriter(r.file)
	_ = w.Write([]string{"row", "email_address", "outcome", "reason", "id", "invitation_id", "updated_at"}) // Flush tells
	conflicts := map[string]lists.Conflict{}
	for _, c := range run.result.Conflicts {
		conflicts[c.ID] = c
	}
	batch := make([]reportRow, 0, reportBatch)
	for row, err := range run.list.Rows(ctx, run.ImportID) {
		one, err := reportOf(row, err)
		if err != nil {
			return err
		}
		if c, ok := conflicts[one.id]; ok && c.Place == row.Place {
			one.outcome, one.reason = "conflict", run.conflict(c)
		}
		if batch = append(batch, one); len(batch) == reportBatch {
			if err := writeRows(ctx, w, run.conn.ledger, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := writeRows(ctx, w, run.conn.ledger, batch); err != nil {
		return err
	}
	w.Flush()
	if err := errors.Join(w.Error(), r.file.Close()); err != nil {
		return err
	}
	if err := os.Rename(r.file.Name(), r.path); err != nil {
		return err
	}
	r.file = nil
	return nil
}

func reportOf(row lists.Row, err error) (reportRow, error) {
	if bad, ok := errors.AsType[*lists.RowError](err); ok {
		return reportRow{row: bad.Row, outcome: "invalid", reason: bad.Reasons()}, nil
	}
	if dup, ok := errors.AsType[*lists.DuplicateError](err); ok {
		return reportRow{row: dup.Row, outcome: "duplicate", reason: "same address as " + dup.First.String()}, nil
	}
	return reportRow{row: row.Row, address: row.Invite.EmailAddress.Raw(), id: row.Invite.ID}, err
}

func writeRows(ctx context.Context, w *csv.Writer, l *ledger.Ledger, batch []reportRow) error {
	var ids []string
	for _, row := range batch {
		if row.outcome == "" {
			ids = append(ids, row.id)
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
		fields := []string{strconv.Itoa(row.row), row.address, row.outcome, row.reason, row.id, "", ""}
		if record, ok := byID[row.id]; ok && row.outcome == "" {
			fields[2], fields[3], fields[5] = record.State.String(), string(record.Reason), record.InvitationID
			fields[6] = record.UpdatedAt.UTC().Format("2006-01-02T15:04:05.000Z")
		}
		for i := range fields {
			fields[i] = harmless(fields[i])
		}
		_ = w.Write(fields) // Flush tells
	}
	return nil
}

// harmless keeps a spreadsheet from taking a cell for a formula: what begins
// like one gets an apostrophe, which spreadsheets do not show.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r|", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
