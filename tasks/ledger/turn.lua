-- turn.lua: take a quota token and claim the invites to spend it on, in one step.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 turn id, 3 time for a claim (ms), 4 size of a full bulk, 5 reserve (-1: follow the demand),
--          6-8 single, 9-11 bulk, 12-14 other: limit (0: none), window, span = window + guard (ms)
-- returns  {'claim', endpoint, deadline, probe 0|1, id, record, id, record, ...}
--          {'wait', when (ms, 0: when something comes), why}    why: idle quota gate paused key
--          {'again'}    much stood in the way and was put aside; ask again at once
--
-- Keeps: an invite is claimed only together with a token, and a token is taken only together with invites; the
-- log counts a call from the moment it is claimed until its span after the answer (or the deadline) has passed;
-- no two invites for one address are claimed at a time; nothing becomes possible before the time it names.
local now, turn, ttl, size, reserve = num(ARGV[1]), ARGV[2], num(ARGV[3]), num(ARGV[4]), num(ARGV[5])
-- go-redis repeats a script whose reply was lost: the same turn answers the same.
local told = redis.call('GET', K.turn .. turn)
if told then
  local out, n = {}, 0
  for f in string.gmatch(told, '[^ ]+') do
    n = n + 1
    if n <= 4 then
      out[n] = f
    elseif n > 6 then
      out[#out + 1] = f
      out[#out + 1] = redis.call('HGET', K.rec, f) or ''
    end
  end
  return out
end

local BUSY_DELAY = 5000 -- how long an invite steps aside while another one for its address is under way (ms)

-- What has become due.
local arrived = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.later, '-inf', now, 'LIMIT', 0, 200)) do
  local r = load(id)
  redis.call('ZREM', K.later, id)
  if r and r.s == 'q' then
    if r.ready ~= '' then
      if num(r.lane) == 0 and num(r.attempts) == 0 and num(r.ver) == 0 then arrived = arrived + 1 end
      r.ready = ''
      save(r)
    end
    enqueue(r, now)
  end
end
if arrived > 0 then
  redis.call('HINCRBY', K.pace, 'arrived', arrived)
  redis.call('HSET', K.pace, 'arrived.at', now)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.state .. 'sending', '-inf', now, 'LIMIT', 0, 100)) do
  local r = load(id)
  r.crashes = num(r.crashes) + 1
  r.absent, r.charge = '', ''
  move(r, 'unknown', now, 'claim_expired', now)
end

local gates = pairsof(redis.call('HGETALL', K.gate))
local pace = pairsof(redis.call('HGETALL', K.pace))
local paused = pairsof(redis.call('HGETALL', K.paused))

local function endpoint(name, limit, window, span)
  local e = {name = name, limit = limit, span = span, interval = 0, hard_at = now, spent = 0, free = 0, next_at = 0,
    last = num(pace[name .. '.last']), tat = num(pace[name .. '.tat'])}
  redis.call('ZREMRANGEBYSCORE', K[name], '-inf', now - span)
  -- score returns the i-th entry of the log, from 0.
  local function score(i) return num(redis.call('ZRANGE', K[name], i, i, 'WITHSCORES')[2]) end
  -- when returns the time at which n tokens are free.
  e.when = function(n)
    local i = e.spent - limit + n - 1
    if limit == 0 or i < 0 then return now end
    if n > limit then return HUGE end
    return score(i) + span
  end
  if limit > 0 then
    e.interval = span / limit
    e.spent = redis.call('ZCARD', K[name])
    e.hard_at = e.when(1)
    e.free, e.next_at = max(0, limit - e.spent), now
    if e.spent > 0 then e.next_at = score(0) + span end
  end
  local careful = num(gates[name .. '.careful']) > now
  e.gains = soft_interval(limit, span, careful)
  e.soft_at = e.tat - (depth(limit) - 1) * e.gains
  local open_at = num(gates[name .. '.until'])
  if open_at > 0 then
    e.gated = true
    -- One probe at a time goes through a gate that is due to open.
    e.hard_at = max(e.hard_at, max(open_at, num(gates[name .. '.probe'])))
  end
  if careful then e.hard_at = max(e.hard_at, e.soft_at) end
  -- landed returns when one more call may be made, as far as those without an answer are concerned.
  e.landed = function()
    if limit == 0 or e.spent < depth(limit) then return now end
    local flying = redis.call('ZCOUNT', K[name], '(' .. (now + ttl - ANSWER_TIME), '+inf')
    local most = in_flight(limit, span)
    if flying < most then return now end
    return score(e.spent - most) - ttl + ANSWER_TIME
  end
  return e
end

local single = endpoint('single', num(ARGV[6]), num(ARGV[7]), num(ARGV[8]))
local bulk = endpoint('bulk', num(ARGV[9]), num(ARGV[10]), num(ARGV[11]))
local other = endpoint('other', num(ARGV[12]), num(ARGV[13]), num(ARGV[14]))

local window = num(ARGV[7])
if window == 0 then window = 3600000 end
local d = {start = num(pace['demand.start']), cur = num(pace['demand.cur']), prev = num(pace['demand.prev'])}
local before = d.start
local fresh = num(pace.arrived) - num(pace['demand.seen'])
roll(d, now, window, fresh)
if fresh > 0 or d.start ~= before then
  redis.call('HSET', K.pace, 'demand.start', real(d.start), 'demand.cur', d.cur, 'demand.prev', d.prev,
    'demand.seen', num(pace.arrived))
