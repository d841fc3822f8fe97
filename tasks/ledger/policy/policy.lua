-- policy.lua: made from demand.go, quota.go, people.go, policy.go by go generate; do not edit. The words are theirs.
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
local Horizons = 4
local LackPrice = 2
local SpreadSigmas = 2
local EvenSpread = 2
local EvenSigmas = 1
local BurstTime = 1000
local MostWaits = 30
local LightWaits = 60
local Never = 9e15
local CoverShare = 0.90
local LingerTime = 100
local Bulk = 'bulk'
local Single = 'single'
local Wait = 'wait'
local Idle = 'idle'
local Roll, Outlook, Kept, Spacing, Depth, SoftInterval, Care, FreeAt, FreeBy, Gains, Landed, Facts, Fit, Pay, BeCareful, people, scatter, capacity, linger, plan, NewState, Decide, rows, covered

-- Roll brings the counters to now and adds arrivals.
function Roll(d, now, window, arrived)
  if d.Began == 0 then
    d.Began = now
  end
  if now >= d.Start + 2 * window or d.Cur + d.Prev == 0 then
    d.Start, d.Cur, d.Prev, d.Step, d.Here, d.CurSq, d.PrevSq = now, 0, 0, 0, 0, 0, 0
  elseif now >= d.Start + window then
    d.PrevSq = d.CurSq + d.Here * d.Here
    d.Start, d.Cur, d.Prev, d.Step, d.Here, d.CurSq = d.Start + window, 0, d.Cur, 0, 0, 0
  end
  local step = math.floor((now - d.Start) / (window / DemandSteps))
  if step ~= d.Step then
    d.CurSq = d.CurSq + (d.Here * d.Here)
    d.Step, d.Here = step, 0
  end
  d.Cur = d.Cur + (arrived)
  d.Here = d.Here + (arrived)
end

-- Outlook tells what to expect at the time to which the demand was rolled.
function Outlook(d, window)
  local left = 1 - d.Step / DemandSteps
  local o = {Known = d.Start >= d.Began + window, People = d.Cur + d.Prev * left, Growing = 0, Spread = 0, MidAt = 0, NextAt = 0}
  if o.People <= 0 then
    o.NextAt = Never
    if not o.Known then
      o.NextAt = d.Began + window
    end
    return o
  end
  local seen = DemandSteps
  if d.Prev == 0 then
    seen = d.Step + 1
  end
  o.Growing = o.People * DemandSteps / seen
  o.Spread = math.sqrt(math.max(0, d.CurSq + d.Here * d.Here + d.PrevSq * left - o.People * o.People / seen))
  o.MidAt = d.Start + (d.Step + 0.5) * window / DemandSteps
  o.NextAt = d.Start + (d.Step + 1) * window / DemandSteps
  return o
end

-- Kept is how many singles are kept for interactive invites. reserve is that
-- number, or -1: follow the demand.
function Kept(o, reserve, limit)
  if reserve >= 0 then
    return math.min(reserve, limit)
  end
  local share = ReserveShare
  if o.Growing == 0 and o.Known then
    share = IdleShare
  end
  return math.min(math.ceil(math.max(share * limit, KeptSigmas * math.sqrt(o.Growing))), limit)
end

-- Spacing is the time between two singles of an import: what the limit leaves
-- beside the demand and what is kept.
function Spacing(o, limit, span, kept)
  if limit == 0 then
    return 0
  end
  return span / math.max(LeastShare * limit, limit - o.Growing - kept)
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

-- FreeBy returns how many tokens will be free by a time, if none is taken until then.
function FreeBy(q, at)
  return math.max(0, q.Calls - q.Log.After(at - q.Span))
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

-- Facts gathers what a decision needs.
function Facts(q, now)
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

