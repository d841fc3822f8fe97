-- reindex.lua: a record that could not be read is looked at again.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, id
-- returns  1 if it can be read now, or is gone; else 0
--
-- Keeps: a record that this version can read stands in the index of its state, and is set aside no longer.
local now, id = clock(ARGV[1]), ARGV[2]
local r = load(id)
if not r and redis.call('HEXISTS', K.rec, id) == 1 then return 0 end
redis.call('SREM', K.aside, id)
if r then
  local state = NAME[r.s]
  if state == 'queued' then
    enqueue(r, now)
  else
    redis.call('ZADD', K.state .. state, 'NX', num(r.updated), id)
  end
  if r.revoke == '1' and state ~= 'sending' and state ~= 'unknown' then redis.call('ZADD', K.revoke, 'NX', now, id) end
  if not OPEN[state] then watch(r, now, state) end
end
return 1
