package enqueue

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// ListOptions says which invites to list. The zero value lists all.
type ListOptions struct {
	// ImportID lists the invites of one import, in the order of its list.
	ImportID string

	// States lists invites in these states only; none means every state.
	// Without an ImportID they come state by state: queued ones in the order
	// in which they will be sent, others by the time of their last change.
	States []tasks.State

	// Limit is how many come at most: in a page of List (1 to 1000, defaults
	// to 100), or in the whole sequence of All (defaults to no limit).
	Limit int

	// Cursor is Page.Next of the page before; "" begins.
	Cursor string
}

// Page is a part of a list.
type Page struct {
	Invites []Status

	// Next is the cursor of the next page, "" after the last. A page may hold
	// fewer than Limit, or none at all, although more follow.
	Next string
}

const (
	defaultPage = 100
	largestPage = 1000
)

var errCursor = errors.New("cursor is not one that this list has returned")

// List returns one page. An invite that changes its state between two pages of a
// state may be missed or come twice; one that stays does neither.
// For an import that is not known the error is ErrNotFound.
func (c *Client) List(ctx context.Context, o ListOptions) (Page, error) {
	if o.Limit <= 0 {
		o.Limit = defaultPage
	}
	o.Limit = min(o.Limit, largestPage)
	l, err := c.open(ctx)
	if err != nil {
		return Page{}, err
	}
	var found ledger.Page
	if o.ImportID != "" {
		found, err = listImport(ctx, l, o)
	} else {
		found, err = listStates(ctx, l, o)
	}
	if err != nil {
		return Page{}, err
	}
	invites, err := statuses(ctx, l, found.Records)
	return Page{invites, found.Next}, err
}

func listImport(ctx context.Context, l *ledger.Ledger, o ListOptions) (ledger.Page, error) {
	page, err := l.ListImport(ctx, o.ImportID, o.Cursor, o.Limit, o.States...)
	if err != nil {
		return page, err
	}
	if len(page.Records) == 0 && o.Cursor == "" {
		_, err = l.Import(ctx, o.ImportID)
	}
	return page, err
}

// listStates goes from state to state until a page holds something. Its cursor
// is the state's name, "|", and the ledger's own cursor within the state.
func listStates(ctx context.Context, l *ledger.Ledger, o ListOptions) (ledger.Page, error) {
	states := o.States
	if len(states) == 0 {
		states = tasks.States
	}
	at, inner := 0, ""
	if o.Cursor != "" {
		name, rest, ok := strings.Cut(o.Cursor, "|")
		at, inner = slices.IndexFunc(states, func(s tasks.State) bool { return s.String() == name }), rest
		if !ok || at < 0 {
			return ledger.Page{}, errCursor
		}
	}
	for ; at < len(states); at, inner = at+1, "" {
		page, err := l.ListState(ctx, states[at], inner, o.Limit)
		if err != nil {
			return page, err
		}
		if page.Next == "" {
			continue
		}
		page.Next = states[at].String() + "|" + page.Next
		// It may have moved on between the index and its record.
		page.Records = slices.DeleteFunc(page.Records, func(r ledger.Record) bool { return r.State != states[at] })
		return page, nil
	}
	return ledger.Page{}, nil
}

// All goes through the pages of a list. It holds one page at a time, so a list
// may be of any length. The first error ends it.
func (c *Client) All(ctx context.Context, o ListOptions) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		left := o.Limit
		page := o
		for {
			page.Limit = largestPage
			if o.Limit > 0 {
				page.Limit = min(left, largestPage)
			}
			p, err := c.List(ctx, page)
			if err != nil {
				yield(Status{}, err)
				return
			}
			for _, s := range p.Invites {
				if !yield(s, nil) {
					return
				}
			}
			left -= len(p.Invites)
			if p.Next == "" || o.Limit > 0 && left <= 0 {
				return
			}
			page.Cursor = p.Next
		}
	}
}