-- people says when the next single and the next bulk may leave for the sake of the
-- people who wait.
-- 
-- Somebody who waits now is worse than a burst that replays itself an hour later, when
-- its tokens come back. So as long as it seems that every one of them could have a
-- call of their own, everybody has the next token at once. When there are too many,
-- single calls take those in front of whom nobody waits, and the others wait for each
-- other: they go by bulk when there are so many of them that the bulks last.
function people(s)
  local waiting = s.People + s.PeopleOne
  if waiting == 0 then
    return Never, Never
  end
  if s.People >= s.Size then
    return s.Single.HardAt, s.Bulk.HardAt
  end
  local hasSingle, hasBulk = s.Single.HardAt <= s.Now, s.Bulk.HardAt <= s.Now
  local light = s.Outlook.People <= capacity(s)
  if s.People == 0 then
    if light then
      return s.Single.HardAt, Never
    end
    return math.max(s.Single.HardAt, s.Single.SoftAt), Never
  end
  if light and hasSingle then
    return scatter(s, hasBulk)
  end
  local size = plan(s)
  if s.Calm then
    if hasSingle then
      return scatter(s, hasBulk)
    end
    return s.Single.HardAt, linger(s, s.Bulk.HardAt)
  end
  local groupAt = s.Since + s.BulkQ.Span / MostWaits
  if light then
    groupAt = s.Since + s.BulkQ.Span / LightWaits
    if s.Outlook.Known and s.Outlook.Spread * s.Outlook.Spread <= EvenSpread * s.Outlook.People and s.Outlook.Growing + EvenSigmas * s.Outlook.Spread <= capacity(s) then
      groupAt = s.Since
    end
  end
  local spare = s.People + 0.5 - size
  if spare >= 0 then
    groupAt = math.min(groupAt, s.GroupTat - s.Gap * spare / LackPrice)
  end
  local singleAt, bulkAt = s.Single.HardAt, Never
  if s.People >= 2 or not hasSingle then
    bulkAt = linger(s, math.max(s.Bulk.HardAt, groupAt))
  end
  if light then
    return singleAt, bulkAt
  end
  if waiting == 1 then
    singleAt = math.max(singleAt, math.min(groupAt, s.Single.SoftAt))
  elseif hasBulk and groupAt <= s.Now then
    singleAt = Never
  else
    singleAt = math.max(singleAt, groupAt)
  end
  return singleAt, bulkAt
end

-- scatter is for those who could go at once, each alone. Those of a dense burst wait a
-- moment for the next, so that it does not spend the tokens of all who come after it.
function scatter(s, hasBulk)
  local at = s.Now
  if s.Single.SoftAt > s.Now and s.Every <= BurstTime then
    at = s.Since + math.min(BurstTime, s.Bulk.Interval / 100)
  end
  if s.People >= 2 and hasBulk and s.People * s.Bulk.Free >= s.Single.Free then
    return Never, math.min(linger(s, s.Bulk.HardAt), math.max(at, s.Now))
  end
  return math.max(s.Single.HardAt, at), Never
end

-- capacity is how many people could have a call of their own in a window.
function capacity(s)
  if s.Single.Limit == 0 or s.Bulk.Limit == 0 then
    return Never
  end
  return s.Single.Limit + s.Bulk.Limit
end

-- linger waits for the rest of a burst.
function linger(s, at)
  return math.max(at, s.ArrivedAt + math.min(LingerTime, s.Bulk.Interval / 4))
end

-- plan returns how many people must share a bulk so that the tokens suffice until the
-- end of the tightest part of the coming window, and sets the gap between such bulks.
-- It is calm if there are tokens for everybody.
function plan(s)
  local size = 0.0
  s.Calm = true
  for i = 0, Horizons - 1 do
    local part = (i + 1) / Horizons
    local singles = FreeBy(s.SingleQ, s.Outlook.MidAt + part * s.SingleQ.Span)
    local bulks = FreeBy(s.BulkQ, s.Outlook.MidAt + part * s.BulkQ.Span)
    if s.Outlook.Growing * part + SpreadSigmas * s.Outlook.Spread * math.sqrt(part) > singles + bulks then
      s.Calm = false
    end
    bulks = math.max(1, bulks)
    local need = (s.Outlook.People * part - singles) / bulks
    if i == 0 or need > size then
      size, s.Gap = need, part * s.BulkQ.Span / bulks
    end
  end
  return math.min(math.max(size, 1), s.Size)
