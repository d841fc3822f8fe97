-- policy.lua: made from demand.go, quota.go, policy.go by go generate; do not edit. The words are theirs.
local ReserveShare = 0.10
local IdleShare = 0.02
local KeptSigmas = 1.25
local LeastShare = 0.10
local DemandSteps = 32
local SoftShare = 0.08
local AnswerTime = 2000
local CareTime = 24 * 3600 * 1000
local BulkRefusals = 3
local SmallerFor = 3600 * 1000
local Never = 9e15
local CoverShare = 0.90
local UseShare = 1.1
local LingerTime = 100
local Bulk = 'bulk'
local Single = 'single'
local Solo = 'solo'
local Wait = 'wait'
local Idle = 'idle'
local Roll, Fade, Kept, Spacing, Depth, SoftInterval, Care, FreeAt, Gains, Landed, Look, Fit, Pay, BeCareful, NewState, covered, Decide, want

-- Roll brings the counters to now and adds arrivals.
function Roll(d, now, window, arrived)
  if now >= d.Start + 2 * window then
    d.Start, d.Cur, d.Prev = now, 0, 0
  elseif now >= d.Start + window then
    d.Start, d.Cur, d.Prev = d.Start + window, 0, d.Cur
  end
  d.Cur = d.Cur + (arrived)
end

-- Fade returns the demand at a time within the current window, and when it next
-- changes by itself.
function Fade(d, now, window)
  local step = window / DemandSteps
  local n = math.floor((now - d.Start) / step)
  local demand = d.Cur + d.Prev * (1 - n / DemandSteps)
  if demand <= 0 then
    return 0, Never
  end
  return demand, d.Start + (n + 1) * step
end

-- Kept is how many singles are kept for interactive invites. reserve is that
-- number, or -1: follow the demand.
function Kept(reserve, limit, demand)
  if reserve >= 0 then
    return math.min(reserve, limit)
  end
  local share = IdleShare
  if demand > 0 then
    share = ReserveShare
  end
  return math.min(math.ceil(math.max(share * limit, KeptSigmas * math.sqrt(demand))), limit)
end

-- Spacing is the time between two singles of an import: what the limit leaves
-- beside the demand and what is kept.
function Spacing(limit, span, demand, kept)
  if limit == 0 then
    return 0
  end
  return span / math.max(LeastShare * limit, limit - demand - kept)
end

-- Depth of the soft bucket of a limit, in calls.
function Depth(limit)
  return math.max(1, math.floor(SoftShare * limit))
end

-- SoftInterval is what the soft bucket gains a token in: longer while careful, so
-- that no window sees more than the limit.
function SoftInterval(limit, span, careful)
  if limit == 0 then
    return 0
  end
  if careful then
    return span / math.max(1, limit - Depth(limit))
  end
  return span / limit
end

-- Care is for how long (ms) an endpoint is careful after a refusal that its log
-- did not predict.
function Care(window)
  return math.max(CareTime, 2 * window)
end

-- FreeAt returns the time at which n tokens are free.
function FreeAt(q, now, n)
  local i = q.Log.Len() - q.Calls + n - 1
  if q.Calls == 0 or i < 0 then
    return now
  end
  if n > q.Calls then
    return Never
  end
  return q.Log.At(i) + q.Span
end

-- Gains is the time in which the soft bucket gains a token.
function Gains(q, now)
  return SoftInterval(q.Calls, q.Span, q.Careful > now)
end

-- Landed returns when one more call may leave, as far as those without an answer
-- are concerned.
function Landed(q, now, ttl)
  local spent = q.Log.Len()
  if q.Calls == 0 or spent < Depth(q.Calls) then
    return now
  end
  local flying = q.Log.After(now + ttl - AnswerTime)
  local most = math.max(1, math.ceil(q.Calls * AnswerTime / q.Span))
  if flying < most then
    return now
  end
  return q.Log.At(spent - most) - ttl + AnswerTime
end

-- Look gathers the facts.
function Look(q, now)
  local f = {Limit = q.Calls, Interval = 0, HardAt = now, SoftAt = 0, Last = q.Last, Free = 0, NextAt = 0}
  f.SoftAt = q.Tat - (Depth(q.Calls) - 1) * Gains(q, now)
  if q.Calls > 0 then
    local spent = q.Log.Len()
    f.Interval = q.Span / q.Calls
    f.HardAt = FreeAt(q, now, 1)
    f.Free, f.NextAt = math.max(0, q.Calls - spent), now
    if spent > 0 then
      f.NextAt = q.Log.At(0) + q.Span
    end
  end
  if q.Until > 0 then
    f.HardAt = math.max(f.HardAt, math.max(q.Until, q.Probe))
  end
  if q.Careful > now then
    f.HardAt = math.max(f.HardAt, f.SoftAt)
  end
  return f
