-- policy.lua: what to send now, or when to ask again. No I/O: state in, decision out. policy.go says the same in
-- Go, with a word on each number and on each field of the state s, and a test holds the two together.
local HUGE = 9e15 -- never
local SOFT_SHARE = 0.08
local RESERVE_SHARE, IDLE_SHARE, KEPT_SIGMAS, LEAST_SHARE = 0.10, 0.02, 1.25, 0.10
local COVER_SHARE, USE_SHARE = 0.90, 1.1
local DEMAND_STEPS = 32
local ANSWER_TIME, CARE_TIME, LINGER_TIME = 2000, 24 * 3600 * 1000, 100

local max, min, floor, ceil, sqrt = math.max, math.min, math.floor, math.ceil, math.sqrt

-- The depth of the soft bucket of a limit, in calls.
local function depth(limit) return max(1, floor(SOFT_SHARE * limit)) end

-- How many calls may wait for their answers beyond that depth.
local function in_flight(limit, span) return max(1, ceil(limit * ANSWER_TIME / span)) end

-- For how long an endpoint is careful after a refusal that its log did not predict.
local function care(window) return max(CARE_TIME, 2 * window) end

-- What the soft bucket gains a token in.
local function soft_interval(limit, span, careful)
  if limit == 0 then return 0 end
  if careful then return span / max(1, limit - depth(limit)) end
  return span / limit
end

local function need(demand) return demand + sqrt(demand) end

-- How many singles are kept for interactive invites.
local function kept_of(reserve, limit, demand)
  if reserve >= 0 then return min(reserve, limit) end
  local share = demand > 0 and RESERVE_SHARE or IDLE_SHARE
  return min(ceil(max(share * limit, KEPT_SIGMAS * sqrt(demand))), limit)
end

-- The time between two singles of an import.
local function spacing(limit, span, demand, kept)
  if limit == 0 then return 0 end
  return span / max(LEAST_SHARE * limit, limit - demand - kept)
end

-- The demand: interactive arrivals in two windows that take turns. d: start, cur, prev.
local function roll(d, now, window, arrived)
  if now >= d.start + 2 * window then
    d.start, d.cur, d.prev = now, 0, 0
  elseif now >= d.start + window then
    d.start, d.cur, d.prev = d.start + window, 0, d.cur
  end
  d.cur = d.cur + arrived
end

-- returns the demand, and when it next changes by itself
local function demand_at(d, now, window)
  local step = window / DEMAND_STEPS
  local n = floor((now - d.start) / step)
  local demand = d.cur + d.prev * (1 - n / DEMAND_STEPS)
  if demand <= 0 then return 0, HUGE end
  return demand, d.start + (n + 1) * step
end

local function covered(s)
  return s.single.limit == 0 or need(s.demand) <= COVER_SHARE * s.single.limit
end

-- returns an action ('bulk' | 'single' | 'solo' | 'wait' | 'idle') and when to ask again (HUGE: when something comes)
local function decide(s)
  local bulk, single, waiting = s.bulk, s.single, s.ni + s.nm
  if waiting + s.ns == 0 then return 'idle', HUGE end

  -- Those that go one by one are the oldest: theirs is the next single.
  local solo_at = HUGE
  if s.ns > 0 then
    solo_at = single.hard_at
    if s.ns_lane > 0 then solo_at = max(solo_at, single.spare_at) end
    if solo_at <= s.now then return 'solo', s.now end
  end
  if waiting == 0 then return 'wait', solo_at end

  -- join_at is the next bulk that need not be full. A backlog takes every bulk token at once, unless that would
  -- make people wait who need the next one: then its calls are paced, and what is left is made to last.
  local join_at, bulk_at = max(bulk.hard_at, bulk.soft_at), HUGE
  if waiting >= s.size then
    bulk_at = bulk.hard_at
    if s.ni < s.size and not covered(s) then
      bulk_at = max(bulk_at, bulk.last + max(bulk.interval, (bulk.next_at - bulk.last) / (bulk.free + 1)))
    end
    join_at = bulk_at
  elseif waiting >= 2 or single.hard_at > s.now or (s.ni == 0 and single.spare_at > s.now) then
    bulk_at = max(join_at, s.arrived_at + min(LINGER_TIME, bulk.interval / 4))
  end
  if bulk_at <= s.now then return 'bulk', s.now end

  -- So near to a bulk that singles are better kept for others.
  local near = join_at > s.now and s.demand > 0
    and join_at - s.now < bulk.interval * (1 - USE_SHARE * single.limit / s.demand)
  local single_at
  if s.ni == 0 then
    single_at = max(single.hard_at, max(single.spare_at, single.import_at))
  elseif s.ni >= s.size or (waiting >= s.size and covered(s)) then
    single_at = single.hard_at
  elseif near then
    single_at = join_at
  else
    single_at = max(single.hard_at, single.soft_at)
  end
  if single_at <= s.now then return 'single', s.now end
  return 'wait', min(solo_at, min(bulk_at, single_at))
end
