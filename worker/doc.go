// Package worker delivers invites. This page is the protocol; the code follows
// its words.
//
// # The ledger is the truth, a task is a hint
//
// A producer writes the record of an invite into the ledger (package ledger,
// Redis) and then enqueues an asynq task that carries the id. The task makes the
// invite visible in asynqmon and wakes a worker at once. It decides nothing: a
// task that runs twice, late or never does no harm, and every record that lacks
// one is given one by the sweep.
//
// # The dispatcher
//
// Each process runs one dispatcher. It is level-triggered:
//
//	ask for a turn ─┬─ a claim: make its call in the background, ask again
//	                └─ a time:  sleep until then, or until a nudge; ask again
//
// A turn (ledger.Turn) is one Lua script. It decides from both quotas, the gates
// and what waits in both lanes whether a call may be made now, takes the token,
// and claims the invites to spend it on. If not, it says when to ask again.
// Nothing is put into a batch before its token is there, because an early batch
// freezes a bad fill for ever.
//
// # Claim, send, settle
//
// deliver makes the one call of a turn:
//
//  1. The claim is written before a byte leaves: state sending, the turn's id,
//     a deadline. The token is counted from the deadline on.
//  2. The members of a bulk call are screened by reads, which cost next to
//     nothing, since one bad address sinks all ten; the places of those who
//     leave are filled under the same token.
//  3. The call is made once. Nothing below repeats it.
//  4. The answer is judged by what is known (package verdict):
//     never sent, the members are queued and the token is given back;
//     refused, whoever is to blame leaves and the others go again, uncharged;
//     done, they are pending; anything else, they are unknown.
//  5. The verdict is settled in one script, under the claim: a turn can settle
//     only what it still holds. A shutdown does not interrupt it.
//
// A claim whose deadline passes becomes unknown, never queued: its worker may
// have died with the POST on the wire.
//
// # Unknown
//
// Unknown means that the mail may have gone out. Only a read settles it: the
// list of invitations, newest first, all statuses, matched by address and time
// (chores.go, reads.go). Found, it is what Clerk says. Absent in two reads some time
// apart, since lists may lag, it is queued again; ignore_existing=false is the
// last fence, because Clerk then refuses a second invitation, and that refusal
// is looked up again. With ignore_existing there is no such fence, so it is
// parked for a person unless Config.ResendUnknown says otherwise.
//
// # Doubt
//
// A call that was refused should have made nothing, and one that two reads did not
// find should never have arrived. Both are inferences. So whoever has been through
// either is in doubt from then on: a read looks for their invitation just before
// the next call (recall in screen.go), and before anybody is told that they are
// canceled; they hold their address, so that no other invite takes what may be
// theirs; and a second refused bulk sends them one by one.
//
// # Denied is not failed
//
// A quota, a closed gate, an open breaker, a lane that is paused, a deploy or a
// crash cost an invite nothing: attempts are counted in the ledger, and only
// when Clerk has answered "not now". asynq's own retry counter is out of reach.
//
//   - A gate closes one endpoint for all workers until a time (429 with
//     Retry-After). It reopens with one probe.
//   - The breaker (package clerk) closes one process's way to Clerk after
//     timeouts, 5xx and 429s that are no quota. It probes with a read.
//   - A refused key closes everything, turns /readyz red, and opens by itself
//     when a read succeeds.
//
// # Why not asynq's groups
//
// asynq can aggregate tasks into groups by a timer. A timer knows nothing of
// quotas: on Clerk's published limits, with 200 invites an hour arriving, groups
// with 5 s of grace deliver 25 an hour, each frozen at one or two members,
// where batches formed with their token deliver all 200. The quota benchmark
// (make bench) measures both. Groups also delete their members' ids and
// results, and a crash at the wrong moment strands or doubles them.
//
// # Files
//
// An actor is a small struct with what it needs, and a loop of its own. Worker only
// wires them and ends them.
//
//	worker.go      the life of a worker; config.go: what it works with
//	dispatcher.go  asks for turns
//	delivery.go    claim, send, settle; screen.go: who is invited already, who would be refused
//	verdict/       what an answer, or a reading, means: pure
//	reads.go       what Clerk has: unknown outcomes, who is to blame; the read quota
//	chores.go      the loop of unknown outcomes and revokes; revoke.go: the latter
//	sweep.go       tasks for records that have none
//	trim.go        forgets what was settled long ago
//	watch.go       may Clerk be called: key, breaker, Redis's clock; health.go: what keeps the worker from delivering
//	schedule.go    reconciliation, on time; reconcile/: a pass
//	webhooks.go    who is told of outcomes; webhook/: one post
//	handlers.go    the tasks of producers; snooze.go, outcomes.go: how they wait
//	server.go      asynq's server; redis.go: what it needs to be safe on Redis
//	nudge.go, tempo.go  how loops sleep, and how long
//	observe.go, trace.go  what this process tells of itself
//	admin/         the pages of operators
package worker
