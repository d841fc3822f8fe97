package clerksim

import (
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
	out := make([]wireUser, 0, limit)
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

// wireUser is a user as answered: every field that Clerk's OpenAPI document
// requires, those that a simulated user lacks as null, false or empty.
type wireUser struct {
	ID                            string          `json:"id"`
	Object                        string          `json:"object"`
	Username                      *string         `json:"username"`
	FirstName                     *string         `json:"first_name"`
	LastName                      *string         `json:"last_name"`
	ImageURL                      string          `json:"image_url"`
	HasImage                      bool            `json:"has_image"`
	PrimaryEmailAddressID         string          `json:"primary_email_address_id"`
	PrimaryPhoneNumberID          *string         `json:"primary_phone_number_id"`
	PrimaryWeb3WalletID           *string         `json:"primary_web3_wallet_id"`
	PasswordEnabled               bool            `json:"password_enabled"`
	TwoFactorEnabled              bool            `json:"two_factor_enabled"`
	TOTPEnabled                   bool            `json:"totp_enabled"`
	BackupCodeEnabled             bool            `json:"backup_code_enabled"`
	EmailAddresses                []wireEmail     `json:"email_addresses"`
	PhoneNumbers                  []struct{}      `json:"phone_numbers"`
	Web3Wallets                   []struct{}      `json:"web3_wallets"`
	Passkeys                      []struct{}      `json:"passkeys"`
	ExternalAccounts              []struct{}      `json:"external_accounts"`
	SAMLAccounts                  []struct{}      `json:"saml_accounts"`
	EnterpriseAccounts            []struct{}      `json:"enterprise_accounts"`
	PublicMetadata                json.RawMessage `json:"public_metadata"`
	PrivateMetadata               json.RawMessage `json:"private_metadata"`
	UnsafeMetadata                json.RawMessage `json:"unsafe_metadata"`
	ExternalID                    *string         `json:"external_id"`
	LastSignInAt                  *int64          `json:"last_sign_in_at"`
	Banned                        bool            `json:"banned"`
	Locked                        bool            `json:"locked"`
	LockoutExpiresInSeconds       *int64          `json:"lockout_expires_in_seconds"`
	VerificationAttemptsRemaining *int64          `json:"verification_attempts_remaining"`
	CreatedAt                     int64           `json:"created_at"`
	UpdatedAt                     int64           `json:"updated_at"`
	DeleteSelfEnabled             bool            `json:"delete_self_enabled"`
	CreateOrganizationEnabled     bool            `json:"create_organization_enabled"`
	LastActiveAt                  *int64          `json:"last_active_at"`
	MFAEnabledAt                  *int64          `json:"mfa_enabled_at"`
	MFADisabledAt                 *int64          `json:"mfa_disabled_at"`
	LegalAcceptedAt               *int64          `json:"legal_accepted_at"`
}

type wireEmail struct {
	ID                   string           `json:"id"`
	Object               string           `json:"object"`
	EmailAddress         string           `json:"email_address"`
	Reserved             bool             `json:"reserved"`
	Verification         wireVerification `json:"verification"`
	LinkedTo             []struct{}       `json:"linked_to"`
	MatchesSSOConnection bool             `json:"matches_sso_connection"`
	CreatedAt            int64            `json:"created_at"`
	UpdatedAt            int64            `json:"updated_at"`
}

type wireVerification struct {
	Object   string `json:"object"`
	Status   string `json:"status"`
	Strategy string `json:"strategy"`
	Attempts *int   `json:"attempts"`
	ExpireAt *int64 `json:"expire_at"`
}

func (u *user) wire() wireUser {
	none, empty := []struct{}{}, json.RawMessage("{}")
	return wireUser{
		ID:                    u.id,
		Object:                "user",
		ImageURL:              "https://img.example.test/" + u.id,
		PrimaryEmailAddressID: u.emailID,
		EmailAddresses: []wireEmail{{
			ID: u.emailID, Object: "email_address", EmailAddress: u.email, LinkedTo: none,
			Verification: wireVerification{Object: "verification_ticket", Status: "verified", Strategy: "ticket"},
			CreatedAt:    u.created, UpdatedAt: u.created,
		}},
		PhoneNumbers: none, Web3Wallets: none, Passkeys: none,
		ExternalAccounts: none, SAMLAccounts: none, EnterpriseAccounts: none,
		PublicMetadata: empty, PrivateMetadata: empty, UnsafeMetadata: empty,
		CreatedAt: u.created, UpdatedAt: u.created,
		DeleteSelfEnabled: true,
	}
}
