-- turn.lua: take a quota token and claim the invites to spend it on, in one step.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 turn id, 3 time for a claim (ms), 4 size of a full bulk, 5 reserve (-1: follow the demand),
--          6-8 single, 9-11 bulk, 12-14 other: limit (0: none), window, span = window + guard (ms)
-- returns  {'claim', endpoint, deadline, probe 0|1, id, record, id, record, ...}
--          {'wait', when (ms, 0: when something comes), why}    why: idle quota gate paused key
--          {'again'}    nothing could be boarded although something waits; ask again at once
--
-- Keeps: an invite is claimed only together with a token, and a token is taken only together with invites; the
-- log counts a call from the moment it is claimed until its span after the answer (or the deadline) has passed;
-- no two invites for one address are claimed at a time.
local now, turn, ttl, size, reserve = num(ARGV[1]), ARGV[2], num(ARGV[3]), num(ARGV[4]), num(ARGV[5])
-- go-redis repeats a script whose reply was lost: the same turn answers the same.
local told = redis.call('GET', K.turn .. turn)
if told then
  local out = {}
  for f in string.gmatch(told, '[^ ]+') do
    out[#out + 1] = f
    if #out > 4 then out[#out + 1] = redis.call('HGET', K.rec, f) or '' end
  end
  return out
end

local BUSY_DELAY = 5000 -- how long an invite steps aside while another one for its address is in flight (ms)

-- What has become due.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.later, '-inf', now, 'LIMIT', 0, 200)) do
  local r = load(id)
  redis.call('ZREM', K.later, id)
  if r and r.s == 'q' then
    if num(r.ready) > num(r.created) and num(r.lane) == 0 and num(r.attempts) == 0 then
      redis.call('HINCRBY', K.pace, 'arrived', 1)
    end
    r.ready = ''
    save(r)
    enqueue(r, now)
  end
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
  local e = {limit = limit, window = window, span = span, interval = 0, free = HUGE, spent = 0, token_at = now}
  e.last = num(pace[name .. '.last'])
  e.tat = num(pace[name .. '.tat'])
  if limit > 0 then
    e.interval = math.ceil(span / limit)
    redis.call('ZREMRANGEBYSCORE', K[name], '-inf', now - span)
    e.spent = redis.call('ZCARD', K[name])
    e.free = limit - e.spent
  end
  -- when(n): the time at which n tokens are free.
  e.when = function(n)
    if limit == 0 or e.free >= n then return now end
    if n > limit then return HUGE end
    local i = e.spent - limit + n - 1
    local at = redis.call('ZRANGE', K[name], i, i, 'WITHSCORES')
    return num(at[2]) + span
  end
  e.hard_at = e.when(1)
  local open_at = num(gates[name .. '.until'])
  if open_at > 0 then
    e.gated = true
    -- One probe at a time goes through a gate that is due to open.
    e.hard_at = math.max(e.hard_at, open_at, num(gates[name .. '.probe']))
  end
  if num(gates[name .. '.careful']) > now then
    e.hard_at = math.max(e.hard_at, e.last + e.interval)
  end
  return e
end

local single = endpoint('single', num(ARGV[6]), num(ARGV[7]), num(ARGV[8]))
local bulk = endpoint('bulk', num(ARGV[9]), num(ARGV[10]), num(ARGV[11]))
local other = endpoint('other', num(ARGV[12]), num(ARGV[13]), num(ARGV[14]))
single.soft_at = single.tat - (SINGLE_BURST - 1) * single.interval
bulk.soft_at = bulk.tat - (BULK_BURST - 1) * bulk.interval

-- The demand: interactive arrivals in the last window, from two counters that take turns.
local window = single.window
if window == 0 then window = 3600000 end
local start, cur, prev = num(pace['demand.start']), num(pace['demand.cur']), num(pace['demand.prev'])
if now >= start + 2 * window then
  start, cur, prev = now, 0, 0
elseif now >= start + window then
  start, cur, prev = start + window, 0, cur
end
cur = cur + num(pace.arrived) - num(pace['demand.seen'])
redis.call('HSET', K.pace, 'demand.start', str(start), 'demand.cur', cur, 'demand.prev', prev,
  'demand.seen', num(pace.arrived))
