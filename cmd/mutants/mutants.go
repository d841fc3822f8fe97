package main

// A mutant is a deliberate bug: one place in the shipped code, changed.
type mutant struct {
	name string // what the bug does
	file string
	old  string // must stand in the file exactly once
	new  string
	test string // the tests that must catch it; "" is the simulation
	dir  string // the package of the tests; "" is ./worker
	kind string // what kind of simulated world it takes (plan.kinds in worker/simplan_test.go); "" is any
}

const (
	turn     = "tasks/ledger/turn.lua"
	policy   = "tasks/ledger/policy/policy.lua" // as Redis runs it
	settle   = "tasks/ledger/settle.lua"
	token    = "tasks/ledger/libtoken.lua"
	lib      = "tasks/ledger/lib.lua"
	judge    = "worker/verdict/verdict.go"
	look     = "worker/verdict/look.go"
	delivery = "worker/delivery.go"
	roll     = "worker/roll.go"
)

// mutants are the bugs that the promise of this project is afraid of.
var mutants = []mutant{
	{
		name: "claim nothing: an invite stays in the queue while it is sent", file: turn,
		old: "out[#out + 1] = move(r, 'sending', now, '', deadline)",
		new: "out[#out + 1] = save(r)",
	},
	{
		name: "queue an expired claim again, without reading", file: turn,
		old: "move(r, 'unknown', now, R.worker_died, now)",
		new: "r.turn = ''; move(r, 'queued', now, R.worker_died)",
	},
	{
		name: "take a lost answer for a call that was never sent", file: judge,
		old: "default: // KindUnknown, and whatever a later version may add.\n\t\tif e.Status == 0 {\n\t\t\t// No answer: the call may reach Clerk as late as its deadline.\n\t\t\tv.Token, v.Gate = ledger.KeepToken, ledger.GateChange{}\n\t\t}\n\t\tfor _, r := range t.Batch {\n\t\t\tv.Members = append(v.Members, unknown(now, r))",
		new: "default:\n\t\tfor _, r := range t.Batch {\n\t\t\tv.Members = append(v.Members, Settled(r, tasks.Queued, tasks.ReasonNotSent, \"\"))",
	},
	{
		name: "repeat the POST when its answer is lost", file: delivery,
		old: "one, err := d.clerk.Create(ctx, params(t.Batch[0].Invite, d.mark))",
		new: "one, err := d.clerk.Create(ctx, params(t.Batch[0].Invite, d.mark))\nif err != nil && asError(err).Kind == clerk.KindUnknown {\none, err = d.clerk.Create(ctx, params(t.Batch[0].Invite, d.mark))\n}",
	},
	{
		name: "count a call from when it is sent", file: turn,
		old:  "redis.call('ZADD', K[q.name], deadline, turn)",
		new:  "redis.call('ZADD', K[q.name], now, 'sent ' .. turn)",
		test: "TestTurnIsItsModel", dir: "./tasks/ledger",
	},
	{
		name: "stamp nothing when the answer comes, and count from the send", file: token,
		old: "redis.call('ZADD', K[turn.endpoint], 'XX', now, turn.id)",
		new: "redis.call('ZADD', K[turn.endpoint], 'XX', now - 600000, turn.id)",
	},
	{
		name: "leave out the guard of the window", file: "tasks/ledger/quota.go",
		old:  "return l.Window + min(1500*time.Millisecond, l.Window/20)",
		new:  "return l.Window",
		test: "TestTwoClocks", dir: "./tasks/ledger",
	},
	{
		name: "give the token back although bytes have left", file: judge,
		old:  "v.Token, v.Gate = ledger.KeepToken, ledger.GateChange{}",
		new:  "v.Token, v.Gate = ledger.RefundToken, ledger.GateChange{}",
		test: "TestJudge", dir: "./worker/verdict",
	},
	{
		name: "go through a closed gate", file: policy,
		old: "f.HardAt = math.max(f.HardAt, math.max(q.Until, q.Probe))",
		new: "f.HardAt = math.max(f.HardAt, q.Probe)",
	},
	{
		name: "probe a gate with all workers at once", file: policy,
		old: "f.HardAt = math.max(f.HardAt, math.max(q.Until, q.Probe))",
		new: "f.HardAt = math.max(f.HardAt, q.Until)",
	},
	{
		name: "settle without comparing the claim", file: settle,
		old: "if not r or r.turn ~= m.turn then return false end",
		new: "if r then return true end", test: "TestClaimsAndReadingsKeepApart", dir: "./tasks/ledger",
	},
	{
		name: "let a turn settle a second time what it has made unknown", file: settle,
		old: "return r.s == 's' or (r.s == 'u' and (r.reason == R.worker_died or r.reason == 'claim_expired'))",
		new: "return r.s == 's' or r.s == 'u'", test: "TestSettledTwice", dir: "./tasks/ledger",
	},
	{
		name: "charge an attempt for a 429", file: judge,
		old:  "return v.all(t, tasks.Queued, causes[kind].Reason())\n\n\tcase clerk.KindOverload:",
		new:  "v = v.all(t, tasks.Queued, causes[kind].Reason())\n\t\tv.Members[0].Charge = ledger.ChargeOne\n\t\treturn v\n\n\tcase clerk.KindOverload:",
		test: "TestJudge", dir: "./worker/verdict",
	},
	{
		name: "believe one read that finds nothing", file: look,
		old: "if r.Absent+1 < cleanReads {",
		new: "if r.Absent+1 < cleanReads-1 {",
	},
	{
		name: "put equal addresses into one batch", file: turn,
		old: "elseif aboard[r.addr] or taken(r, now) then",
		new: "elseif taken(r, now) then",
	},
	{
		name: "send to an address that another call is sending to", file: turn,
		old: "elseif aboard[r.addr] or taken(r, now) then",
		new: "elseif aboard[r.addr] then",
	},
	{
		name: "reject a duplicate without looking whose it is", file: judge,
		old:  "return Settled(r, tasks.Unknown, tasks.ReasonInvitationExists, \"\")",
		new:  "return Settled(r, tasks.Rejected, tasks.ReasonAlreadyInvited, \"\")",
		test: "TestJudge", dir: "./worker/verdict",
	},
	{
		name: "take an invitation that is another invite's", file: look,
		old: "taken && owner != r.Invite.ID {",
		new: "taken && owner == \"\" {",
	},
	{
		name: "send those in doubt again without looking for them", file: delivery,
		old: "t.Batch = d.recall(reading, t)",
		new: "", test: "TestRefusedBulkThatTookEffect",
	},
	{
		name: "cancel those in doubt without looking for them", file: "tasks/ledger/libcancel.lua",
		old: "if r.doubt ~= '1' and not forgotten(r, now) then return", new: "do return",
		test: "TestRandomOperations", dir: "./tasks/ledger",
	},
	{
		name: "forget a wish that has to wait for another", file: "tasks/ledger/libcancel.lua",
		old: "redis.call('ZADD', K.revoke, 'NX', now, r.id)\n      return save(r)",
		new: "return line(r) .. r.body", test: "TestRevokeThatMustWaitIsKept", dir: "./tasks/ledger",
	},
	{
		name: "send who waits for being revoked", file: turn,
		old: "r.revoke == '1' then", new: "false then", test: "TestRevokeThatMustWaitIsKept", dir: "./tasks/ledger",
	},
	{
		name: "let others go to the address of one in doubt", file: lib,
		old: "if holds or (to == 'queued' and r.doubt == '1') then",
		new: "if holds then", test: "TestRandomOperations", dir: "./tasks/ledger",
	},
	{
		name: "send the members of a refused bulk in bulk, however often it is refused", file: judge,
		old: "s.Solo, s.Call = r.Doubt, ledger.EndedCall", new: "s.Call = ledger.EndedCall", test: "TestPoisonDoesNotHarmItsNeighbours",
	},
	{
		name: "forget a wish to revoke while the call is under way", file: lib,
		old: "redis.call('ZADD', K.revoke, now, r.id)",
		new: "local _ = now",
	},
	{
		name: "believe any Retry-After", file: judge,
		old:  "min(max(e.RetryAfter, minRetryAfter), max(p.Window, minRetryAfter))",
		new:  "max(e.RetryAfter, minRetryAfter)",
		test: "TestJudge", dir: "./worker/verdict",
	},
	{
		name: "log addresses", file: delivery,
		old: "d.ledger.Person(r.Invite.EmailAddress)",
		new: "r.Invite.EmailAddress.Raw()",
	},
	{
		name: "hold an address for ever after its call", file: lib,
		old: "redis.call('HDEL', K.busy, r.addr)",
		new: "local _ = now",
	},
	{
		name: "settle under the context that a shutdown ends", file: delivery,
		old:  "context.WithDeadline(context.WithoutCancel(ctx), t.Deadline)",
		new:  "context.WithDeadline(ctx, t.Deadline)",
		test: "TestShutdownSettlesWhatIsUnderWay",
	},
	{
		name: "shut down without waiting for the calls under way", file: "worker/dispatcher.go",
		old: "defer inFlight.Wait()", new: "", test: "TestShutdownSettlesWhatIsUnderWay",
	},
	{
		name: "let asynq's writes end with its context", file: "worker/redis.go",
		old: "return func(ctx context.Context, cmd redis.Cmder) error { return next(context.WithoutCancel(ctx), cmd) }",
		new: "return next", test: "TestCompletion",
	},
	{
		name: "ask a Redis that answers errors as often as it can", file: "worker/redis.go",
		old: "time.Sleep(errorPause)", new: "_ = errorPause", test: "TestFetchLoop",
	},
	{
		name: "count waiting as a failure of the task", file: "worker/snooze.go",
		old: "return !waits", new: "return waits || true", test: "TestSnooze",
	},
	{
		name: "take any invitation for the address that a call may have made, whatever it says", file: "worker/ownership/ownership.go",
		old: "if SameContent(r.Invite, inv) {", new: "if true {", kind: "strangers",
	},
	{
		name: "take an invitation that no call can have made", file: "worker/ownership/ownership.go",
		old: "|| !c.MayHaveMade(made, f.Clock.Uncertainty) {", new: "{", kind: "strangers",
	},
	{
		name: "keep what an encrypted ledger holds in the open", file: "tasks/ledger/record.go",
		old: `return "$" + hash + " " + s.secret.Seal(content)`, new: "return content",
		test: "TestEncrypted", dir: "./tasks/ledger",
	},
	{
		name: "let a worker run while the ledger is encrypted anew", file: "tasks/ledger/rekey.go",
		old: "if err != nil || len(running) == 0 {", new: "if err != nil || true {",
		test: "TestRekeyWaitsForWorkers", dir: "./tasks/ledger",
	},
	{
		name: "take turns from a ledger that has gone back", file: turn,
		old: "if memory[2] or num(ARGV[15]) > num(memory[1]) or epoch > num(ARGV[16]) or another then", new: "if memory[2] or epoch > num(ARGV[16]) or another then",
		test: "TestLedgerThatGoesBackBetweenTwoBeats", dir: "./tasks/ledger",
	},
	{
		name: "let a revoke mean what is asked for after it", file: "tasks/ledger/revokereq.go",
		old: "return invite.Position < r.Position", new: "return true",
	},
	{
		name: "let a worker with a shorter window forget the calls of the others", file: turn,
		old: "redis.call('ZREMRANGEBYSCORE', key, '-inf', now - longest)", new: "redis.call('ZREMRANGEBYSCORE', key, '-inf', now - span)",
		test: "TestLongestWindowTrims", dir: "./tasks/ledger",
	},
	{
		name: "spend a full quota after Redis has forgotten the calls", file: "tasks/ledger/recover.lua",
		old: "for n = #made, 1, -1 do", new: "for n = 0, 1, -1 do",
		test: "TestRecoveryCountsWhatMayHaveBeenForgotten", dir: "./tasks/ledger",
	},
	{
		name: "watch nothing once an invite has ended", file: lib,
		old: "if not OPEN[to] then\n    watch(r, now, from)", new: "if not OPEN[to] then", test: "TestTranscripts/08",
	},
	{
		name: "give two changes of an invite one event id", file: lib,
		old: "'id', r.id, 'ver', str(r.ver),", new: "'id', r.id, 'ver', '1',",
	},
	{
		name: "forget which calls got no clear answer", file: settle,
		old: "if m.call == 'lost' then note_call(r, now + ARRIVAL)", new: "if false then note_call(r, now + ARRIVAL)", test: "TestTranscripts/08",
	},
	{
		name: "reject an invite for an invitation that is being revoked", file: look,
		old: "if s.goneSoon(f) {", new: "if false {", test: "TestTranscripts/10",
	},
	{
		name: "send after an epoch without looking", file: "worker/screen.go",
		old: "if r.Doubt || ownership.MayBeForgotten(r, facts) {", new: "if r.Doubt && !ownership.MayBeForgotten(r, facts) {", kind: "forgetful,fenceless",
	},
	{
		name: "give turns to a worker that has not heard of an epoch", file: turn,
		old: "if memory[2] or num(ARGV[15]) > num(memory[1]) or epoch > num(ARGV[16]) or another then", new: "if memory[2] or num(ARGV[15]) > num(memory[1]) or another then",
		test: "TestNoTurnForWhoHasNotHeardOfAnEpoch", dir: "./tasks/ledger",
	},
	{
		name: "notice no epoch by what workers remember", file: "tasks/ledger/beat.lua",
		old: "if seen > seq or (known > 0 and known ~= founded) then", new: "if false then", kind: "forgetful",
	},
	{
		name: "forget the epochs with the ledger", file: "tasks/ledger/beat.lua",
		old: "  remember(ARGV[6])", new: "  remember('')", test: "TestEmptiedTwice", dir: "./tasks/ledger",
	},
	{
		name: "forget the first of many epochs", file: "tasks/ledger/beat.lua",
		old: "local later = table.remove(epochs, at + 1)", new: "local later = table.remove(epochs, 1) at = 1",
		test: "TestNoGapIsForgotten", dir: "./tasks/ledger",
	},
	{
		name: "notice no epoch by another server's name", file: "tasks/ledger/beat.lua",
		old: "elseif run ~= '' and server ~= '' and run ~= server then", new: "elseif false then", test: "TestEpochs", dir: "./tasks/ledger",
	},
	{
		name: "send an ignore_existing invite again that reading has not found", file: look,
		old: "case noFence && !p.ResendUnknown:", new: "case false:", kind: "fenceless,late",
	},
	{
		name: "believe that a mark is not there while its call may still arrive", file: look,
		old: "if marked && !f.Now.After(LastBound(s.Calls)) {", new: "if false {", kind: "fenceless,late,mark",
	},
	{
		name: "take an invitation that carries another invite's mark", file: "worker/ownership/ownership.go",
		old: "if id == r.Invite.ID {", new: "if id != \"\" {", kind: "fenceless,mark",
	},
	{
		name: "judge by Clerk's clock as it was known before the read", file: "worker/look.go",
		old: "if facts.Clock = r.facts().Clock; !facts", new: "if !facts", test: "TestTranscripts/41",
	},
	{
		name: "look for a mark only where the address stands", file: "worker/reads.go",
		old: "if inv.key == e.Key() || slices.Contains(ids, inv.mark) {", new: "if inv.key == e.Key() {", test: "TestTranscripts/26",
	},
	{
		name: "take what carries no mark for a forgotten call's, although all carried one", file: "worker/ownership/ownership.go",
		old: "case f.Mark != \"\" && !leftAfter(e, made, f).Before(f.MarkSince) && CanCarry(r.Invite, f.Mark):", new: "case false:", test: "TestTranscripts/27",
	},
	{
		name: "claim others when the request for more members is repeated", file: "tasks/ledger/topup.lua",
		old: "local told = redis.call('GET', K.turn .. request)", new: "local told = nil", test: "TestToppedUpOnce", dir: "./tasks/ledger",
	},
	{
		name: "revoke what was created after the wish", file: "worker/wishes.go",
		old: "case owners[inv.ID] != \"\" || !clock.MayPrecede(inv.CreatedAt, w.CreatedAt):", new: "case owners[inv.ID] != \"\":",
	},
	{
		name: "after an epoch send with ignore_existing after one look", file: "worker/verdict/look.go",
		old: "at.IsZero() || !r.Invite.IgnoreExisting {", new: "true || at.IsZero() {", test: "TestTranscripts/28",
	},
	{
		name: "leave open what a forgotten call makes late", file: lib,
		old: "elseif last > now then", new: "elseif false then", test: "TestTranscripts/30",
	},
	{
		name: "cancel unread what may have been sent and forgotten", file: "tasks/ledger/libcancel.lua",
		old: "and not forgotten(r, now) then", new: "then", test: "TestTranscripts/31",
	},
	{
		name: "fail unread what may have been sent and forgotten", file: lib,
		old: "(concerned and state == 'failed' and from == 'queued')", new: "false", test: "TestTranscripts/32",
	},
	{
		name: "reject for an invitation that has ended since", file: "worker/verdict/look.go",
		old: "if s.hasGone(r, f) {", new: "if false {", test: "TestTranscripts/34",
	},
	{
		name: "leave open what a lost call has made late", file: "worker/arrivals.go",
		old: "case inv.Status != clerk.Pending:", new: "case true:", kind: "late",
	},
	{
		name: "let a list go before the clicks", file: turn,
		old: "lane = s.People + s.PeopleOne > 0 and 0 or 1", new: "lane = s.Rows + s.RowsOne > 0 and 1 or 0", kind: "gentle",
	},
	{
		name: "compare Clerk's times as if its clock were ours", file: "worker/ownership/ownership.go",
		old: "return t.Add(-c.Offset)", new: "return t", kind: "skewed",
	},
	{
		name: "take turns although the clock is off", file: "worker/pulse.go",
		old: "return p.ledger.Offset().Abs() <= ledger.MaxOffset", new: "return true", kind: "apart",
	},
	{
		name: "forget Redis' clock at a slow answer", file: "tasks/ledger/clock.go",
		old: "min(max(c.offset.Load(), int64(least)), int64(most))", new: "min(max(0, int64(least)), int64(most))",
		test: "TestOffsetIsKeptByASlowAnswer", dir: "./tasks/ledger",
	},
	{
		name: "take a short part of a long list for all of it", file: "worker/reads.go",
		old: "	return shown, false, nil\n}", new: "	return shown, true, nil\n}", kind: "lifted",
	},
	{
		name: "read after an epoch who has been invited, and never again", file: roll,
		old:  "|| r.upTo.Before(needs)",
		new:  "|| r.upTo.IsZero() && r.upTo.Before(needs)",
		test: "TestTranscripts",
	},
	{
		name: "be content with what was read before the epoch", file: roll,
		old:  "needs := latest(rested, ownership.ForgottenAt(rec, f))",
		new:  "needs := rested",
		test: "TestRollIsFreshEnough",
	},
	{
		name: "with ignore_existing, be content with what was read while a call might be under way", file: roll,
		old:  "needs = latest(needs, wire) //",
		new:  "_ = wire //",
		test: "TestRollIsFreshEnough",
	},
}
