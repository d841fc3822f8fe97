package tasks

// HealthProblem is something that keeps a worker from delivering. It is a stable
// word: /readyz, the metric inviteq_problem and the alerts use it.
type HealthProblem string

const (
	ProblemRedis          HealthProblem = "redis"
	ProblemClerkKey       HealthProblem = "clerk_key"
	ProblemClerkUnreached HealthProblem = "clerk_unreached"
	ProblemClock          HealthProblem = "clock"
	ProblemEpoch          HealthProblem = "epoch"
	ProblemRecords        HealthProblem = "records"
	ProblemDurability     HealthProblem = "durability"
	ProblemDraining       HealthProblem = "draining"
)

// healthProblems explains every problem.
var healthProblems = vocabulary[HealthProblem]{
	{ProblemRedis, Entry{"Redis does not answer, or refuses writes.", "Check REDIS_URL and the server: its memory, its disk, and the rights of its user. Nothing is lost: waiting invites stay in Redis."}},
	{ProblemClerkKey, Entry{"Nothing can be sent. Clerk, or the network edge in front of it, turns the workers away.", "Check CLERK_SECRET_KEY, CLERK_API_URL and the network between the workers and Clerk. Waiting invites keep their place."}},
	{ProblemClerkUnreached, Entry{"The worker has had no answer from Clerk since it was started.", "Check CLERK_API_URL, and the way out of the network that the worker runs in. Once Clerk has answered, an outage of Clerk's does not make the worker unready: another worker would not reach it either, and waiting invites lose nothing."}},
	{ProblemClock, Entry{"The clocks of this machine, of Redis and of Clerk are too far apart.", "Synchronise them (NTP). Beyond 30 s from Redis a worker sends nothing; beyond a minute from Clerk nothing is decided by time."}},
	{ProblemEpoch, Entry{"Redis was restarted, failed over or set back, and may have forgotten calls. Nothing is sent until Clerk's list has been read.", "Nothing, unless it lasts longer than a minute: then see whether Clerk can be reached."}},
	{ProblemRecords, Entry{"Some records in Redis cannot be read. They are set aside and hold up nobody else.", "If a newer version of inviteq has written them, run that version. Otherwise they are damaged: look at them with `redis-cli HGET inviteq:{INSTANCE}:rec ID`."}},
	{ProblemDurability, Entry{"Redis does not fulfil what the promises rest on, and INVITEQ_REQUIRE_DURABLE is set. Invites are delivered all the same.", "Change what /readyz names, or do not require it."}},
	{ProblemDraining, Entry{"The worker is shutting down.", "Nothing."}},
}

// HealthProblems lists every problem.
func HealthProblems() []HealthProblem { return healthProblems.words() }

// Entry explains the problem. It is empty for a word that this version does not
// know.
func (p HealthProblem) Entry() Entry { return healthProblems.entry(p) }
