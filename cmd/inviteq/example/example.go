// Package example holds the list that inviteq demo imports: five hundred made-up
// people at domains that RFC 2606 reserves for documentation, with the faults
// that real lists have.
//
//	425 are good: names, plus-tags, capitals, metadata columns
//	 20 are users already: the mailbox ends in +member
//	 15 are invited already: the mailbox ends in +invited
//	 20 repeat an earlier row: 10 to the letter, 5 in another case, 5 with other columns
//	 20 are invalid: 15 addresses, 5 other cells
//
// The test of this package makes the list from a fixed seed and counts it:
// go test ./cmd/inviteq/example -update writes example.csv anew.
package example

import (
	_ "embed"
	"encoding/csv"
	"strings"
)

// CSV is the list, as `inviteq import` reads it.
//
//go:embed example.csv
var CSV string

// The ends of the mailboxes for whom the demo prepares its simulated Clerk.
const (
	userTag    = "+member@"
	invitedTag = "+invited@"
)

// Users are the addresses on the list to whom a user belongs already.
func Users() ([]string, error) { return tagged(userTag) }

// Invited are the addresses on the list that have a pending invitation.
func Invited() ([]string, error) { return tagged(invitedTag) }

func tagged(tag string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(CSV))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, row := range rows {
		if strings.Contains(row[0], tag) {
			found = append(found, row[0])
		}
	}
	return found, nil
}
