-- settle.lua: write down how a call, or a reading, ended.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 JSON:
--          turn     that ends, if one does: {id, endpoint, token = 'stamp' | 'refund' | '' (leave), bulk = 'taken' |
--                   'declined' | 'unreadable', if it was a bulk call whose answer says so, size}
--          gate     what changes, if anything does (libgate.lua)
--          members  {{id, turn that claimed it, to (state), reason, invitation (Clerk's id), at (ms: queued: not before;
--                   unknown: next read), charge ('1' an attempt | 'hold': charge it if the reading finds nothing |
--                   'release': charge what was held), absent (clean reads by now that have not found it),
--                   solo (only by a single call from now on), call ('lost': it got no answer, and may arrive late |
--                   'ended': it was answered, and may have made its invitation all the same)}, ...}
-- returns  per member its record, or '' where it was not ours to settle
--
-- Keeps: only the turn that claimed an invite may settle it, once, unless a reading has done so; a reading settles only
-- what is unknown; an outcome is never taken back; nobody who may be invited is canceled; a call without a clear
-- answer is remembered; the same again (go-redis
-- repeats a script whose reply was lost) changes nothing.
local now, a = clock(ARGV[1]), cjson.decode(ARGV[2])

-- held tells whether the member is still the turn's, which may come late, after its claim has run out; or the reading's.
local function held(r, m)
  if not r or r.turn ~= m.turn then return false end
  if not a.turn then return r.s == 'u' end
  return r.s == 's' or (r.s == 'u' and (r.reason == R.worker_died or r.reason == 'claim_expired'))
end

local function settle(r, m)
  local to, reason, at = m.to, m.reason or '', num(m.at)
  if m.solo then r.solo = '1' end
  if m.charge == '1' or (m.charge == 'release' and r.charge == '1') then r.attempts = num(r.attempts) + 1 end
  if m.charge == 'hold' then r.charge = 1 end
  if m.absent then
    r.absent = m.absent
  elseif a.turn then
    r.absent = '' -- An answer that leaves it unknown after all begins the readings anew.
  end
  if m.invitation then
    r.inv = m.invitation
    redis.call('HSET', K.inv, r.inv, r.id)
  end
  if m.call == 'lost' then note_call(r, now + ARRIVAL) elseif m.call == 'ended' then note_call(r, now) end
  if r.revoke == '1' and (to == 'queued' or to == 'failed' or to == 'parked') then
    -- A read comes first, unless this was one.
    if r.doubt == '1' and r.s == 's' then
      to, reason, at = 'unknown', R.checking_earlier_call, now
    else
      to, reason = 'canceled', R.revoke_requested
    end
  end
  if to ~= 'unknown' and to ~= 'sending' then
    r.absent, r.charge = '', ''
    r.ready = to == 'queued' and at > now and at or ''
  end
  if to == 'queued' then r.turn = '' end
  return move(r, to, now, reason, to == 'unknown' and at or nil)
end

if a.turn then
  if a.turn.token == 'stamp' then stamp_token(now, a.turn) end
  if a.turn.token == 'refund' then refund_token(a.turn) end
  if a.turn.bulk then judge_bulk(now, a.turn) end
end
if a.gate then change_gate(now, a.gate) end
local out = {}
for i, m in ipairs(a.members) do
  local r = load(m.id)
  out[i] = held(r, m) and settle(r, m) or ''
end
return out
