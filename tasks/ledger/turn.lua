-- turn.lua: take a quota token and claim the invites to spend it on, in one step.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 turn id, 3 time for a claim (ms), 4 size of a full bulk, 5 reserve (-1: follow the demand),
--          6-8 single, 9-11 bulk, 12-14 other: limit (0: none), window, span = window + guard (ms),
--          15 the highest sequence number that the caller has seen, 16 the end of the newest epoch that it has heard of,
--          17 when the ledger was founded, as far as it knows (0: it does not know; beat.lua)
-- returns  {'claim', endpoint, deadline, probe 0|1, sequence number, id, record, id, record, ...}
--          {'wait', when (ms, 0: when something comes), why}    why: a word of W
--          {'again'}    much stood in the way and was put aside; ask again at once
--
-- Keeps: an invite is claimed only together with a token, and a token is taken only together with invites; the
-- log counts a call from the moment it is claimed until its span after the answer (or the deadline) has passed;
-- no two invites for one address are claimed at a time; nothing becomes possible before the time it names.
local now, turn, ttl, size, reserve = clock(ARGV[1]), ARGV[2], num(ARGV[3]), num(ARGV[4]), num(ARGV[5])
-- go-redis repeats a script whose reply was lost: the same turn answers the same.
local told = redis.call('GET', K.turn .. turn)
if told then
  local out, n = {}, 0
  for f in string.gmatch(told, '[^ ]+') do
    n = n + 1
    if n <= 4 then
      out[n] = f
    elseif n == 7 then
      out[5] = f
    elseif n > 7 then
      out[#out + 1] = f
      out[#out + 1] = redis.call('HGET', K.rec, f) or ''
    end
  end
  return out
end

-- A ledger that remembers less than its callers has gone back: what it says of calls and claims may be untrue. And who
-- has not heard of an epoch does not look before sending.
local memory = redis.call('HMGET', K.meta, 'seq', 'recover', 'epochs', 'founded')
local epoch, known = num(string.match(memory[3] or '', ':(%d+):%S+$')), num(ARGV[17])
local another = known > 0 and known ~= num(memory[4]) -- it was emptied, and a new worker has founded it again
if memory[2] or num(ARGV[15]) > num(memory[1]) or epoch > num(ARGV[16]) or another then return {'wait', str(now + 1000), W.epoch} end

local BUSY_DELAY = 5000 -- how long an invite steps aside while another one for its address is under way (ms)

-- What has become due.
local arrived = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.later, '-inf', now, 'LIMIT', 0, 200)) do
  local r = load(id)
  redis.call('ZREM', K.later, id)
  if r and r.s == 'q' then
    local anew = r.ready ~= '' and num(r.ver) == 0
    if r.ready ~= '' then
      if num(r.lane) == 0 and num(r.attempts) == 0 and num(r.ver) == 0 then arrived = arrived + 1 end
      r.ready = ''
      save(r)
    end
    enqueue(r, now, anew)
  end
end
if arrived > 0 then
  redis.call('HINCRBY', K.pace, 'arrived', arrived)
  redis.call('HSET', K.pace, 'arrived.at', now)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.state .. 'sending', '-inf', now, 'LIMIT', 0, 100)) do
  local r = load(id)
  if r and r.s == 's' then
    r.crashes = num(r.crashes) + 1
    r.absent, r.charge = '', ''
    note_call(r, now + ARRIVAL)
    move(r, 'unknown', now, R.worker_died, now)
  else
    redis.call('ZREM', K.state .. 'sending', id)
  end
end

for _, id in ipairs(redis.call('ZRANGE', K.solo, 0, 199)) do
  local r = load(id)
  redis.call('ZREM', K.solo, id)
  if r and r.s == 'q' then enqueue(r, now) end
end

-- An import that is stopped gets its rows put on the shelf, one that goes on gets them back, some hundred a turn.
for _, import in ipairs(redis.call('ZRANGEBYSCORE', K.stopped, '-inf', now, 'LIMIT', 0, 20)) do
  redis.call('ZREM', K.stopped, import)
  redis.call('HSET', K.shelving, import, 0)
end
local moving, unfinished = redis.call('HGETALL', K.shelving), false
local import = moving[1]
if import then
  local n, most = 0, 200
  if redis.call('ZSCORE', K.stopped, import) then
    local from = num(moving[2])
    local ids = redis.call('LRANGE', K.ids .. import, from, from + most - 1)
    local records = #ids > 0 and redis.call('HMGET', K.rec, unpack(ids)) or {}
    for i, id in ipairs(ids) do
      local l, pos = string.match(records[i] or '', '^q\t(%d*)\t(%d+)\t') -- of FIELDS: to read all would take ten times as long
      if l and redis.call('ZREM', K['wait' .. num(l)], id) + redis.call('ZREM', K['solo' .. num(l)], id) > 0 then
        redis.call('ZADD', K.shelf, 0, place_on_shelf({import = import, pos = pos, id = id}))
      end
    end
    n = #ids
    redis.call('HSET', K.shelving, import, from + n)
    if n < most then
      redis.call('ZREM', K.fair0, '-' .. import)
      redis.call('ZREM', K.fair1, '-' .. import)
    end
  else
    most = 100
    local rows = redis.call('ZRANGEBYLEX', K.shelf, '[' .. import .. '\t', '(' .. import .. '\n', 'LIMIT', 0, most)
    for _, row in ipairs(rows) do
      redis.call('ZREM', K.shelf, row)
      local r = load(string.match(row, '[^\t]*$'))
      if r and r.s == 'q' then enqueue(r, now, true) end
    end
    n = #rows
  end
  if n < most then redis.call('HDEL', K.shelving, import) end
  unfinished = n == most or #moving > 2
