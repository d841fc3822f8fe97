package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
)

// MaxPage is how many rows one list call returns at most
// (https://clerk.com/docs/reference/backend-api, ListInvitations, 2026-05).
const MaxPage = 500

// errMismatch: a well-formed answer that is not the answer to this request.
var errMismatch = errors.New("clerk: the answer does not match the request")

// Create creates one invitation, which mails its address unless Notify is false.
// It spends one request of the Single limit, whether Clerk accepts or not. The
// one invitation that Clerk answers with is the one that was asked for, even if
// its address comes back in another form.
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
		if got.ID == "" {
			return errMismatch
		}
		inv = fromSDK(got)
		return nil
	})
	return inv, err
}

// BulkCreate creates 1 to MaxBulk invitations, all or none (as far as is known),
// for one request of the Bulk limit. No two may have the same address, in any
// spelling. The result is in the order of ps, whatever the order of Clerk's
// answer. An answer with fewer or more invitations, or with addresses that
// cannot be matched (see align), is KindUnknown.
func (c *Client) BulkCreate(ctx context.Context, ps []Params) ([]Invitation, error) {
	if len(ps) == 0 || len(ps) > MaxBulk {
		return nil, refuse(OpBulkCreate, "invitations")
	}
	wanted := make(map[string]int, len(ps))
	params := new(invitation.BulkCreateParams)
	for i, p := range ps {
		if e := checkParams(OpBulkCreate, p); e != nil {
			return nil, e
		}
		key := addressKey(p.EmailAddress)
		if _, twice := wanted[key]; twice {
			return nil, refuse(OpBulkCreate, "email_address")
		}
		wanted[key] = i
		params.Invitations = append(params.Invitations, createParams(p))
	}
	var all []Invitation
	err := c.call(ctx, OpBulkCreate, func(ctx context.Context) error {
		got, err := c.invitations.BulkCreate(ctx, params)
		if err != nil {
			return err
		}
		all, err = align(got.Invitations, wanted)
		return err
	})
	return all, err
}

// align puts the answer to a bulk call into the order of its request, given each
// address's key and place there. Whether Clerk answers an address as it was sent
// is not known. What is left over goes to the one place whose address has the same
// letters and digits, and a last one to the last place; more would be a guess.
func align(got []*sdk.Invitation, wanted map[string]int) ([]Invitation, error) {
	if len(got) != len(wanted) {
		return nil, errMismatch
	}
	all := make([]Invitation, len(got))
	ids := make(map[string]bool, len(got))
	var strays []*sdk.Invitation
	for _, g := range got {
		if g == nil || g.ID == "" || ids[g.ID] {
			return nil, errMismatch
		}
		ids[g.ID] = true
		i, ok := wanted[addressKey(g.EmailAddress)]
		switch {
		case ok && all[i].ID == "":
			all[i] = fromSDK(g)
		case ok: // one address twice
			return nil, errMismatch
		default:
			strays = append(strays, g)
		}
	}
	if len(strays) == 1 {
		all[slices.IndexFunc(all, func(inv Invitation) bool { return inv.ID == "" })] = fromSDK(strays[0])
		return all, nil
	}
	bare := make(map[string][]int, len(strays))
	for key, i := range wanted {
		if all[i].ID == "" {
			bare[bareAddress(key)] = append(bare[bareAddress(key)], i)
		}
	}
	for _, g := range strays {
		places := bare[bareAddress(g.EmailAddress)]
		if len(places) != 1 || all[places[0]].ID != "" {
			return nil, errMismatch
		}
		all[places[0]] = fromSDK(g)
	}
	return all, nil
}

// bareAddress is what is left of an address without its punctuation.
func bareAddress(address string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, address)
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

// Delete deletes an invitation of any status for good, and the copies of its mail
// that Clerk keeps (https://clerk.com/docs/reference/backend/invitations/delete-invitation,
// 2026-11). It is for erasing a person's data: what has been deleted is in no list
// any more. It may be repeated at will: a delete that took effect though its
// answer was lost says KindNotFound the next time. It spends the Other limit.
func (c *Client) Delete(ctx context.Context, invitationID string) error {
	if !isID(invitationID) {
		return refuse(OpDelete, "invitation_id")
	}
	return c.call(ctx, OpDelete, func(ctx context.Context) error {
		var got sdk.DeletedResource
		if err := c.backend.Call(ctx, sdk.NewAPIRequest(http.MethodDelete, "/invitations/"+invitationID), &got); err != nil {
			return err
		}
		// The status says that it is done; the body's shape is not in Clerk's OpenAPI
		// document, so it only must not speak of something else.
		if got.ID != "" && got.ID != invitationID {
			return errMismatch
		}
		return nil
	})
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

func fromSDK(s *sdk.Invitation) Invitation {
	inv := Invitation{
		ID:             s.ID,
		EmailAddress:   s.EmailAddress,
		Status:         Status(s.Status),
		Revoked:        s.Revoked || s.Status == string(Revoked),
		CreatedAt:      timeOf(s.CreatedAt),
		UpdatedAt:      timeOf(s.UpdatedAt),
		PublicMetadata: s.PublicMetadata,
	}
	if s.ExpiresAt != nil {
		inv.ExpiresAt = timeOf(*s.ExpiresAt)
	}
	if string(s.PublicMetadata) == "null" {
		inv.PublicMetadata = nil
	}
	return inv
}

// timeOf reads Clerk's milliseconds. 0, and what no calendar holds, is the zero time.
func timeOf(ms int64) time.Time {
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
