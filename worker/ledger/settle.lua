-- settle.lua: write down how a call, or the reading after it, ended.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 endpoint or '', 3 turn id, 4 token: stamp | refund | '' (leave),
--          5 gate: open | close | '' (leave), 6 closed until (ms), 7 careful until (ms or 0), 8 why,
--          9 gate's endpoint (single, bulk, other, all),
--          then per invite 8: id, its turn, to (state), reason, Clerk's id, at (ms: queued: not before; unknown:
--          next read), charge (0 none | 1 an attempt | hold: charge it if the reading finds nothing | release:
--          charge what was held | absent: count one clean reading), solo (1: only by a single call from now on)
-- returns  per invite its record, or '' where the claim was not ours any more
--
-- Keeps: only the turn that claimed an invite may settle it, and an outcome is never taken back; the token is
-- counted from the answer on, or given back only when nothing was sent.
local now, ep, turn = num(ARGV[1]), ARGV[2], ARGV[3]

if ARGV[4] == 'stamp' then
  redis.call('ZADD', K[ep], 'XX', now, turn)
elseif ARGV[4] == 'refund' then
  redis.call('ZREM', K[ep], turn)
  redis.call('ZREM', K.other, turn)
end

local gate = ARGV[9]
if ARGV[5] == 'open' then
  redis.call('HDEL', K.gate, gate .. '.until', gate .. '.probe', gate .. '.why')
elseif ARGV[5] == 'close' then
  local until_ = math.max(num(ARGV[6]), num(redis.call('HGET', K.gate, gate .. '.until')))
  redis.call('HSET', K.gate, gate .. '.until', str(until_), gate .. '.why', ARGV[8])
  redis.call('HDEL', K.gate, gate .. '.probe')
  if num(ARGV[7]) > 0 then redis.call('HSET', K.gate, gate .. '.careful', ARGV[7]) end
end

local out = {}
for i = 10, #ARGV, 8 do
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
    if to == 'queued' and r.revoke == '1' then to, reason = 'canceled', 'revoked' end
    if to ~= 'unknown' and to ~= 'sending' then
      r.absent, r.charge = '', ''
      r.ready = to == 'queued' and at > now and at or ''
    end
    if to == 'queued' then r.turn = '' end
    out[#out + 1] = move(r, to, now, reason, to == 'unknown' and at or nil)
  end
end
return out
