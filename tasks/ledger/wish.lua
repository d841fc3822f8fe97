-- wish.lua: somebody wants everything revoked that an address, or an id of Clerk's, stands for now.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, id of the request, target
-- returns  {time of the wish (ms), its position}
--
-- Keeps: a wish has a place in the order of admission, so that whoever is admitted after it is not meant.
local now, id = clock(ARGV[1]), ARGV[2]
-- go-redis repeats a script whose reply was lost: the wish keeps its place.
local told = redis.call('HGET', K.revreq, id)
if told then
  local had = cjson.decode(told)
  return {str(had.created), str(had.pos)}
end
local pos = redis.call('HINCRBY', K.meta, 'pos', 1)
redis.call('HSET', K.revreq, id, cjson.encode({target = ARGV[3], created = now, pos = pos}))
redis.call('ZADD', K.untasked, now + TASK_GRACE, 'r:' .. id)
return {str(now), str(pos)}