end

-- Fit returns how many a bulk call may hold, and closes the endpoint while none is
-- made. size is what fits into a full one.
function Fit(q, now, size)
  if q.MostUntil <= now then
    return size
  end
  if q.Most < 2 then
    q.Until = math.max(q.Until, q.MostUntil)
  end
  return math.max(1, math.min(size, q.Most))
end

-- Pay moves the soft bucket by a call that is made now.
function Pay(q, now)
  q.Last, q.Tat = now, math.max(q.Tat, now) + Gains(q, now)
end

-- BeCareful spaces the calls from now on.
function BeCareful(q, now)
  q.Careful = now + Care(q.Window)
  q.Tat = math.max(q.Tat, math.max(q.Until, now) + (Depth(q.Calls) - 1) * Gains(q, now))
end

-- NewState gathers what a decision is made from, but for what waits. reserve is the
-- number of singles kept for people, or -1: follow the demand.
function NewState(now, size, reserve, ttl, single, bulk, other, d, window)
  local s = {Now = now, Size = size, Interactive = 0, Import = 0, Solo = 0, SoloLane = 0, ArrivedAt = 0, Demand = 0, ChangesAt = 0, Kept = 0, SpareAt = 0, ImportAt = 0, OtherAt = 0, SingleQ = single, BulkQ = bulk, TTL = ttl}
  s.Demand, s.ChangesAt = Fade(d, now, window)
  s.Kept = Kept(reserve, single.Calls, s.Demand)
  s.SpareAt = FreeAt(single, now, s.Kept + 1)
  s.Single = Look(single, now)
  s.Bulk = Look(bulk, now)
  s.OtherAt = Look(other, now).HardAt
  return s
end

-- covered reports whether the singles alone carry the demand.
function covered(s)
  return s.Single.Limit == 0 or s.Demand + math.sqrt(s.Demand) <= CoverShare * s.Single.Limit
end

-- Decide says what to send now, or when to ask again (Never: when something
-- comes).
function Decide(s)
  local action, at = want(s)
  if action == Idle then
    return action, at
  end
  if action ~= Wait then
    local q = s.SingleQ
    if action == Bulk then
      q = s.BulkQ
    end
    at = math.max(s.OtherAt, Landed(q, s.Now, s.TTL))
    if at <= s.Now then
      return action, s.Now
    end
  end
  if s.Import + s.Solo > 0 then
    at = math.min(at, s.ChangesAt)
  end
  return Wait, math.max(math.ceil(at), s.Now + 1)
end

-- want is Decide as if calls took no time.
function want(s)
  local waiting = s.Interactive + s.Import
  if waiting + s.Solo == 0 then
    return Idle, Never
  end
  local soloAt = Never
  if s.Solo > 0 then
    soloAt = s.Single.HardAt
    if s.SoloLane > 0 then
      soloAt = math.max(soloAt, s.SpareAt)
    end
    if soloAt <= s.Now then
      return Solo, s.Now
    end
  end
  if waiting == 0 then
    return Wait, soloAt
  end
  local joinAt = math.max(s.Bulk.HardAt, s.Bulk.SoftAt)
  local bulkAt = Never
  if waiting >= s.Size then
    bulkAt = s.Bulk.HardAt
    if s.Interactive < s.Size and not covered(s) then
      bulkAt = math.max(bulkAt, s.Bulk.Last + math.max(s.Bulk.Interval, (s.Bulk.NextAt - s.Bulk.Last) / (s.Bulk.Free + 1)))
    end
    joinAt = bulkAt
  elseif waiting >= 2 or s.Single.HardAt > s.Now or s.Interactive == 0 and s.SpareAt > s.Now then
    bulkAt = math.max(joinAt, s.ArrivedAt + math.min(LingerTime, s.Bulk.Interval / 4))
  end
  if bulkAt <= s.Now then
    return Bulk, s.Now
  end
  local near = joinAt > s.Now and s.Demand > 0 and joinAt - s.Now < s.Bulk.Interval * (1 - UseShare * s.Single.Limit / s.Demand)
  local singleAt = math.max(s.Single.HardAt, s.Single.SoftAt)
  if s.Interactive == 0 then
    singleAt = math.max(s.Single.HardAt, math.max(s.SpareAt, s.ImportAt))
  elseif s.Interactive >= s.Size or waiting >= s.Size and covered(s) then
    singleAt = s.Single.HardAt
  elseif near then
    singleAt = joinAt
  end
  if singleAt <= s.Now then
    return Single, s.Now
  end
  return Wait, math.min(soloAt, math.min(bulkAt, singleAt))
end
