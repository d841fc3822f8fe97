package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
)

// MaxPage is how many rows one list call returns at most
// (https://clerk.com/docs/reference/backend-api, ListInvitations, 2026-05).
const MaxPage = 500

// errMismatch: a well-formed answer that is not the answer to this request.
var errMismatch = errors.New("clerk: the answer does not match the request")

// Create creates one invitation, which mails its address unless Notify is false.
// It spends one request of the Single limit, whether Clerk accepts or not.
func (c *Client) Create(ctx context.Context, p Params) (Invitation, error) {
	if e := checkParams(OpCreate, p); e != nil {
		return Invitation{}, e
	}
	var inv Invitation
	err := c.call(ctx, OpCreate, func(ctx context.Context) error {
		got, err := c.invitations.Create(ctx, createParams(p))
		if err != nil {
			return err
		}
		inv, err = matched(got, p.EmailAddress)
		return err
	})
	return inv, err
}

// BulkCreate creates 1 to MaxBulk invitations, all or none (as far as is known),
// for one request of the Bulk limit. No two may have the same address, in any
// spelling. The result has one invitation for each, in no particular order: match
// by lower-cased address. An answer with fewer, more or other addresses is
// KindUnknown.
func (c *Client) BulkCreate(ctx context.Context, ps []Params) ([]Invitation, error) {
	if len(ps) == 0 || len(ps) > MaxBulk {
		return nil, refuse(OpBulkCreate, "invitations")
	}
	wanted := make(map[string]bool, len(ps))
	params := new(invitation.BulkCreateParams)
	for _, p := range ps {
		if e := checkParams(OpBulkCreate, p); e != nil {
			return nil, e
		}
		key := addressKey(p.EmailAddress)
		if wanted[key] {
			return nil, refuse(OpBulkCreate, "email_address")
		}
		wanted[key] = true
		params.Invitations = append(params.Invitations, createParams(p))
	}
	var all []Invitation
	err := c.call(ctx, OpBulkCreate, func(ctx context.Context) error {
		got, err := c.invitations.BulkCreate(ctx, params)
		if err != nil {
			return err
		}
		if len(got.Invitations) != len(ps) {
			return errMismatch
		}
		found := make([]Invitation, 0, len(ps))
		for _, g := range got.Invitations {
			if g == nil || g.ID == "" || !wanted[addressKey(g.EmailAddress)] {
				return errMismatch
			}
			delete(wanted, addressKey(g.EmailAddress)) // each address once
			found = append(found, fromSDK(g))
		}
		all = found
		return nil
	})
	return all, err
}

// Revoke revokes a pending invitation. It may be repeated at will: a revoke that
// took effect though its answer was lost says KindAlreadyRevoked the next time.
// So a lost answer is KindUnavailable, never KindUnknown. It spends the Other limit.
func (c *Client) Revoke(ctx context.Context, invitationID string) (Invitation, error) {
	if !isID(invitationID) {
		return Invitation{}, refuse(OpRevoke, "invitation_id")
	}
	var inv Invitation
	err := c.call(ctx, OpRevoke, func(ctx context.Context) error {
		got, err := c.invitations.Revoke(ctx, invitationID)
		if err != nil {
			return err
		}
		if got.ID != invitationID {
			return errMismatch
		}
		inv = fromSDK(got)
		return nil
	})
	return inv, err
}

// ListOptions selects a page of invitations.
type ListOptions struct {
	Statuses []Status // none means Clerk's default, which omits revoked
	Query    string   // address or id; whether exact or prefix is not documented, so compare again
	OrderBy  string   // [+-]created_at, email_address, expires_at; "" means -created_at
	Limit    int      // 1 to MaxPage; 0 means Clerk's default, 10
	Offset   int      // rows to skip
}

// Page is a part of a list.
type Page struct {
	Data  []Invitation
	Total int64 // how many rows the whole list has, counted by Clerk at about the same time
}

