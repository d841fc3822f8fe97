package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/enqueue/lists"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
	"github.com/inviteq/inviteq/worker/admin"
	"github.com/inviteq/inviteq/worker/preflight"
)

// listDesk takes in the lists that people upload on the pages, as `inviteq import` does.
type listDesk struct {
	client     *enqueue.Client
	ledger     *ledger.Ledger
	clerk      *clerk.Client
	maxRows    int
	maxWaiting int64
}

// maxUnpacked is the most bytes of a list, unpacked, as in the HTTP API.
const maxUnpacked = 64 << 20

func (d listDesk) open(ctx context.Context, r io.Reader, name string) (admin.List, error) {
	list, err := lists.Open(ctx, r, lists.Options{Name: name, MaxRows: d.maxRows, MaxBytes: maxUnpacked})
	if err != nil {
		return nil, onPage(err)
	}
	return &uploadedList{desk: d, list: list}, nil
}

// uploadedList is one of them.
type uploadedList struct {
	desk  listDesk
	list  *lists.List
	found lists.Survey
}

// onPage is an error about a list for a person who chooses columns on a page.
func onPage(err error) error {
	if c, ok := errors.AsType[*lists.ColumnError](err); ok {
		return errors.New(strings.TrimSuffix(err.Error(), " with column "+c.Column) + " below")
	}
	return err
}

func (u *uploadedList) Close() { u.list.Close() }

func (u *uploadedList) Columns(ctx context.Context) ([]string, error) { return u.list.Heading(ctx) }

// problemsShown is how many rows are named with what is wrong with them.
const problemsShown = 100

func (u *uploadedList) Survey(ctx context.Context, columns []string, hold time.Duration) (s admin.ListSurvey, err error) {
	rules, err := lists.ParseColumns(columns)
	if err != nil {
		return s, err
	}
	u.list.Remap(rules, hold)
	u.found, err = u.list.Survey(ctx, func(err error) error {
		bad, isBad := errors.AsType[*lists.RowError](err)
		twice, isTwice := errors.AsType[*lists.DuplicateError](err)
		switch {
		case len(s.Problems) == problemsShown:
		case isBad:
			s.Problems = append(s.Problems, admin.RowProblem{Row: bad.Row, Reason: bad.Reasons()})
		case isTwice && !twice.Same: // Something is lost by leaving it out.
			s.Problems = append(s.Problems, admin.RowProblem{Row: twice.Row, Reason: "has the address of an earlier row, and other contents: it is left out"})
		}
		return nil
	})
	if err != nil {
		return s, onPage(err)
	}
	s.ImportID, s.Good, s.Bad, s.Duplicates, s.Ignored = u.list.ImportID(), u.found.Good, u.found.Bad, u.found.Duplicates, u.found.Ignored
	s.Notes = u.found.Notes()
	switch _, err = u.desk.client.Import(ctx, s.ImportID); {
	case err == nil:
		s.Begun = true
	case errors.Is(err, enqueue.ErrNotFound):
		err = nil
	}
	return s, err
}

func (u *uploadedList) Forecast(ctx context.Context, progress func(int)) (tasks.Forecast, error) {
	check := preflight.Check{
		Ledger: u.desk.ledger, Clerk: u.desk.clerk, ReadShare: lookingShare(u.desk.ledger.Config().Limits.Other),
		Progress: func(f preflight.Forecast) { progress(f.Asked) },
	}
	f, err := check.Run(ctx, u.list.Invites(ctx, u.list.ImportID()), u.found.Good)
	return f.Forecast, err
}

func (u *uploadedList) Accept(ctx context.Context, owner string, progress func(int)) (admin.ListAccepted, error) {
	got, err := u.list.Accept(ctx, u.desk.client, u.found, lists.Acceptance{
		Owner: owner, MaxWaiting: u.desk.maxWaiting, Progress: func(r enqueue.BulkResult) { progress(r.Done()) },
	})
	return admin.ListAccepted{Admitted: got.Admitted, Known: got.Known, Conflicting: got.Conflicting}, err
}
