package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// RevokeRequest is the wish to revoke something that is not in the ledger: an
// invitation by Clerk's id, or whatever is pending for an address.
type RevokeRequest struct {
	ID        string // rvk_…
	Target    string // Clerk's id or an address: never logged.
	CreatedAt time.Time
}

// String names the request without its target.
func (r RevokeRequest) String() string { return "revoke request " + r.ID }

// GoString is String.
func (r RevokeRequest) GoString() string { return r.String() }

// MarshalText is String.
func (r RevokeRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

type revokeRequestJSON struct {
	Target  string `json:"target"`
	Created int64  `json:"created"` // Unix milliseconds
}

// RequestRevoke writes a revoke request, together with the hint that its task
// is missing, and returns its id. It stands until CloseRevokeRequest.
func (l *Ledger) RequestRevoke(ctx context.Context, now time.Time, target string) (string, error) {
	id := tasks.NewID("rvk")
	body, err := marshal(revokeRequestJSON{target, now.UnixMilli()})
	if err != nil {
		return "", err
	}
	// The hint comes first: without its request it does nothing.
	pipe := l.rdb.Pipeline()
	pipe.ZAdd(ctx, l.keys.of("untasked"), scored(revokeHint(id), now.Add(taskGrace)))
	pipe.HSet(ctx, l.keys.of("revreq"), id, body)
	_, err = pipe.Exec(ctx)
	return id, err
}

// RevokeRequest returns a request that is not closed yet, or ErrNotFound.
func (l *Ledger) RevokeRequest(ctx context.Context, id string) (RevokeRequest, error) {
	s, err := l.rdb.HGet(ctx, l.keys.of("revreq"), id).Result()
	if errors.Is(err, redis.Nil) {
		return RevokeRequest{}, ErrNotFound
	}
	if err != nil {
		return RevokeRequest{}, err
	}
	var j revokeRequestJSON
	if json.Unmarshal([]byte(s), &j) != nil { // Its own error may quote the target.
		return RevokeRequest{}, fmt.Errorf("%w: %s", errRecord, id)
	}
	return RevokeRequest{ID: id, Target: j.Target, CreatedAt: time.UnixMilli(j.Created)}, nil
}

// CloseRevokeRequest forgets a request that has been dealt with, its target
// included. To close one twice is harmless.
func (l *Ledger) CloseRevokeRequest(ctx context.Context, id string) error {
	pipe := l.rdb.Pipeline()
	pipe.HDel(ctx, l.keys.of("revreq"), id)
	pipe.ZRem(ctx, l.keys.of("untasked"), revokeHint(id))
	_, err := pipe.Exec(ctx)
	return err
}