end

local gates = pairsof(redis.call('HGETALL', K.gate))
local pace = pairsof(redis.call('HGETALL', K.pace))
local paused = pairsof(redis.call('HGETALL', K.paused))

-- quota is an endpoint's, as policy.lua takes it. from: where its limit begins in ARGV.
local function quota(name, from)
  local key, span = K[name], num(ARGV[from + 2])
  -- Workers may be told different windows while a deploy is under way: the longest decides what is forgotten.
  local longest, at = num(pace[name .. '.span']), num(pace[name .. '.span.at'])
  if span > longest or span < longest and at + 2 * longest < now then
    redis.call('HSET', K.pace, name .. '.span', span, name .. '.span.at', str(now))
    longest = span
  elseif span == longest and at + longest / 2 < now then
    redis.call('HSET', K.pace, name .. '.span.at', str(now))
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - longest)
  local older = longest > span and redis.call('ZCOUNT', key, '-inf', now - span) or 0
  local len = redis.call('ZCARD', key) - older
  return {name = name, Calls = num(ARGV[from]), Window = num(ARGV[from + 1]), Span = span,
    Last = num(pace[name .. '.last']), Tat = num(pace[name .. '.tat']),
    Until = num(gates[name .. '.until']), Probe = num(gates[name .. '.probe']), Careful = num(gates[name .. '.careful']),
    Most = num(gates[name .. '.most']), MostUntil = num(gates[name .. '.most.until']),
    Log = {
      Len = function() return len end,
      At = function(i) return num(redis.call('ZRANGE', key, older + i, older + i, 'WITHSCORES')[2]) end,
      After = function(t) return redis.call('ZCOUNT', key, '(' .. t, '+inf') end,
    }}
end
local single, bulk, other = quota('single', 6), quota('bulk', 9), quota('other', 12)

local window = single.Window
if window == 0 then window = 3600000 end
local d = {Began = num(pace['demand.began']), Start = num(pace['demand.start']), Cur = num(pace['demand.cur']), Prev = num(pace['demand.prev']),
  Step = num(pace['demand.step']), Here = num(pace['demand.here']), CurSq = num(pace['demand.cur.sq']),
  PrevSq = num(pace['demand.prev.sq'])}
local before, began = d.Start, d.Began
local fresh, newest = num(pace.arrived) - num(pace['demand.seen']), num(pace['arrived.at'])
Roll(d, now, window, fresh)
local every = num(pace.every)
if fresh > 0 then
  every = (newest - num(pace['told.at'])) / fresh
  redis.call('HSET', K.pace, 'every', real(every), 'told.at', newest)
end
if began == 0 then redis.call('HSET', K.pace, 'demand.began', now) end
if fresh > 0 or d.Start ~= before then
  redis.call('HSET', K.pace, 'demand.start', real(d.Start), 'demand.cur', d.Cur, 'demand.prev', d.Prev,
    'demand.step', d.Step, 'demand.here', d.Here, 'demand.cur.sq', d.CurSq, 'demand.prev.sq', d.PrevSq,
    'demand.seen', num(pace.arrived))
end
size = Fit(bulk, now, size)
local s = NewState(now, size, reserve, ttl, single, bulk, other, d, window)
s.ArrivedAt, s.Every, s.GroupTat, s.ImportAt = newest, every, num(pace['group.tat']), num(pace['import.tat'])

-- What shall wake the worker besides a token: an invite that comes due, a claim that runs out.
local wake = num(redis.call('ZRANGE', K.stopped, 0, 0, 'WITHSCORES')[2])
if wake == 0 or wake >= WHILE_REVOKED then wake = Never end
for _, key in ipairs({K.later, K.state .. 'sending'}) do
  local head = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if head[2] then wake = math.min(wake, num(head[2])) end
end
local function wait(at, why)
  if unfinished then return {'again'} end
  at = math.ceil(math.min(at, wake))
  if at >= Never then at = 0 elseif at <= now then at = now + 1 end
  return {'wait', str(at), why}
end

-- The key is probed by reads, so a worker is told the time itself, even if it has passed.
if num(gates['all.until']) > 0 then return {'wait', gates['all.until'], W.key} end

