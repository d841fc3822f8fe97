package access

import (
	"encoding"
	"fmt"
	"slices"
)

// Role says what a token may do with what it sees.
type Role uint8

// The roles. Each may do what those before it may.
const (
	Viewer   Role = iota // Looks; addresses and metadata are masked.
	Operator             // Acts: invites, revokes, imports, pauses. It sees in the open what it has asked for itself.
	Admin                // Sees every address that is in its scope, forgets and exports people, and manages tokens.
)

// Scope says which invites and imports a token sees and touches.
type Scope uint8

// The scopes.
const (
	Own      Scope = iota // What tokens of its name have asked for. To it nothing else exists.
	Instance              // Everything of the instance: also what was made on the command line or adopted.
)

var (
	roles  = []string{"viewer", "operator", "admin"}
	scopes = []string{"own", "instance"}
)

func (r Role) String() string  { return roles[r] }
func (s Scope) String() string { return scopes[s] }

// MarshalText is String.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// MarshalText is String.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText understands viewer, operator and admin.
func (r *Role) UnmarshalText(text []byte) error {
	n := slices.Index(roles, string(text))
	if n < 0 {
		return fmt.Errorf("the role must be one of %q", roles)
	}
	*r = Role(n)
	return nil
}

// UnmarshalText understands own and instance.
func (s *Scope) UnmarshalText(text []byte) error {
	n := slices.Index(scopes, string(text))
	if n < 0 {
		return fmt.Errorf("the scope must be one of %q", scopes)
	}
	*s = Scope(n)
	return nil
}

var (
	_ encoding.TextUnmarshaler = (*Role)(nil)
	_ encoding.TextUnmarshaler = (*Scope)(nil)
)

// Acts reports whether the token may change anything.
func (t Token) Acts() bool { return t.Role >= Operator }

// Manages reports whether the token may forget and export people, and see and manage
// what is about tokens.
func (t Token) Manages() bool { return t.Role == Admin && t.Scope == Instance }

// Sees reports whether what an owner has asked for exists for the token. The owner ""
// is the command line, an adoption, or a producer that named none.
func (t Token) Sees(owner string) bool { return t.Scope == Instance || owner == t.Name }

// Reveals reports whether the token sees the address and the metadata of what an owner
// has asked for; otherwise they are masked.
func (t Token) Reveals(owner string) bool {
	return t.Sees(owner) && (t.Role == Admin || t.Role == Operator && owner == t.Name)
}
