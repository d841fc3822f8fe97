package redisconn

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Copies says in sentences where a value that was deleted from Redis may still stand,
// and until when, as far as the server that has the data behind a key tells.
func Copies(ctx context.Context, rdb redis.UniversalClient, key string) []string {
	all := []string{"Backups of Redis that were made before still hold it: until you delete them."}
	info := map[string]string{}
	if server, err := ServerOf(ctx, rdb, key); err == nil {
		for _, section := range []string{"persistence", "replication"} {
			if text, err := server.Info(ctx, section).Result(); err == nil {
				maps.Copy(info, Info(text))
			}
		}
	}
	if len(info) == 0 {
		return append(all, "Redis does not tell (INFO) how it is saved: its append-only file and snapshots may hold it until they are written anew (BGREWRITEAOF, BGSAVE).")
	}
	if info["aof_enabled"] == "1" {
		all = append(all, "The append-only file holds it until Redis rewrites it, which it does when the file has grown enough; `redis-cli BGREWRITEAOF` does it now.")
	}
	if last, err := strconv.ParseInt(info["rdb_last_save_time"], 10, 64); err == nil {
		all = append(all, fmt.Sprintf("A snapshot (dump.rdb) that Redis has made, at %s or before, holds it until the next one; `redis-cli BGSAVE` makes one now.", time.Unix(last, 0).UTC().Format(time.RFC3339)))
	}
	if n, _ := strconv.Atoi(info["connected_slaves"]); n > 0 {
		all = append(all, fmt.Sprintf("%d connected replicas delete it as they follow; their own files are like those above.", n))
	}
	return append(all, "Redis' slow log may quote it: `redis-cli SLOWLOG RESET` empties it.")
}
