package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/invitation"
)

// MaxPage is how many rows one list call returns at most
// (https://clerk.com/docs/reference/backend-api, ListInvitations, 2026-05).
const MaxPage = 500

// MaxUserAddresses is how many addresses one UsersByEmail call takes
// (https://clerk.com/docs/reference/backend-api, GetUserList, 2026-05).
const MaxUserAddresses = 100

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

// Users tells which of the addresses that were asked for belong to users. It
// holds no address that could be printed.
type Users struct {
	ids map[unique.Handle[string]]string
}

// Has reports whether the address, in any spelling, belongs to a user.
func (u Users) Has(address string) bool { return u.ID(address) != "" }

// ID returns the id (user_…) of the user with the address, and "" if there is none.
func (u Users) ID(address string) string { return u.ids[unique.Make(addressKey(address))] }

// Len returns how many addresses belong to users, of those that were asked for.
func (u Users) Len() int { return len(u.ids) }

// UsersByEmail finds the users among 1 to MaxUserAddresses addresses with one
// request of the Other limit. (The SDK's user.List makes a second one, for a
// count that nobody needs.)
func (c *Client) UsersByEmail(ctx context.Context, addresses []string) (Users, error) {
	if len(addresses) == 0 || len(addresses) > MaxUserAddresses || slices.Contains(addresses, "") {
		return Users{}, refuse(OpUsers, "email_address")
	}
	asked := make(map[string]bool, len(addresses))
	params := new(userParams)
	for _, a := range addresses {
		asked[addressKey(a)] = true
		params.addresses = append(params.addresses, strings.ToLower(a))
	}
	ids := make(map[unique.Handle[string]]string)
	err := c.call(ctx, OpUsers, func(ctx context.Context) error {
		req := sdk.NewAPIRequest(http.MethodGet, "/users")
		req.SetParams(params)
		var got userList
		if err := c.backend.Call(ctx, req, &got); err != nil {
			return err
		}
		if !got.read {
			return errMismatch // an empty body must not pass for an empty list
		}
		for _, u := range got.users {
			if u.ID == "" {
				return errMismatch
			}
			for _, a := range u.EmailAddresses {
				if key := addressKey(a.EmailAddress); asked[key] {
					ids[unique.Make(key)] = u.ID
				}
			}
		}
		return nil
	})
	if err != nil {
		return Users{}, err
	}
	return Users{ids}, nil
}

type userParams struct {
	sdk.APIParams
	addresses []string
}

// ToQuery asks for as many users as there are addresses: an address belongs to
// one user at most, and Clerk's default page is 10.
func (p *userParams) ToQuery() url.Values {
	return url.Values{"email_address": p.addresses, "limit": {strconv.Itoa(len(p.addresses))}}
}

// userList is the bare array of GET /users, as far as we look at it.
type userList struct {
	sdk.APIResource
	read  bool
	users []struct {
		ID             string `json:"id"`
		EmailAddresses []struct {
			EmailAddress string `json:"email_address"`
		} `json:"email_addresses"`
	}
}

// UnmarshalJSON keeps json from looking for an object.
func (l *userList) UnmarshalJSON(b []byte) error {
	l.read = true
	return json.Unmarshal(b, &l.users)
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

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
