package ledger

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// receiverGone is the field of meta that holds the fingerprint of a receiver.
const receiverGone = "receiver:gone"

// ReceiverGone returns the fingerprint of the receiver of webhooks that has said
// last that it wants no more, or "" if none has.
func (l *Ledger) ReceiverGone(ctx context.Context) (fingerprint string, err error) {
	fingerprint, err = l.rdb.HGet(ctx, l.keys.of("meta"), receiverGone).Result()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return fingerprint, err
}

// SetReceiverGone writes down that a receiver of webhooks wants no more.
func (l *Ledger) SetReceiverGone(ctx context.Context, fingerprint string) error {
	return l.note(ctx, "meta", receiverGone, fingerprint)
}