end
local demand, changes = demand_at(d, now, window)
local kept = kept_of(reserve, single.limit, demand)
single.spare_at, single.import_at = single.when(kept + 1), num(pace['import.tat'])

local s = {now = now, size = size, arrived_at = num(pace['arrived.at']), demand = demand, reserve = reserve,
  single = single, bulk = bulk}

-- What shall wake the worker besides a token: an invite that comes due, a claim that runs out.
local wake = HUGE
for _, key in ipairs({K.later, K.state .. 'sending'}) do
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if head[2] then wake = min(wake, num(head[2])) end
end
local function wait(at, why)
  at = ceil(min(at, wake))
  if at >= HUGE then at = 0 elseif at <= now then at = now + 1 end
  return {'wait', str(at), why}
end

-- The key is probed by reads, so a worker is told the time itself, even if it has passed.
if num(gates['all.until']) > 0 then return {'wait', gates['all.until'], 'key'} end

-- aside tells whether an invite at the head of a lane must not go now, and takes it out of the lane.
local function aside(key, id, r, aboard)
  if not r or r.s ~= 'q' then
    redis.call('ZREM', key, id)
  elseif num(r.deadline) > 0 and num(r.deadline) < now then
    move(r, 'failed', now, 'too_old')
  elseif aboard[r.addr] or taken(r) then
    redis.call('ZREM', key, id)
    redis.call('ZADD', K.later, now + BUSY_DELAY, id)
  else
    return false
  end
  return true
end

local function is_paused(lane) return paused.all or paused[num(lane) == 0 and 'interactive' or 'import'] end

-- solo returns the first invite that goes one by one.
local function first_solo()
  for _, id in ipairs(redis.call('ZRANGE', K.solo, 0, 19)) do
    local r = load(id)
    if not aside(K.solo, id, r, {}) and not is_paused(r.lane) then return r end
  end
end

-- board adds the first invites of a lane to the batch, until there are want.
local function board(batch, aboard, lane, want)
  local key, from, looked = K['wait' .. lane], 0, 0
  while #batch < want and looked < 200 do
    local ids = redis.call('ZRANGE', key, from, from + want - #batch - 1)
    if #ids == 0 then return end
    for _, id in ipairs(ids) do
      local r = load(id)
      looked = looked + 1
      if not aside(key, id, r, aboard) then
        aboard[r.addr] = true
        batch[#batch + 1] = r
        from = from + 1
      end
    end
  end
end

local action, at, batch, solo, e
for round = 1, 20 do
  s.ni = is_paused(0) and 0 or redis.call('ZCARD', K.wait0)
  s.nm = is_paused(1) and 0 or redis.call('ZCARD', K.wait1)
  solo = redis.call('ZCARD', K.solo) > 0 and first_solo() or nil
  s.ns, s.ns_lane = solo and 1 or 0, solo and num(solo.lane) or 0
  action, at = decide(s)
  if action == 'idle' then
    local held = redis.call('ZCARD', K.wait0) + redis.call('ZCARD', K.wait1) + redis.call('ZCARD', K.solo) > 0
    return wait(HUGE, held and 'paused' or 'idle')
  end
  e = action == 'bulk' and bulk or single
  if action ~= 'wait' then
    at = max(other.hard_at, e.landed())
    if at > now then action = 'wait' end
  end
  if action == 'wait' then
    if s.nm + s.ns > 0 then at = min(at, changes) end
    local closed = single.gated or bulk.gated or other.gated
    return wait(at, closed and 'gate' or 'quota')
  end
  -- Interactive invites board first, an import tops up.
  batch = {}
  local want, expected = 1, 1
  if action == 'solo' then
    batch[1] = solo
  else
    if action == 'bulk' then want, expected = size, min(size, s.ni + s.nm) end
    local aboard = {}
    if s.ni > 0 then board(batch, aboard, 0, want) end
    if s.nm > 0 and (action == 'bulk' or s.ni == 0) then board(batch, aboard, 1, want) end
  end
  -- If fewer could board than were counted, the others stand aside now: decide again, with what is left.
  if #batch >= expected then break end
end
if #batch == 0 then return {'again'} end

local deadline = now + ttl
redis.call('ZADD', K[e.name], deadline, turn)
redis.call('ZADD', K.other, deadline, turn)
redis.call('HSET', K.pace, e.name .. '.last', str(now), e.name .. '.tat', real(max(e.tat, now) + e.gains))
local paced = 0
if action == 'single' and s.ni == 0 and single.limit > 0 then
  paced = spacing(single.limit, single.span, demand, kept)
  redis.call('HSET', K.pace, 'import.tat', real(max(single.import_at, now) + paced))
end
local probe = '0'
for _, g in ipairs({e, other}) do
  if g.gated then
    probe = '1'
    redis.call('HSET', K.gate, g.name .. '.probe', str(deadline))
  end
end

local out = {'claim', e.name, str(deadline), probe}
local tell = {'claim', e.name, str(deadline), probe, real(paced), real(e.gains)}
for _, r in ipairs(batch) do
  r.turn, r.sent, r.absent, r.charge = turn, now, '', ''
  out[#out + 1] = r.id
  out[#out + 1] = move(r, 'sending', now, '', deadline)
  tell[#tell + 1] = r.id
end
redis.call('SET', K.turn .. turn, table.concat(tell, ' '), 'PX', ttl)
return out
