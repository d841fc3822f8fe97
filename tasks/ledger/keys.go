package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/inviteq/inviteq/tasks"
)

// keyNames lists every fixed key of an instance: the name by which the scripts
// know it, and what stands behind the prefix in Redis. The scripts get their
// table from here, so a key is spelt once.
//
// All keys of an instance share one hash tag, so that the scripts work on Redis
// Cluster.
var keyNames = []struct{ lua, redis, holds string }{
	{"rec", "rec", "hash id → record: what was asked, and what became of it"},
	{"wait0", "wait:interactive", "zset of queued interactive invites, by their place: those who ask take turns (enqueue in lib.lua)"},
	{"wait1", "wait:import", "zset of queued import invites, by their place: imports take turns"},
	{"solo0", "wait:solo:interactive", "zset of queued interactive invites that go one by one, by their place: a refused bulk may be their fault"},
	{"solo1", "wait:solo:import", "zset of queued import invites that go one by one, by their place"},
	{"solo", "wait:solo", "zset of both, from versions until November 2026; a turn sorts it into the two"},
	{"fair0", "fair:interactive", "zset of who asked → the place of their next invite, while it is ahead of the lane"},
	{"fair1", "fair:import", "zset of imports → the place of their next row, while it is ahead of the lane"},
	{"later", "later", "zset of queued invites that may not go yet, by the time they may (ms)"},
	{"stopped", "stopped", "zset of imports that are paused, or held until a time → that time (ms; beyond all times: until resumed)"},
	{"shelf", "shelf", "zset of import, place of admission and id of queued invites whose import is stopped, in this order"},
	{"shelving", "shelving", "hash import → how many of its rows have been put on the shelf, since it was stopped; of one that was resumed: 0"},
	{"busy", "busy", "hash address key → id of the invite that is sending, unknown, or queued in doubt"},
	{"untasked", "untasked", "zset of task hints not yet seen by a handler, by when to look again (ms)"},
	{"inv", "inv", "hash Clerk's id → our id"},
	{"imports", "imports", "zset of import ids, by creation (ms)"},
	{"adopted", "adopted", "zset of invites that were found at Clerk, by the creation of their invitation (ms)"},
	{"single", "log:single", "zset turn → when it counted against POST /invitations (ms)"},
	{"bulk", "log:bulk", "zset turn → when it counted against POST /invitations/bulk (ms)"},
	{"other", "log:other", "zset call → when it counted against everything together (ms)"},
	{"gate", "gate", "hash endpoint.field → value: what is closed, until when and why"},
	{"pace", "pace", "hash: soft buckets and the interactive demand"},
	{"paused", "paused", "hash lane → since when (ms)"},
	{"revoke", "revoke", "zset of invites whose invitation shall be revoked, by when to try (ms)"},
	{"revreq", "revreq", "hash id → a revoke request for something that is not in the ledger"},
	{"calls", "calls", "hash id → the calls that got no clear answer, sent:bound (ms) each, while they may matter"},
	{"watch", "watch", "zset of settled invites for whose address such a call may still arrive, by when to look (ms)"},
	{"owner", "owner", "hash id → who asked, if it is not the import's owner: a token or a tenant"},
	{"workers", "workers", "hash name → how a worker is configured, and when it was there last"},
	{"aside", "aside", "set of ids whose record cannot be read: of a later version, or damaged"},
	{"forgotten", "forgotten", "zset keyed hash of an address → when the person was forgotten (ms): what Clerk has of before is not adopted"},
	{"tries", "tries", "hash id of an invite or a revoke request → how often Clerk has refused to revoke what it is about, and how"},
	{"events", "events", "stream of state changes, without addresses"},
	{"totals", "totals", "hash from>to → how many invites ever went that way; state:reason → how many ever ended so"},
	{"meta", "meta", "hash: salt (salt.go), salt_from and salt_to while it is replaced, next position, the worker's limits, last reconciliation, the receiver of webhooks that is gone; queue_paused:lane; seq, founded, server, beat, epochs, recover (beat.lua)"},
}

// keyFamilies are the keys that come one per thing.
var keyFamilies = []struct{ lua, redis, holds string }{
	{"state", "state:", "zset a state (all but queued), by time (ms): sending by deadline, unknown by next read, others by change"},
	{"addr", "addr:", "hash address key → ids of the invites for it, in 8192 buckets"},
	{"more", "more:", "list an address key → ids of its older invites, those beyond the newest 32"},
	{"imp", "imp:", "hash an import: created, total, owner, name of the file, since when it is paused (ms), a count per state, and the distance of its last row's line from its position"},
	{"turn", "turn:", "string turn → what it claimed, for as long as the claim lasts"},
	{"tomb", "tomb:", "string id of a trimmed invite → hash of its content; of a forgotten one: # and that, keyed with the salt and the id"},
	{"done", "done:", "string id of a closed revoke request → what became of it, without its target"},
	{"hold", "hold:", "string a lease that one process has at a time"},
	{"found", "found:", "list a kind of reconciliation: when its last report was begun, and the rows of it, without addresses"},
	{"day", "day:", "hash a day (UTC): hour:from>to → how many invites were settled that way; and for the charts (sample.lua) hour:waiting, single, bulk → the most of the hour, wait:bucket → clicks, version: → minutes, closed:endpoint:cause → how often a gate was"},
	{"mine", "mine:", "zset an owner → ids of the invites that they have asked for outside of imports, by creation (ms)"},
	{"born", "born:", "zset a block of 128 positions: ids of the invites that were admitted there → their position"},
	{"rows", "rows:", "zset an import: where a run of its rows begins and on which line of the list → its position (lines.go)"},
	{"ids", "ids:", "list of the ids of an import, in the order of the file; of a wish about many: of those that it waits for, and ID:named of those that it names"},
}

// keys builds the names of one instance's keys.
type keys struct{ prefix string }

func newKeys(instance string) keys { return keys{KeyPrefix(instance)} }

// KeyPrefix is the beginning of every key of an instance; "" is the default one. Its
// hash tag puts them all into one slot of Redis Cluster. The HTTP API keeps its own
// things under it, too: see enqueue/api, store.go.
func KeyPrefix(instance string) string {
	return "inviteq:{" + cmp.Or(instance, tasks.DefaultInstance) + "}:"
}

// prelude is the Lua table K of every key, in full: to put it together from the prefix
// would cost each call more than most of its commands do.
func (k keys) prelude() string {
	var b strings.Builder
	b.WriteString("local K = {\n")
	for _, n := range slices.Concat(keyNames, keyFamilies) {
		fmt.Fprintf(&b, "  %s = '%s',\n", n.lua, k.prefix+n.redis)
	}
	b.WriteString("}\n")
	return b.String()
}

const misspelt = "misspelt:"

// of returns the full name of a fixed key or of the first part of a family.
func (k keys) of(lua string) string {
	for _, n := range keyNames {
		if n.lua == lua {
			return k.prefix + n.redis
		}
	}
	for _, n := range keyFamilies {
		if n.lua == lua {
			return k.prefix + n.redis
		}
	}
	// Only a misspelt constant in this package comes here; every test would.
	return k.prefix + misspelt + lua
}

func (k keys) state(s tasks.State) string  { return k.of("state") + s.String() }
func (k keys) importInfo(id string) string { return k.of("imp") + id }
func (k keys) importIDs(id string) string  { return k.of("ids") + id }
