package tasks

import (
	"fmt"
	"strings"
)

// State is where an invite stands. After Sending the words are Clerk's own.
//
//	queued → sending → pending → accepted | expired | revoked
//	         sending → unknown → queued | pending
//
// Side exits: rejected, canceled, failed, parked.
type State uint8

const (
	Queued   State = iota // waits for its turn
	Sending               // claimed: a call is about to be made, or under way
	Unknown               // may have taken effect; only a read may settle it
	Pending               // Clerk has it
	Accepted              // the person has signed up
	Expired               // the invitation ran out
	Revoked               // revoked after it was sent
	Rejected              // Clerk will never take it: the reason says why
	Canceled              // revoked before it was sent
	Failed                // attempts or age ran out
	Parked                // waits for a person: the reason says why
)

// States lists every state.
var States = []State{Queued, Sending, Unknown, Pending, Accepted, Expired, Revoked, Rejected, Canceled, Failed, Parked}

// states gives each state its name, the letter that stands for it in a record,
// and what it means to a person.
var states = [...]struct {
	name   string
	letter byte
	Entry
}{
	Queued:   {"queued", 'q', Entry{"It waits for its turn.", "Nothing. `inviteq show` says what it waits for, and until when."}},
	Sending:  {"sending", 's', Entry{"A call to Clerk is under way.", nothing}},
	Unknown:  {"unknown", 'u', Entry{"It may have been sent: its call got no clear answer.", looksItUp}},
	Pending:  {"pending", 'p', Entry{"Clerk has the invitation, and waits for the person to accept it.", nothing}},
	Accepted: {"accepted", 'a', Entry{"The person has signed up.", nothing}},
	Expired:  {"expired", 'e', Entry{"The invitation expired.", inviteAgain}},
	Revoked:  {"revoked", 'v', Entry{"The invitation was revoked after it was sent.", nothing}},
	Rejected: {"rejected", 'r', Entry{"Clerk will not take it; the reason says why.", "What the reason advises."}},
	Canceled: {"canceled", 'c', Entry{"It was revoked before it was sent.", nothing}},
	Failed:   {"failed", 'f', Entry{"It was given up: its attempts or its time ran out.", "`inviteq retry --state failed --dry-run`, then without `--dry-run`."}},
	Parked:   {"parked", 'k', Entry{"It waits for a person to decide; the reason says what about.", "Look in Clerk's dashboard, then `inviteq release ID` or `inviteq revoke ID`, or leave it."}},
}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s].name
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText returns the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText understands the state's name.
func (s *State) UnmarshalText(b []byte) (err error) { *s, err = ParseState(string(b)); return err }

// ParseState understands the names that String returns.
func ParseState(name string) (State, error) {
	names := make([]string, len(States))
	for i, s := range States {
		if s.String() == name {
			return s, nil
		}
		names[i] = s.String()
	}
	return 0, fmt.Errorf("state must be one of %s", strings.Join(names, ", "))
}

// Open reports whether inviteq still has something to do for the invite before
// its producer can be told how the sending ended.
func (s State) Open() bool { return s == Queued || s == Sending || s == Unknown }

// Delivered reports whether Clerk took the invite, whatever became of it then.
func (s State) Delivered() bool {
	return s == Pending || s == Accepted || s == Expired || s == Revoked
}

// StateOf returns the state that a letter stands for in a record of the ledger.
func StateOf(letter byte) (State, bool) {
	for s, row := range states {
		if row.letter == letter {
			return State(s), true
		}
	}
	return 0, false
}

// Entry explains the state.
func (s State) Entry() Entry {
	if int(s) < len(states) {
		return states[s].Entry
	}
	return Entry{}
}
