package redisconn

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Check asks the server whether it is what the client takes it for, and explains
// what is wrong: a node of a Cluster or a sentinel behind the URL of one server,
// a replica. One that does not know HELLO (before Redis 6) is believed.
func Check(ctx context.Context, rdb redis.UniversalClient, place string) error {
	one, ok := rdb.(*redis.Client)
	if !ok {
		err := Explain(place, rdb.Ping(ctx).Err())
		if t, ok := errors.AsType[*Trouble](err); ok && t.Kind == NoCommand {
			t.Kind = NoCluster // It does not know CLUSTER.
		}
		return err
	}
	cmd := one.Do(ctx, "hello")
	if err := cmd.Err(); err != nil {
		return firstWord(place, one.Options().TLSConfig != nil, err)
	}
	is := fields(cmd.Val())
	switch {
	case is["mode"] == "cluster":
		return &Trouble{Kind: IsCluster, Place: place, Err: errKind}
	case is["mode"] == "sentinel":
		return &Trouble{Kind: IsSentinel, Place: place, Err: errKind}
	case is["role"] == "replica", is["role"] == "slave":
		return &Trouble{Kind: IsReplica, Place: place, Err: errKind}
	}
	return nil
}

var errKind = errors.New("the server is of another kind than REDIS_URL says")

// firstWord explains an error of the first call.
func firstWord(place string, overTLS bool, err error) error {
	explained := Explain(place, err)
	t, ok := errors.AsType[*Trouble](explained)
	switch {
	case !ok:
		return explained
	case t.Kind == Other, t.Kind == NoCommand && t.what == "hello":
		return nil // It does not know HELLO, which is only for this.
	case t.Kind == NoCommand && t.what == "select":
		t.Kind = IsSentinel
	case t.Kind == Unreachable && t.what == noAnswer && overTLS:
		t.what = "no answer to TLS; does this port speak it?" // Redis waits for the end of what it takes for a command.
	case t.Kind == Unreachable && t.what == hangsUp && !overTLS:
		t.Kind = SpeaksTLS // As a server does that speaks TLS, to one who does not.
	}
	return t
}

// fields are those of an answer to HELLO, in either protocol.
func fields(answer any) map[string]string {
	all := map[string]string{}
	switch answer := answer.(type) {
	case map[any]any:
		for name, value := range answer {
			all[fmt.Sprint(name)] = fmt.Sprint(value)
		}
	case []any:
		for i := 0; i+1 < len(answer); i += 2 {
			all[fmt.Sprint(answer[i])] = fmt.Sprint(answer[i+1])
		}
	}
	return all
}
