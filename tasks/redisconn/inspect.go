package redisconn

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/inviteq/inviteq/tasks"
)

// Findings are the conditions that a server does not fulfil, each with what was
// seen: a setting and its value, or nothing.
type Findings map[tasks.Condition]string

// Text is a finding in words: what it means, what was seen, and what to do.
func (f Findings) Text(c tasks.Condition) string {
	e := c.Entry()
	if f[c] == "" {
		return e.Means + " " + e.Do
	}
	return strings.TrimSuffix(e.Means, ".") + " (" + f[c] + "). " + e.Do
}

// FullShare is the share of maxmemory above which new imports are refused.
const FullShare = 0.9

// Inspect asks the server that has the data behind a key for what inviteq's promises
// rest on. What the server does not tell is a finding of its own; the error is one
// of the connection.
func Inspect(ctx context.Context, rdb redis.UniversalClient, key string) (Findings, error) {
	server, err := ServerOf(ctx, rdb, key)
	if err != nil {
		return nil, err
	}
	pipe := server.Pipeline()
	var infos []*redis.StringCmd
	for _, section := range []string{"server", "memory", "persistence", "replication"} {
		infos = append(infos, pipe.Info(ctx, section))
	}
	var configs []*redis.MapStringStringCmd
	for _, name := range []string{"appendfsync", "save", "min-replicas-to-write"} {
		configs = append(configs, pipe.ConfigGet(ctx, name))
	}
	_, _ = pipe.Exec(ctx)
	info, config, hidden := map[string]string{}, map[string]string{}, []string(nil)
	for _, one := range infos {
		if err := told(one.Err(), "INFO", &hidden); err != nil {
			return nil, err
		}
		maps.Copy(info, Info(one.Val()))
	}
	for _, one := range configs {
		if err := told(one.Err(), "CONFIG GET", &hidden); err != nil {
			return nil, err
		}
		maps.Copy(config, one.Val())
	}
	forgets := ""
	if info["aof_enabled"] == "1" {
		if forgets, err = loses(ctx, server, key, &hidden); err != nil {
			return nil, err
		}
	}
	found := judge(info, config, hidden)
	if forgets != "" {
		found[tasks.ConditionForgets] = forgets
	}
	return found, nil
}

// loses says why the user default, with whose rights an append-only file is read, may not
// write a key; "" if it may, or the server is too old to say so.
func loses(ctx context.Context, server redis.Cmdable, key string, hidden *[]string) (string, error) {
	said, err := server.ACLDryRun(ctx, "default", "hset", key, "field", "value").Result()
	if err != nil && KindOf(err) != NoRight { // Before Redis 7 there is no such command.
		return "", told(err, "ACL DRYRUN", new([]string))
	}
	if err != nil {
		return "", told(err, "ACL DRYRUN", hidden)
	}
	if strings.EqualFold(said, "OK") {
		return "", nil
	}
	return "ACL DRYRUN default", nil
}

// told notes that the server does not tell something. An error of the connection is
// returned.
func told(err error, command string, hidden *[]string) error {
	if err == nil {
		return nil
	}
	switch KindOf(err) { //nolint:exhaustive // the others are refusals of the command, or of nothing
	case Unreachable, Loading, ClusterDown, MasterDown, WrongLogin, NoLogin:
		return err
	}
	if _, refused := errors.AsType[redis.Error](err); !refused && KindOf(err) == "" {
		return err
	}
	if n := len(*hidden); n == 0 || (*hidden)[n-1] != command {
		*hidden = append(*hidden, command)
	}
	return nil
}

// judge holds what a server says against what the promises need.
func judge(info, config map[string]string, hidden []string) Findings {
	found := Findings{}
	if len(hidden) > 0 {
		found[tasks.ConditionUnchecked] = strings.Join(hidden, " and ") + " refused"
	}
	share := memoryShare(info)
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" && share > 0 {
		found[tasks.ConditionEvicts] = "maxmemory-policy " + policy
	}
	if share > FullShare {
		found[tasks.ConditionNearlyFull] = percent(share) + " used"
	}
	save, saves := config["save"]
	switch {
	case info["aof_enabled"] == "0" && saves && save == "":
		found[tasks.ConditionNoDisk] = "appendonly no, save \"\""
	case info["aof_enabled"] == "0":
		found[tasks.ConditionSnapshots] = "appendonly no"
	case config["appendfsync"] == "no":
		found[tasks.ConditionNoSync] = "appendfsync no"
	}
	for _, status := range []string{"aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"} {
		if info[status] == "err" {
			found[tasks.ConditionDiskFails] = status + ": err"
		}
	}
	if replicas, _ := strconv.Atoi(info["connected_slaves"]); replicas > 0 && config["min-replicas-to-write"] == "0" {
		found[tasks.ConditionReplicas] = "min-replicas-to-write 0"
	}
	if version := info["redis_version"]; version != "" && !(Greeting{Version: version}).AtLeast(6, 2) {
		found[tasks.ConditionTooOld] = version
	}
	return found
}

// Room returns an error of the kind NearlyFull if the server that has the data behind
// a key uses more of its maxmemory than FullShare. One that does not tell is taken for
// one that has room.
func Room(ctx context.Context, rdb redis.UniversalClient, key string) error {
	m, err := memoryOf(ctx, rdb, key)
	share := memoryShare(m)
	if err != nil || share <= FullShare {
		return err
	}
	return &Trouble{Kind: NearlyFull, Place: PlaceOf(rdb), Err: errFull, what: percent(share)}
}

// RoomLeft returns how many bytes the server that has the data behind a key takes before
// imports are refused (see Room); limited is false where it has no bound, or does not tell.
func RoomLeft(ctx context.Context, rdb redis.UniversalClient, key string) (left int64, limited bool, err error) {
	m, err := memoryOf(ctx, rdb, key)
	most, _ := strconv.ParseFloat(m["maxmemory"], 64)
	used, _ := strconv.ParseFloat(m["used_memory"], 64)
	return max(0, int64(FullShare*most-used)), most > 0, err
}

func memoryOf(ctx context.Context, rdb redis.UniversalClient, key string) (map[string]string, error) {
	server, err := ServerOf(ctx, rdb, key)
	if err != nil {
		return nil, err
	}
	answer, err := server.Info(ctx, "memory").Result()
	var hidden []string
	if err := told(err, "INFO", &hidden); err != nil {
		return nil, err
	}
	return Info(answer), nil
}

var errFull = errors.New("too little memory is left for an import")

// memoryShare is how much of maxmemory is used; 0 if there is none.
func memoryShare(memory map[string]string) float64 {
	most, _ := strconv.ParseFloat(memory["maxmemory"], 64)
	used, _ := strconv.ParseFloat(memory["used_memory"], 64)
	if most <= 0 {
		return 0
	}
	return used / most
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
