-- cancel.lua: an invite is no longer wanted.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, id
-- returns  '' if there is no such invite, else its record after the change
--
-- Keeps: before it is sent a revoke is a change of state and costs no call; while it is under way, or may be, the
-- wish is kept and acted on when the call is settled; afterwards it stands in the revoke index until Clerk has
-- answered.
local now, id = clock(ARGV[1]), ARGV[2]
local r = load(id)
if not r then return '' end
local state = NAME[r.s]
if state == 'queued' or state == 'parked' or state == 'failed' then
  if r.doubt ~= '1' and not forgotten(r, now) then return move(r, 'canceled', now, R.revoke_requested) end
  -- A read comes first; when nobody else is under way to the address. Until then the caller asks again.
  r.revoke = '1'
  if taken(r, now) then return line(r) .. r.body end
  return move(r, 'unknown', now, R.checking_earlier_call, now)
elseif state == 'sending' or state == 'unknown' then
  r.revoke = '1'
  return save(r)
elseif state == 'pending' then
  r.revoke = '1'
  redis.call('ZADD', K.revoke, 'NX', now, id)
  return save(r)
end
return line(r) .. r.body
