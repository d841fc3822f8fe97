package clerksim

import (
	_ "embed" // for the shape of a user
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// user is a person who has signed up.
type user struct {
	id, emailID string
	email       string
	created     int64 // Unix milliseconds of Clerk's clock
	made        int64 // the same by this machine's
}

// usersMax is how many addresses or ids one read of users may ask for.
const usersMax = 100

// findUsers answers GET /users and GET /users/count.
func (s *Sim) findUsers(op Op, q url.Values, v view) *answer {
	q = s.withoutEmpty(q)
	limit, offset, bad := s.parsePage(q)
	if bad != nil {
		return bad
	}
	f, bad := s.parseUserFilter(q)
	if bad != nil {
		return bad
	}
	found := s.matchUsers(f, v)
	if op == OpUsersCount {
		return &answer{status: http.StatusOK, value: map[string]any{"object": "total_count", "total_count": len(found)}}
	}
	if !f.oldest {
		slices.Reverse(found)
	}
	lo := min(offset, len(found))
	out := make([]map[string]any, 0, limit)
	for _, u := range found[lo:min(lo+limit, len(found))] {
		out = append(out, u.wire())
	}
	return &answer{status: http.StatusOK, value: out}
}

// userFilter is which users a read asks for; nil lists do not restrict.
type userFilter struct {
	emails, ids []string
	query       string // part of an address or an id
	emailQuery  string // part of an address
	nobody      bool   // asks for something that no simulated user has
	oldest      bool
}

func (s *Sim) parseUserFilter(q url.Values) (f userFilter, bad *answer) {
	for name, values := range q {
		if len(values) > usersMax {
			return f, s.refuseParam(codeExceedsSize, name, "may be given up to 100 times.")
		}
		v := values[0]
		switch name {
		case "limit", "offset":
		case "email_address":
			for _, v := range values {
				f.emails = append(f.emails, s.key(v))
			}
		case "user_id":
			f.ids = values
		case "query":
			f.query = strings.ToLower(v)
		case "email_address_query":
			f.emailQuery = strings.ToLower(v)
		case "phone_number", "external_id", "username", "web3_wallet", "organization_id",
			"phone_number_query", "username_query", "name_query", "provider", "provider_user_id":
			f.nobody = true
		case "banned":
			banned, err := strconv.ParseBool(v)
			if err != nil {
				return f, s.refuseParam(codeValueInvalid, name, "must be a boolean.")
			}
			f.nobody = f.nobody || banned
		case "order_by":
			if v != "created_at" && v != "+created_at" && v != " created_at" && v != "-created_at" {
				return f, s.notSimulated("order_by")
			}
			f.oldest = v != "-created_at"
		case "last_active_at_before", "last_active_at_after", "last_active_at_since", "created_at_before", "created_at_after",
			"last_sign_in_at_before", "last_sign_in_at_after", "starting_after":
			return f, s.notSimulated(name)
		default:
			if bad := s.unknownQuery(name); bad != nil {
				return f, bad
			}
		}
	}
	return f, nil
}

// notSimulated is the honest answer to what Clerk can do and a Sim cannot.
func (s *Sim) notSimulated(param string) *answer {
	return s.refuseAll(http.StatusNotImplemented, paramProblem(codeNotSimulated, param, "is not simulated with this value."))
}

// matchUsers returns the users that a filter admits, oldest first. Addresses are
// looked up; all else visits every user.
func (s *Sim) matchUsers(f userFilter, v view) []*user {
	if f.nobody {
		return nil
	}
	candidates := s.users
	if f.emails != nil {
		candidates = nil
		for _, email := range f.emails {
			if p := s.people[email]; p != nil && p.user != nil && !slices.Contains(candidates, p.user) {
				candidates = append(candidates, p.user)
			}
		}
		slices.SortStableFunc(candidates, func(a, b *user) int { return int(a.made - b.made) })
	}
	var out []*user
	for _, u := range candidates {
		email := strings.ToLower(u.email)
		if u.made <= v.at && (f.ids == nil || slices.Contains(f.ids, u.id)) &&
			strings.Contains(email, f.emailQuery) && (strings.Contains(email, f.query) || strings.Contains(strings.ToLower(u.id), f.query)) {
			out = append(out, u)
		}
	}
	return out
}

// plainUser is a user as answered: every field that Clerk's OpenAPI document
// requires, those that a simulated user lacks as null, false or empty.
//
//go:embed user.json
var plainUser []byte

// wire is the user as answered.
func (u *user) wire() map[string]any {
	var w map[string]any
	_ = json.Unmarshal(plainUser, &w) // embedded, and tested
	w["id"], w["primary_email_address_id"], w["image_url"] = u.id, u.emailID, "https://img.example.test/"+u.id
	email, _ := w["email_addresses"].([]any)[0].(map[string]any)
	email["id"], email["email_address"] = u.emailID, u.email
	for _, at := range []map[string]any{w, email} {
		at["created_at"], at["updated_at"] = u.created, u.created
	}
	return w
}
