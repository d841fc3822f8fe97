package main

import (
	"context"
	"errors"

	"github.com/inviteq/inviteq/enqueue"
	"github.com/inviteq/inviteq/tasks"
	"github.com/inviteq/inviteq/worker/admin"
)

// actsOf lets people do on the pages what a producer does.
func actsOf(client *enqueue.Client, desk listDesk) admin.Acts {
	return admin.Acts{
		OpenList: desk.open,
		Invite: func(ctx context.Context, i tasks.Invite) (string, error) {
			r, err := client.Invite(ctx, i)
			return r.ID, err
		},
		Revoke: func(ctx context.Context, target string) (string, error) {
			list, err := client.Revoke(ctx, target)
			if err != nil || len(list) == 0 {
				return "", err
			}
			return said(list[0]), nil
		},
		Renew: func(ctx context.Context, ids ...string) (string, error) {
			s, err := client.Renew(ctx, enqueue.ManyOptions{IDs: ids})
			return s.RequestID, err
		},
		RevokeImport: func(ctx context.Context, importID string) (string, error) {
			s, err := client.RevokeImport(ctx, enqueue.ManyOptions{ImportID: importID})
			if errors.Is(err, enqueue.ErrNotFound) {
				return "", enqueue.ErrNotFound
			}
			return s.RequestID, err
		},
	}
}
