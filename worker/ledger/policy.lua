-- policy.lua: what to send now, or when to ask again. No I/O: state in, decision out. policy.go says the same
-- in Go and a test holds the two together; all the numbers that were tuned stand here and there, nowhere else.
--
-- s: now, ni, nm (waiting: interactive, import), size (of a full bulk), demand (interactive invites in the last
--    window), reserve (singles kept for them; -1: follow the demand), bulk and single: endpoints.
-- endpoint: limit (0: none), interval (span / limit), hard_at (token, gate and care), soft_at (its soft bucket),
--    last (its latest call), and for single: spare_at (a token beyond the reserve), import_at (their own spacing).
-- returns  action ('bulk' | 'single' | 'wait' | 'idle'), when to ask again (HUGE: never)
local HUGE = 9e15
local BULK_BURST, SINGLE_BURST = 2, 8 -- depth of the soft buckets, in calls
local RESERVE_SHARE = 0.10            -- singles kept for people although nobody has come lately
local COVER_SHARE = 0.80              -- up to this share of the singles, the reserve covers the demand

local function need(s) return s.demand + math.sqrt(s.demand) end

local function reserve_of(s)
  if s.reserve >= 0 then return math.min(s.reserve, s.single.limit) end
  return math.min(math.ceil(math.max(RESERVE_SHARE * s.single.limit, need(s))), s.single.limit)
end

local function covered(s)
  return s.single.limit == 0 or need(s) <= COVER_SHARE * s.single.limit
end

local function decide(s)
  local bulk, single, waiting = s.bulk, s.single, s.ni + s.nm
  if waiting == 0 then return 'idle', HUGE end

  -- A backlog takes every bulk token at once, unless that would make people wait who need the next one.
  local bulk_at = HUGE
  if waiting >= s.size then
    bulk_at = bulk.hard_at
    if s.ni < s.size and not covered(s) then bulk_at = math.max(bulk_at, bulk.last + bulk.interval) end
  elseif waiting >= 2 or single.hard_at > s.now then
    bulk_at = math.max(bulk.hard_at, bulk.soft_at)
  end
  if bulk_at <= s.now then return 'bulk', s.now end

  local near = bulk_at - s.now < bulk.interval / 2
  local single_at
  if s.ni == 0 then
    single_at = math.max(single.hard_at, single.spare_at, single.import_at)
  elseif s.ni >= s.size or (waiting >= s.size and covered(s)) then
    single_at = single.hard_at
  elseif near and waiting > 1 then
    single_at = bulk_at
  else
    single_at = math.max(single.hard_at, single.soft_at)
  end
  if single_at <= s.now then return 'single', s.now end
  -- Waiting, 'near' turns true at half an interval before the bulk: nothing new becomes possible then, so the
  -- next moment is a token's.
  return 'wait', math.min(bulk_at, single_at)
end
