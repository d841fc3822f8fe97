package tasks

import (
	"fmt"
	"strings"
)

// Lane is the priority class of an invite.
type Lane uint8

const (
	// Interactive is for a person who has just clicked "invite". It is the
	// zero value, and it never waits behind an import.
	Interactive Lane = iota
	// Import is for lists: it fills what the interactive lane leaves.
	Import
)

// Lanes lists every lane, the most urgent first.
var Lanes = []Lane{Interactive, Import}

var laneNames = [...]string{"interactive", "import"}

// String returns "interactive" or "import".
func (l Lane) String() string {
	if int(l) < len(laneNames) {
		return laneNames[l]
	}
	return fmt.Sprintf("lane(%d)", uint8(l))
}

// ParseLane understands the names that String returns.
func ParseLane(s string) (Lane, error) {
	for i, name := range laneNames {
		if s == name {
			return Lane(i), nil
		}
	}
	return 0, fmt.Errorf("lane must be one of %s", strings.Join(laneNames[:], ", "))
}

// MarshalText returns the lane's name.
func (l Lane) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText understands what MarshalText writes. An empty text is
// Interactive.
func (l *Lane) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*l = Interactive
		return nil
	}
	*l, err = ParseLane(string(b))
	return err
}
