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
// The rows of an import that is paused or held stand on a shelf, where no turn looks
// (stop.lua; a turn moves some hundred of them there, or back).
// In a lane the imports, and those who ask for people, take turns (enqueue in lib.lua).
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
//     leave are filled under the same token. The rows of imports that come next
//     are read about while the call before theirs is on the wire.
//  3. The call is made once. Nothing below repeats it.
//  4. The answer is judged by what is known (Judge in package verdict):
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
// list of invitations, newest first, all statuses; where that does not reach back
// far enough, the list for the one address. Found, it is what Clerk says. Absent in
// two reads some time apart, since lists may lag, it is queued again;
// ignore_existing=false is the last fence, because Clerk then refuses a second
// invitation, and that refusal is looked up again. With ignore_existing there is no
// such fence, so it is parked for a person, unless invitations carry a mark (then a
// read tells for certain, once nothing can arrive any more) or Config.ResendUnknown
// says otherwise.
//
// # Whose is it
//
// An invitation at Clerk is taken for the answer to an invite only if (package
// ownership):
//
//  1. the address is the same, and no other invite owns it;
//  2. a call of this invite may have made it. The ledger keeps each call that got
//     no clear answer (ledger.Call): from its claim until it cannot be carried out
//     any more. A call that was refused as a whole, a bulk, has ended with its
//     answer; a call that got none may arrive up to ledger.ArrivalBound after it was
//     given up. That an invite waits in the queue is no call;
//  3. its content is the invite's: metadata equal but for the way it is written,
//     and the expiry fits. If the time fits and the content does not, Clerk may have
//     changed it or somebody else may have been quick: the invite is parked.
//
// With a mark (Config.Mark) the invite's id stands in public_metadata, and decides
// alone. Otherwise the invitation is somebody else's: an invite that meets it is
// rejected (already_invited), and no revoke of ours touches it.
//
// # Doubt
//
// An invite that has such a call is in doubt. It is looked for by a read just before
// its next call, and before it is said to be canceled; it holds its address as long
// as it could go soon; and a second refused bulk sends it alone. While another one for
// its address is under way the read cannot be made: then a wish to cancel it stands in
// its record, and it is not sent.
//
// # The watch
//
// However an invite in doubt ends (pending by another call, revoked, accepted,
// expired, canceled, failed), its address is watched until no call can arrive any
// more. What arrives then is ours. If the invite was given up, it is the answer; if
// not, it is one too many, and is revoked within a minute. A new invite for the same
// address that meets it waits until it is gone.
//
// # A wish has a time
//
// A request to revoke an address has a place in the order of admission and a time.
// It acts on every invite admitted before, and on every invitation that Clerk shows
// as pending and that was created before, whoever made it; on nothing later. It ends
// when there is none of that kind any more. A revoke that Clerk refuses is tried
// again ever more rarely, and is told.
//
// A wish may be about all that an import has now: it stands still while its rows are
// canceled, some hundred a step (sweep.lua), and those with Clerk are looked at until
// none is left. How far it is stands in the wish, so any worker carries it on. To renew
// is such a wish, too: the new invite is made, under an id that is made of the old one's,
// in the step that sees that the old invitation is gone.
//
// # The ledger may go back
//
// Redis may come back without its last second, a replica may take over that had not
// seen it, somebody may restore a backup or empty it. Every worker beats once a
// second: it writes a sequence number, which every claim moves on as well, and
// compares what it remembers, and which server it talks to, with what the ledger
// holds. If the ledger remembers less, or stands on another server, an epoch begins.
// Its gap is what may have been forgotten: from the last beat that is still there.
//
// No turn is given until one worker has recovered: it reads from Clerk's list what
// was created in the last window, and counts each invitation of the gap against both
// quotas. Nor is one given to a worker that has not heard of the epoch: it beats
// first. From then on an invite that waited before the epoch, or that comes after it
// under an id that may be a repetition (the caller's, a request key's, an import's, an
// outbox's), is looked for before it is sent. Most are told apart at once: each worker
// reads from Clerk's list who has been invited since the gap began, and only those are
// asked for one by one.
// An invitation from the gap with its content is its answer;
// with ignore_existing, or if the gap is long and the invitation has ended, it is
// parked, and nothing is guessed. A call that was forgotten may arrive late, like any:
// with ignore_existing such an invite waits until no worker can have a call under
// way, a revoke of one reads before it says canceled, and the watch looks for what
// arrives. An epoch is looked back at for thirty days.
//
// # Time
//
// Every step takes its time from Redis' clock. The offset to Clerk's clock is
// measured from the Date of its answers and widens the bounds above. If the two are
// more than a minute apart nothing is decided by time: unknown invites wait, and
// /readyz says why. A worker whose own clock is more than thirty seconds off Redis'
// takes no turn.
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
// # The model
//
// model/protocol.pml is this page for spin: one address, two invites, four calls, in
// worlds of lost answers, late calls, marks, wishes, other people's invitations, a
// ledger that goes back, two workers and stalled ones. `make model` plays them, with
// bugs planted. Its head says what it cannot say: time as numbers, quotas, bulk calls,
// and what a person decides.
//
// # Files
//
//	worker.go      the life of a worker; config.go, tempo.go, server.go: how it is set up
//	dispatcher.go  asks for turns; nudge.go: what wakes it; watch.go: whether Clerk may be called
//	ahead.go       reads about those who come next
//	delivery.go    claim, send, settle
//	screen.go      who is invited already; who would be refused; who is to blame
//	verdict/       what an answer, or a reading, means
//	ownership/     whose an invitation is
//	reads.go       Clerk's list, for everybody who asks it
//	look.go        what it shows of some invites, and the facts to judge it by
//	roll.go        who has been invited since an epoch: the others need no read each
//	unknowns.go    unknown outcomes
//	arrivals.go    the watch: what lost calls make after all
//	revokes.go     revokes; wishes.go: requests to revoke
//	chores.go      the loop of the last three
//	pulse.go       beats, epochs, and the clocks
//	handlers.go    asynq's tasks; snooze.go, outcomes.go: how they wait
//	schedule.go    reconciliation (reconcile/), on time; webhooks.go, webhook/: who is told
//	sweep.go       tasks for records that have none; trim.go: what is forgotten
//	observe.go     counts; trace.go: spans
//	health.go      what keeps the worker from delivering
//	redis.go       what asynq needs to be safe on Redis
package worker
