package clerk

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unique"

	sdk "github.com/clerk/clerk-sdk-go/v2"
)

// MaxUserAddresses is how many addresses one UsersByEmail call takes
// (https://clerk.com/docs/reference/backend-api, GetUserList, 2026-05).
const MaxUserAddresses = 100

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
