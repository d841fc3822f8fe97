-- libgate.lua: open or close an endpoint for all workers.
--
-- A change is a table: endpoint (single, bulk, other or all); open = true, or closed_until (ms) and why; and after a
-- refusal for quota that the log did not predict, surprise: {single = limit, bulk = limit} of those endpoints that
-- have one (policy.Limit).
--
-- Keeps: a gate that is closed never opens earlier for being closed again; after a surprise the log is full, since
-- Clerk has counted more than we have, and both endpoints are careful.
local function closed_until(name)
  return num(redis.call('HGET', K.gate, name .. '.until'))
end

local function open_gate(now, name)
  redis.call('HDEL', K.gate, name .. '.until', name .. '.probe', name .. '.why')
  -- What went through has gone through the gate over everything, too.
  if name ~= 'all' and name ~= 'other' and closed_until('other') <= now then
    redis.call('HDEL', K.gate, 'other.until', 'other.probe', 'other.why')
  end
end

local function surprised(now, gate, limits)
  for name, q in pairs(limits) do
    q.Until, q.Tat = closed_until(name), num(redis.call('HGET', K.pace, name .. '.tat'))
    BeCareful(q, now)
    redis.call('HSET', K.gate, name .. '.careful', str(q.Careful))
    redis.call('HSET', K.pace, name .. '.tat', real(q.Tat))
    if name == gate then
      for n = 1, q.Calls - redis.call('ZCOUNT', K[name], '(' .. str(now - q.Span), '+inf') do
        redis.call('ZADD', K[name], now, 'unseen:' .. str(now) .. ':' .. n)
      end
    end
  end
end

local function change_gate(now, change)
  local name = change.endpoint
  if change.open then return open_gate(now, name) end
  local till = math.max(change.closed_until, closed_until(name))
  redis.call('HSET', K.gate, name .. '.until', str(till), name .. '.why', change.why)
  redis.call('HDEL', K.gate, name .. '.probe')
  by_the_hour(now, 'closed:' .. name .. ':' .. change.why, 1)
  if change.surprise then surprised(now, name, change.surprise) end
end

-- judge_bulk makes bulk calls smaller for a while when Clerk refuses them whoever is aboard: by half, and in the end
-- none is made. gate: bulk.most and bulk.most.until.
local function judge_bulk(now, turn)
  local refusals = 0
  if turn.bulk == 'declined' then refusals = redis.call('HINCRBY', K.gate, 'bulk.refusals', 1) end
  if turn.bulk == 'unreadable' or refusals >= BulkRefusals then
    redis.call('HSET', K.gate, 'bulk.most', math.floor(turn.size / 2), 'bulk.most.until', str(now + SmallerFor))
  end
  if turn.bulk ~= 'declined' or refusals >= BulkRefusals then redis.call('HDEL', K.gate, 'bulk.refusals') end
end