end

-- NewState gathers what a decision is made from, but for what waits. reserve is the
-- number of singles kept for people, or -1: follow the demand.
function NewState(now, size, reserve, ttl, single, bulk, other, d, window)
  local s = {Now = now, TTL = ttl, Size = size, People = 0, PeopleOne = 0, Rows = 0, RowsOne = 0, ArrivedAt = 0, Every = 0, Since = 0, GroupTat = 0, Gap = 0, Calm = false, Paced = reserve ~= 0, Kept = 0, SpareAt = 0, ImportAt = 0, OtherAt = 0, SingleQ = single, BulkQ = bulk}
  s.Outlook = Outlook(d, window)
  s.Kept = Kept(s.Outlook, reserve, single.Calls)
  s.SpareAt = FreeAt(single, now, math.min(s.Kept + 1, single.Calls))
  s.Single = Facts(single, now)
  s.Bulk = Facts(bulk, now)
  s.Gap = s.Bulk.Interval
  s.OtherAt = Facts(other, now).HardAt
  return s
end

-- Decide says what to send now, or when to ask again (Never: when something
-- comes).
function Decide(s)
  if s.People + s.PeopleOne + s.Rows + s.RowsOne == 0 then
    return Idle, Never
  end
  local singleAt, bulkAt = people(s)
  local rowAt, rowsAt = rows(s)
  if s.People + s.PeopleOne == 0 then
    singleAt = rowAt
  end
  bulkAt = math.min(bulkAt, rowsAt)
  local at = math.min(singleAt, bulkAt)
  if at <= s.Now then
    local action, q = Single, s.SingleQ
    if bulkAt <= s.Now then
      action, q = Bulk, s.BulkQ
    end
    at = math.max(s.OtherAt, Landed(q, s.Now, s.TTL))
    if at <= s.Now then
      return action, s.Now
    end
    if s.Bulk.NextAt > s.Now then
      at = math.min(at, s.Bulk.NextAt)
    end
    if s.Single.NextAt > s.Now then
      at = math.min(at, s.Single.NextAt)
    end
  end
  return Wait, math.max(math.ceil(math.min(at, s.Outlook.NextAt)), s.Now + 1)
end

-- rows says when the next single and the next bulk may leave for an import's sake.
function rows(s)
  local singleAt, bulkAt = Never, Never
  if s.Rows + s.RowsOne > 0 then
    singleAt = math.max(s.Single.HardAt, s.SpareAt)
    if s.Paced then
      singleAt = math.max(singleAt, s.ImportAt)
    end
  end
  if s.Rows > 0 and s.People + s.Rows >= s.Size then
    bulkAt = s.Bulk.HardAt
    if s.Paced and s.People < s.Size and not covered(s) then
      bulkAt = math.max(bulkAt, s.Bulk.Last + math.max(s.Bulk.Interval, (s.Bulk.NextAt - s.Bulk.Last) / (s.Bulk.Free + 1)))
    end
  elseif s.Rows >= 2 or s.Rows == 1 and singleAt > s.Now then
    bulkAt = s.Bulk.HardAt
    if s.Paced then
      bulkAt = math.max(bulkAt, s.Bulk.SoftAt)
    end
  end
  return singleAt, bulkAt
end

-- covered reports whether the singles alone carry the demand.
function covered(s)
  return s.Single.Limit == 0 or s.Outlook.People + math.sqrt(s.Outlook.People) <= CoverShare * s.Single.Limit
end
