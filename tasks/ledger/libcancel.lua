-- libcancel.lua: an invite is no longer wanted. Before it is sent that is a change of state and costs no call; while it
-- is under way, or may be, the wish is kept and acted on when the call is settled; afterwards it stands in the revoke
-- index until Clerk has answered, and before, until the read that comes first can be made. It returns the record after
-- the change.
local function cancel(r, now)
  local state = NAME[r.s]
  if state == 'queued' or state == 'parked' or state == 'failed' then
    if r.doubt ~= '1' and not forgotten(r, now) then return move(r, 'canceled', now, R.revoke_requested) end
    -- A read comes first; when nobody else is under way to the address.
    r.revoke = '1'
    if taken(r, now) then
      redis.call('ZADD', K.revoke, 'NX', now, r.id)
      return save(r)
    end
    return move(r, 'unknown', now, R.checking_earlier_call, now)
  elseif state == 'sending' or state == 'unknown' then
    r.revoke = '1'
    return save(r)
  elseif state == 'pending' then
    r.revoke = '1'
    redis.call('ZADD', K.revoke, 'NX', now, r.id)
    return save(r)
  end
  return line(r) .. r.body
end
