-- unwatch.lua: nothing can arrive any more for a settled invite.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, id
-- returns  1 if it is watched no longer, 0 if it is open again or a call may still arrive
--
-- Keeps: doubt lasts as long as a call may arrive, and no longer.
local now, id = clock(ARGV[1]), ARGV[2]
local r = load(id)
if r and (OPEN[NAME[r.s]] or watched_until(r, now) > now) then return 0 end
redis.call('ZREM', K.watch, id)
redis.call('HDEL', K.calls, id)
if r and r.doubt == '1' then
  r.doubt = ''
  save(r)
end
return 1
