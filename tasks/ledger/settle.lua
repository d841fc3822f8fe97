-- settle.lua: write down how a call, or the reading after it, ended.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 endpoint or '', 3 turn id, 4 token: stamp | refund | '' (leave),
--          5 gate: open | close | '' (leave), 6 closed until (ms), 7 surprise (1: the log did not predict the
--          refusal), 8 why, 9 gate's endpoint (single, bulk, other, all),
--          10-12 single, 13-15 bulk: limit (0: none), window, span (ms),
--          then per invite 8: id, its turn, to (state), reason, Clerk's id, at (ms: queued: not before; unknown:
--          next read), charge (0 none | 1 an attempt | hold: charge it if the reading finds nothing | release:
--          charge what was held | absent: count one clean reading), solo (1: only by a single call from now on)
-- returns  per invite its record, or '' where the claim was not ours any more
--
-- Keeps: only the turn that claimed an invite may settle it, and an outcome is never taken back; the token is
-- counted from the answer on, or given back only when nothing was sent; after a surprise the log is full, since
-- Clerk has counted more than we have, and both endpoints are careful; nobody who may be invited is canceled.
local now, ep, turn = num(ARGV[1]), ARGV[2], ARGV[3]

-- The ends of a call that made nothing for certain. After any other, even a refusal (that a refused bulk makes
-- nothing is only inferred) or two readings in vain (the call may arrive late), the invite stays in doubt.
local NOTHING_MADE = {not_sent = true, quota = true, overload = true, unauthorized = true, edge_blocked = true,
  redirected = true}

if ARGV[4] == 'stamp' then
  redis.call('ZADD', K[ep], 'XX', now, turn)
  redis.call('ZADD', K.other, 'XX', now, turn)
elseif ARGV[4] == 'refund' then
  if redis.call('ZREM', K[ep], turn) == 1 then
    -- The soft buckets get back what turn.lua took from them.
    local told = {}
    for f in string.gmatch(redis.call('GET', K.turn .. turn) or '', '[^ ]+') do told[#told + 1] = f end
    for field, n in pairs({[ep .. '.tat'] = num(told[6]), ['import.tat'] = num(told[5])}) do
      if n > 0 then redis.call('HSET', K.pace, field, real(num(redis.call('HGET', K.pace, field)) - n)) end
    end
    if told[4] == '1' then redis.call('HDEL', K.gate, ep .. '.probe', 'other.probe') end
  end
  redis.call('ZREM', K.other, turn)
end

local gate = ARGV[9]
local function closed_until(name)
  return num(redis.call('HGET', K.gate, name .. '.until'))
end
if ARGV[5] == 'open' then
  redis.call('HDEL', K.gate, gate .. '.until', gate .. '.probe', gate .. '.why')
  -- What went through has gone through the gate over everything, too.
  if gate ~= 'all' and gate ~= 'other' and closed_until('other') <= now then
    redis.call('HDEL', K.gate, 'other.until', 'other.probe', 'other.why')
  end
elseif ARGV[5] == 'close' then
  redis.call('HSET', K.gate, gate .. '.until', str(math.max(num(ARGV[6]), closed_until(gate))), gate .. '.why', ARGV[8])
  redis.call('HDEL', K.gate, gate .. '.probe')
end

if ARGV[5] == 'close' and ARGV[7] == '1' then
  for i, name in ipairs({'single', 'bulk'}) do
    local q = {Calls = num(ARGV[7 + 3 * i]), Window = num(ARGV[8 + 3 * i]), Span = num(ARGV[9 + 3 * i]), Until = closed_until(name),
      Tat = num(redis.call('HGET', K.pace, name .. '.tat'))}
    if q.Calls > 0 then
      BeCareful(q, now)
      redis.call('HSET', K.gate, name .. '.careful', str(q.Careful))
      redis.call('HSET', K.pace, name .. '.tat', real(q.Tat))
      if name == gate then
        redis.call('ZREMRANGEBYSCORE', K[name], '-inf', now - q.Span)
        for n = 1, q.Calls - redis.call('ZCARD', K[name]) do
          redis.call('ZADD', K[name], now, 'unseen:' .. str(now) .. ':' .. n)
        end
      end
    end
  end
end

local out = {}
for i = 16, #ARGV, 8 do
  local id, claim, to, reason, inv, at, charge = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
    num(ARGV[i + 5]), ARGV[i + 6]
  local r = load(id)
  if not r or r.turn ~= claim or not (r.s == 's' or r.s == 'u') then
    out[#out + 1] = ''
  else
    if ARGV[i + 7] == '1' then r.solo = '1' end
    if charge == '1' or (charge == 'release' and r.charge == '1') then r.attempts = num(r.attempts) + 1 end
    if charge == 'hold' then r.charge = 1 end
    if charge == 'absent' then r.absent = num(r.absent) + 1 end
    if inv ~= '' then
      r.inv = inv
      redis.call('HSET', K.inv, inv, id)
    end
    if to == 'queued' or to == 'failed' or to == 'parked' then
      if r.s == 'u' or not NOTHING_MADE[reason] then r.doubt = '1' end
      if r.revoke == '1' then
        -- A read comes first, unless this was one.
        if r.doubt == '1' and r.s == 's' then
          to, reason, at = 'unknown', 'unconfirmed', now
        else
          to, reason = 'canceled', 'revoked'
        end
      end
    end
    if to ~= 'unknown' and to ~= 'sending' then
      r.absent, r.charge = '', ''
      r.ready = to == 'queued' and at > now and at or ''
    end
    if to == 'queued' then r.turn = '' end
    out[#out + 1] = move(r, to, now, reason, to == 'unknown' and at or nil)
  end
end
return out
