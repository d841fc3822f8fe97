package tasks

// Condition is something about a Redis server on which the promises rest and which
// it does not fulfil, or does not tell. Invites are delivered all the same. It is a
// stable word: /readyz, the metric inviteq_condition and the alert use it.
type Condition string

const (
	ConditionEvicts     Condition = "evicts"
	ConditionNoDisk     Condition = "nothing_on_disk"
	ConditionSnapshots  Condition = "snapshots_only"
	ConditionNoSync     Condition = "no_fsync"
	ConditionForgets    Condition = "restart_forgets"
	ConditionDiskFails  Condition = "disk_fails"
	ConditionReplicas   Condition = "replicas_lag"
	ConditionNearlyFull Condition = "nearly_full"
	ConditionTooOld     Condition = "redis_too_old"
	ConditionUnchecked  Condition = "not_checked"
)

var conditions = vocabulary[Condition]{
	{ConditionEvicts, Entry{"Redis throws keys away when it is full, so that invites vanish.", "Set maxmemory-policy noeviction."}},
	{ConditionNoDisk, Entry{"Redis keeps nothing on its disk: whatever waits is lost when it stops.", "Set appendonly yes."}},
	{ConditionSnapshots, Entry{"Redis writes snapshots only: what was accepted since the last one is lost when Redis is killed.", "Set appendonly yes."}},
	{ConditionNoSync, Entry{"Redis leaves it to the operating system when to write: a power cut loses half a minute.", "Set appendfsync everysec, or always."}},
	{ConditionForgets, Entry{"Redis will leave out most of its append-only file when it starts again: until version 8.4, and Valkey until 2026, it reads it with the rights of the user default, which may not write here.", "Give them to it, and no way in: user default off ~* &* +@all, as in redis.acl. ACL SETUSER does so at once, with ACL SAVE for the file."}},
	{ConditionDiskFails, Entry{"Redis cannot write to its disk.", "Look at its log, and make room on the disk."}},
	{ConditionReplicas, Entry{"Redis has replicas and does not wait for them: what they have not seen yet is lost in a failover.", "Set min-replicas-to-write 1, or INVITEQ_DURABILITY=replica where invites are accepted."}},
	{ConditionNearlyFull, Entry{"Redis is nearly full (maxmemory). New imports are refused, so that single invites and deliveries have room.", "Give it memory, or wait until the waiting imports are delivered and forgotten."}},
	{ConditionTooOld, Entry{"This version of Redis is older than inviteq is made for.", "Use Redis 6.2 or later."}},
	{ConditionUnchecked, Entry{"Redis does not let inviteq see how it is configured.", "See to it that it keeps what it is told, on disk, and evicts nothing; or give the user +info, +config|get and +acl|dryrun."}},
}

// Conditions lists every condition.
func Conditions() []Condition { return conditions.words() }

// Entry explains the condition. It is empty for a word that this version does not
// know.
func (c Condition) Entry() Entry { return conditions.entry(c) }