local demand = cur + prev * (1 - (now - start) / window)

local s = {now = now, size = size, demand = demand, reserve = reserve, single = single, bulk = bulk}
s.ni = (paused.interactive or paused.all) and 0 or redis.call('ZCARD', K.wait0)
s.nm = (paused.import or paused.all) and 0 or redis.call('ZCARD', K.wait1)

local kept = reserve_of(s)
single.spare_at = single.when(kept + 1)
single.import_at = num(pace['import.tat'])

-- What shall wake the worker besides a token: an invite that comes due, a claim that runs out.
local wake = HUGE
for _, key in ipairs({K.later, K.state .. 'sending'}) do
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if head[2] then wake = math.min(wake, num(head[2])) end
end
local function wait(at, why)
  at = math.min(at, wake)
  if at >= HUGE then at = 0 end
  return {'wait', str(math.max(at, at > 0 and now + 1 or 0)), why}
end

if num(gates['all.until']) > 0 then return wait(num(gates['all.until']), 'key') end

-- Those that go one by one are the oldest: theirs is the next single beyond the reserve.
local solo = next(paused) == nil and redis.call('ZCARD', K.solo) > 0
local action, at
if solo then
  local solo_at = math.max(single.hard_at, single.spare_at)
  if solo_at <= now then action, at = 'single', now else wake, solo = math.min(wake, solo_at), false end
end
if not solo then action, at = decide(s) end
if action == 'idle' then
  local held = redis.call('ZCARD', K.wait0) + redis.call('ZCARD', K.wait1) > 0
  return wait(HUGE, held and 'paused' or 'idle')
end
if action ~= 'wait' and other.hard_at > now then action, at = 'wait', other.hard_at end
if action == 'wait' then
  local closed = single.gated or bulk.gated or other.gated
  return wait(at, closed and 'gate' or 'quota')
end

-- Board: interactive invites first, an import tops up.
local batch, aboard = {}, {}
local function board(key, want)
  for _, id in ipairs(redis.call('ZRANGE', key, 0, want - #batch + 20)) do
    if #batch >= want then return end
    local r = load(id)
    if not r or r.s ~= 'q' then
      redis.call('ZREM', key, id)
    elseif num(r.deadline) > 0 and num(r.deadline) < now then
      move(r, 'failed', now, 'too_old')
    elseif not aboard[r.addr] then
      if redis.call('HEXISTS', K.busy, r.addr) == 1 then
        redis.call('ZREM', key, id)
        redis.call('ZADD', K.later, now + BUSY_DELAY, id)
      else
        aboard[r.addr] = true
        batch[#batch + 1] = r
      end
    end
  end
end
local want, e = 1, single
if action == 'bulk' then want, e = size, bulk end
if solo then
  board(K.solo, 1)
else
  if s.ni > 0 then board(K.wait0, want) end
  if s.nm > 0 and (action == 'bulk' or s.ni == 0) then board(K.wait1, want) end
end
if #batch == 0 then return {'again'} end

local deadline = now + ttl
redis.call('ZADD', K[action], deadline, turn)
redis.call('ZADD', K.other, now, turn)
redis.call('HSET', K.pace, action .. '.last', str(now), action .. '.tat', str(math.max(e.tat, now) + e.interval))
if action == 'single' and s.ni == 0 then
  local spacing = math.ceil(single.span / math.max(1, single.limit - kept))
  redis.call('HSET', K.pace, 'import.tat', str(math.max(single.import_at, now) + (single.limit > 0 and spacing or 0)))
end
local probe = 0
if e.gated then
  probe = 1
  redis.call('HSET', K.gate, action .. '.probe', str(deadline))
end

local out, tell = {'claim', action, str(deadline), tostring(probe)}, {'claim', action, str(deadline), tostring(probe)}
for _, r in ipairs(batch) do
  r.turn, r.sent, r.absent, r.charge = turn, now, '', ''
  out[#out + 1] = r.id
  out[#out + 1] = move(r, 'sending', now, '', deadline)
  tell[#tell + 1] = r.id
end
redis.call('SET', K.turn .. turn, table.concat(tell, ' '), 'PX', ttl)
return out
