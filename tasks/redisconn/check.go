package redisconn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Greeting is what a server says of itself to everybody who may log in. The zero
// value is that of one which does not know HELLO (before Redis 6).
type Greeting struct {
	Version string // As in 7.0.15; forks tell the version of Redis that they are compatible with.
	Mode    string // standalone, cluster or sentinel
	Role    string // master or replica
}

// AtLeast reports whether the server is known to be of this version, or later.
func (g Greeting) AtLeast(major, minor int) bool {
	var is [2]int
	if _, err := fmt.Sscanf(g.Version, "%d.%d", &is[0], &is[1]); err != nil {
		return false
	}
	return slices.Compare(is[:], []int{major, minor}) >= 0
}

// Check asks the server whether it is what the client takes it for, and explains
// what is wrong: a node of a Cluster or a sentinel behind the URL of one server,
// a replica.
func Check(ctx context.Context, rdb redis.UniversalClient, place string) (Greeting, error) {
	cmd := rdb.Do(ctx, "hello")
	one, isOne := rdb.(*redis.Client)
	if err := cmd.Err(); err != nil {
		return Greeting{}, firstWord(place, isOne, isOne && one.Options().TLSConfig != nil, err)
	}
	said := fields(cmd.Val())
	is := Greeting{Version: said["version"], Mode: said["mode"], Role: said["role"]}
	kind := Kind("")
	switch {
	case isOne && is.Mode == "cluster":
		kind = IsCluster
	case is.Mode == "sentinel":
		kind = IsSentinel
	case isOne && (is.Role == "replica" || is.Role == "slave"):
		kind = IsReplica
	}
	if kind != "" {
		return is, &Trouble{Kind: kind, Place: place, Err: errKind}
	}
	return is, nil
}

var errKind = errors.New("the server is of another kind than REDIS_URL says")

// firstWord explains an error of the first call.
func firstWord(place string, isOne, overTLS bool, err error) error {
	explained := Explain(place, err)
	t, ok := errors.AsType[*Trouble](explained)
	switch {
	case !ok:
		return explained
	case t.Kind == Other, t.Kind == NoCommand && t.what == "hello", t.Kind == NoRight:
		return nil // It does not know HELLO, or keeps it for itself; HELLO is only for this.
	case t.Kind == NoCommand && !isOne:
		t.Kind = NoCluster // It does not know CLUSTER.
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
