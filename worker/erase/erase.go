// Package erase deletes invitations at Clerk, for whoever honours a person's wish to be
// forgotten. What the ledger holds is enqueue.Client.Forget's to remove.
package erase

import (
	"context"

	"github.com/inviteq/inviteq/clerk"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/tasks/ledger"
)

// Clerk deletes at Clerk. Its calls are counted with the reads of the ledger's instance,
// and wait for a share of their quota. All fields are required.
type Clerk struct {
	Ledger *ledger.Ledger
	Clerk  *clerk.Client
	Share  float64 // over 0 to 1: see ledger.AwaitShare
}

// Invitation deletes one invitation of any status, by Clerk's id. found is false if
// Clerk has none of that id (any more). It may be repeated at will.
func (c *Clerk) Invitation(ctx context.Context, id string) (found bool, _ error) {
	if err := c.Ledger.AwaitShare(ctx, c.Share); err != nil {
		return false, err
	}
	err := c.Clerk.Delete(ctx, id)
	if clerk.KindOf(err) == clerk.KindNotFound {
		return false, nil
	}
	return err == nil, err
}

// Person deletes every invitation for an address, whoever made it, and says how many
// there were. After an error some may be deleted: call again for the others.
func (c *Clerk) Person(ctx context.Context, e tasks.Email) (n int, _ error) {
	var ids []string
	for offset := 0; ; offset += clerk.MaxPage {
		if err := c.Ledger.AwaitShare(ctx, c.Share); err != nil {
			return 0, err
		}
		page, err := c.Clerk.List(ctx, clerk.ListOptions{Statuses: clerk.AllStatuses(), Query: e.Raw(), Limit: clerk.MaxPage, Offset: offset})
		if err != nil {
			return 0, err
		}
		for _, i := range page.Data {
			if tasks.EmailKey(i.EmailAddress) == e.Key() {
				ids = append(ids, i.ID)
			}
		}
		if len(page.Data) < clerk.MaxPage {
			break
		}
	}
	for _, id := range ids {
		found, err := c.Invitation(ctx, id)
		if err != nil {
			return n, err
		}
		if found {
			n++
		}
	}
	return n, nil
}