-- aside tells whether an invite at the head of a lane must not go now, and takes it out of the lane.
local function aside(key, id, r, aboard)
  if not r or r.s ~= 'q' then
    redis.call('ZREM', key, id)
  elseif aboard[r.addr] or taken(r, now) then
    redis.call('ZREM', key, id)
    redis.call('ZADD', K.later, now + BUSY_DELAY, id)
  elseif r.revoke == '1' then
    cancel(r, now)
  elseif num(r.deadline) > 0 and num(r.deadline) < now then
    move(r, 'failed', now, R.too_old)
  elseif stopped(r) then
    redis.call('ZREM', key, id)
    redis.call('ZADD', K.shelf, 0, place_on_shelf(r))
  else
    return false
  end
  return true
end

local function is_paused(lane) return paused.all or paused[num(lane) == 0 and 'interactive' or 'import'] end

-- board adds the first invites of a queue to the batch, until there are want.
local function board(batch, aboard, key, want)
  local from, looked = 0, 0
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

-- alone returns the first of a lane who may go by a single call.
local function alone(lane)
  local first, best
  for _, key in ipairs({K['solo' .. lane], K['wait' .. lane]}) do
    local batch = {}
    board(batch, {}, key, 1)
    local place = batch[1] and num(redis.call('ZSCORE', key, batch[1].id))
    if place and (not first or place < best) then first, best = batch[1], place end
  end
  return first
end

-- since notes when people began to wait; nil: nobody does.
local function since(at)
  if at then
    redis.call('HSET', K.pace, 'since', str(at))
  elseif pace.since then
    redis.call('HDEL', K.pace, 'since')
  end
  pace.since = at
end

local function count(key, lane) return is_paused(lane) and 0 or redis.call('ZCARD', key) end

local action, at, batch, lane
for round = 1, 20 do
  s.People, s.PeopleOne = count(K.wait0, 0), count(K.solo0, 0)
  s.Rows, s.RowsOne = count(K.wait1, 1), count(K.solo1, 1)
  lane = s.People + s.PeopleOne > 0 and 0 or 1
  if lane == 1 then
    since(nil)
  elseif not pace.since then
    since(now)
  end
  s.Since = num(pace.since)
  action, at = Decide(s)
  if action == Idle then
    local held = redis.call('ZCARD', K.wait0) + redis.call('ZCARD', K.wait1) + redis.call('ZCARD', K.solo0)
      + redis.call('ZCARD', K.solo1) + redis.call('ZCARD', K.shelf) > 0
    return wait(at, held and W.paused or W.idle)
  end
  if action == Wait then
    local closed = single.Until + bulk.Until + other.Until > 0
    return wait(at, closed and W.gate or W.quota)
  end
  -- People board first, an import tops up.
  batch = {}
  local expected = 1
  if action == Bulk then
    expected = math.min(size, s.People + s.Rows)
    local aboard = {}
    if s.People > 0 then board(batch, aboard, K.wait0, size) end
    if s.Rows > 0 then board(batch, aboard, K.wait1, size) end
  else
    batch[1] = alone(lane)
  end
  -- If fewer could board than were counted, the others stand aside now: decide again, with what is left.
  if #batch >= expected then break end
end
if #batch == 0 then return {'again'} end

local q = action == Bulk and bulk or single
local deadline = now + ttl
redis.call('ZADD', K[q.name], deadline, turn)
redis.call('ZADD', K.other, deadline, turn)
local gains = Gains(q, now)
Pay(q, now)
redis.call('HSET', K.pace, q.name .. '.last', str(now), q.name .. '.tat', real(q.Tat))
local paced = 0
if action == Single and lane == 1 then
  paced = Spacing(s.Outlook, single.Calls, single.Span, s.Kept)
  redis.call('HSET', K.pace, 'import.tat', real(math.max(s.ImportAt, now) + paced))
end
if action == Bulk and num(batch[1].lane) == 0 then
  redis.call('HSET', K.pace, 'group.tat', real(math.max(s.GroupTat, now) + s.Gap))
end
local probe = '0'
for _, g in ipairs({q, other}) do
  if g.Until > 0 then
    probe = '1'
    redis.call('HSET', K.gate, g.name .. '.probe', str(deadline))
  end
end

local seq = str(math.max(num(memory[1]) + 1, now))
redis.call('HSET', K.meta, 'seq', seq)
local out = {'claim', q.name, str(deadline), probe, seq}
local tell = {'claim', q.name, str(deadline), probe, real(paced), real(gains), seq}
for _, r in ipairs(batch) do
  r.turn, r.sent, r.absent, r.charge = turn, now, '', ''
  out[#out + 1] = r.id
  out[#out + 1] = move(r, 'sending', now, '', deadline)
  tell[#tell + 1] = r.id
end
if lane == 0 then
  if redis.call('ZCARD', K.wait0) + redis.call('ZCARD', K.solo0) == 0 then
    since(nil)
  elseif action == Bulk then
    since(now)
  end
end
redis.call('SET', K.turn .. turn, table.concat(tell, ' '), 'PX', ttl)
return out