// List reads one page of invitations. It spends the Other limit.
func (c *Client) List(ctx context.Context, o ListOptions) (Page, error) {
	return c.list(ctx, OpList, o)
}

func (c *Client) list(ctx context.Context, op Op, o ListOptions) (Page, error) {
	if o.Limit < 0 || o.Limit > MaxPage {
		return Page{}, refuse(op, "limit")
	}
	if o.Offset < 0 {
		return Page{}, refuse(op, "offset")
	}
	params := &invitation.ListParams{OrderBy: given(o.OrderBy), Query: given(o.Query)}
	if o.Limit > 0 {
		params.Limit = new(int64(o.Limit))
	}
	if o.Offset > 0 {
		params.Offset = new(int64(o.Offset))
	}
	for _, s := range o.Statuses {
		params.Statuses = append(params.Statuses, string(s))
	}
	var page Page
	err := c.call(ctx, op, func(ctx context.Context) error {
		got, err := c.invitations.List(ctx, params)
		if err != nil {
			return err
		}
		if got.TotalCount < 0 || got.Invitations == nil && !hasKey(got.Response.RawJSON, "data") {
			return errMismatch // not a page at all, which must not pass for an empty one
		}
		data := make([]Invitation, 0, len(got.Invitations))
		for _, g := range got.Invitations {
			if g == nil || g.ID == "" {
				return errMismatch
			}
			data = append(data, fromSDK(g))
		}
		page = Page{Data: data, Total: got.TotalCount}
		return nil
	})
	return page, err
}

func createParams(p Params) *invitation.CreateParams {
	out := &invitation.CreateParams{
		EmailAddress: p.EmailAddress,
		RedirectURL:  given(p.RedirectURL),
		Notify:       p.Notify,
		TemplateSlug: given(p.TemplateSlug),
	}
	if len(p.PublicMetadata) > 0 {
		out.PublicMetadata = new(p.PublicMetadata)
	}
	if p.IgnoreExisting {
		out.IgnoreExisting = new(true)
	}
	if p.ExpiresInDays != 0 {
		out.ExpiresInDays = new(int64(p.ExpiresInDays))
	}
	return out
}

// checkParams refuses what could not be sent. Whether Clerk would take it is for
// Clerk to say: rules of its that we repeated here could only go stale.
func checkParams(op Op, p Params) *Error {
	switch {
	case strings.TrimSpace(p.EmailAddress) == "":
		return refuse(op, "email_address")
	case len(p.PublicMetadata) > 0 && !json.Valid(p.PublicMetadata):
		return refuse(op, "public_metadata")
	default:
		return nil
	}
}

func matched(got *sdk.Invitation, address string) (Invitation, error) {
	if got.ID == "" || addressKey(got.EmailAddress) != addressKey(address) {
		return Invitation{}, errMismatch
	}
	return fromSDK(got), nil
}

func fromSDK(s *sdk.Invitation) Invitation {
	inv := Invitation{
		ID:             s.ID,
		EmailAddress:   s.EmailAddress,
		Status:         Status(s.Status),
		Revoked:        s.Revoked || s.Status == string(Revoked),
		CreatedAt:      moment(s.CreatedAt),
		UpdatedAt:      moment(s.UpdatedAt),
		PublicMetadata: s.PublicMetadata,
	}
	if s.ExpiresAt != nil {
		inv.ExpiresAt = moment(*s.ExpiresAt)
	}
	if string(s.PublicMetadata) == "null" {
		inv.PublicMetadata = nil
	}
	return inv
}

// moment reads Clerk's milliseconds. 0, and what no calendar holds, is the zero time.
func moment(ms int64) time.Time {
	if ms <= 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// isID reports whether s looks like an id of Clerk's, so that it cannot turn the
// path of a request into another one.
func isID(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// hasKey reports whether b is a JSON object with the key.
func hasKey(b []byte, key string) bool {
	var object map[string]json.RawMessage
	if json.Unmarshal(b, &object) != nil {
		return false
	}
	_, ok := object[key]
	return ok
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
