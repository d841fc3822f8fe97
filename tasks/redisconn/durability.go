package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Durability says when what Redis was told counts as accepted.
type Durability string

// The durabilities.
const (
	Local   Durability = "local"   // As soon as Redis has it in memory: see its appendfsync.
	Replica Durability = "replica" // When a replica has it, too: a failover to that one does not lose it.
	Fsync   Durability = "fsync"   // When it is on the server's disk: a power cut does not lose it.
)

// ParseDurability understands a word; "" is Local.
func ParseDurability(word string) (Durability, error) {
	switch d := Durability(word); d {
	case "":
		return Local, nil
	case Local, Replica, Fsync:
		return d, nil
	}
	return Local, fmt.Errorf("durability must be %s, %s or %s", Local, Replica, Fsync)
}

// ErrNotDurable says that Redis has taken something and that what was asked for beyond
// that did not come in time: it may still come. To ask for the same again is harmless.
var ErrNotDurable = errors.New("redis has it, but neither replica nor disk has confirmed it in time; ask again under the same id")

// confirmWithin is how long a confirmation may take.
const confirmWithin = 2 * time.Second

// Guarantee is how a server fulfils a durability. The zero value is that of Local.
type Guarantee struct {
	durability Durability
	key        string
	byDisk     bool // The server knows WAITAOF; otherwise appendfsync always does it.
}

// Guarantee finds out how the server that has the data behind a key fulfils a
// durability. An error of the kind NoDurability says why it cannot.
func (d Durability) Guarantee(ctx context.Context, rdb redis.UniversalClient, key string, is Greeting) (Guarantee, error) {
	g := Guarantee{durability: d, key: key, byDisk: is.AtLeast(7, 2)}
	if d != Fsync {
		return g, nil
	}
	server, err := ServerOf(ctx, rdb, key)
	if err != nil {
		return g, err
	}
	pipe := server.Pipeline()
	config := map[string]*redis.MapStringStringCmd{"appendonly": pipe.ConfigGet(ctx, "appendonly"), "appendfsync": pipe.ConfigGet(ctx, "appendfsync")}
	_, _ = pipe.Exec(ctx)
	refuse := func(why string) error {
		return &Trouble{Kind: NoDurability, Place: PlaceOf(rdb), Err: errors.New(why), what: why}
	}
	var hidden []string
	value := func(name string) (string, error) {
		err := told(config[name].Err(), "CONFIG GET", &hidden)
		return config[name].Val()[name], err
	}
	appends, err := value("appendonly")
	if err != nil {
		return g, err
	}
	syncs, err := value("appendfsync")
	switch {
	case err != nil:
		return g, err
	case len(hidden) > 0 && !g.byDisk:
		return g, refuse("fsync; before Redis 7.2 that is appendfsync always, and the server refuses CONFIG GET, by which that is checked")
	case appends == "no":
		return g, refuse("fsync; appendonly is no")
	case !g.byDisk && !strings.EqualFold(syncs, "always"):
		return g, refuse("fsync; before Redis 7.2 that needs appendfsync always, and it is " + syncs)
	}
	return g, nil
}

// Wanted reports whether anything beyond the server's own answer is to be waited for.
func (g Guarantee) Wanted() bool { return g.durability == Replica || g.durability == Fsync && g.byDisk }

// Confirm puts into a pipeline what waits for the durability of all that stands before
// it there, and of all that the server had before. When the pipeline has run, the
// function says whether it came. A pipeline goes over one connection, and a server
// confirms what that one has written: therefore it writes a little of its own.
func (g Guarantee) Confirm(ctx context.Context, pipe redis.Pipeliner) func() error {
	if !g.Wanted() {
		return func() error { return nil }
	}
	wrote := pipe.HSet(ctx, g.key, "confirmed", "1")
	var wait *redis.Cmd
	if g.durability == Replica {
		wait = pipe.Do(ctx, "WAIT", 1, confirmWithin.Milliseconds())
	} else {
		wait = pipe.Do(ctx, "WAITAOF", 1, 0, confirmWithin.Milliseconds())
	}
	return func() error {
		if err := wrote.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrNotDurable, err)
		}
		if err := wait.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrNotDurable, err)
		}
		n, err := wait.Int64()
		if both, isSlice := wait.Val().([]any); isSlice && len(both) > 0 { // on disk here; on the disks of replicas
			n, _ = both[0].(int64)
			err = nil
		}
		if err != nil || n < 1 {
			return ErrNotDurable
		}
		return nil
	}
}
