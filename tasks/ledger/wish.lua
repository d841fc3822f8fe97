-- wish.lua: somebody wants everything revoked that an address, or an id of Clerk's, stands for now.
--
-- KEYS[1]  the instance's prefix
-- ARGV     salt of the address keys, now, id of the request, target; or, of a wish about many invites: '', the list of their ids, the states that
--          they are in (comma-separated), '1' if they are to be invited anew, the import whose list it is or ''
-- returns  {time of the wish (ms), its position}; or an error that begins with SALT
--
-- Keeps: a wish has a place in the order of admission, so that whoever is admitted after it is not meant: of a list it
-- means what stands there now. An import whose queued rows it means stands still until they are canceled.
local now, id = clock(ARGV[2]), ARGV[3]
local stands = redis.call('HGET', K.meta, 'salt')
if stands and stands ~= ARGV[1] then return redis.error_reply('SALT is another one') end
-- go-redis repeats a script whose reply was lost: the wish keeps its place.
local told = redis.call('HGET', K.revreq, id)
if told then
  local had = cjson.decode(told)
  return {str(had.created), str(had.pos)}
end
local pos = redis.call('HINCRBY', K.meta, 'pos', 1)
local wish = {target = ARGV[4], created = now, pos = pos}
if ARGV[5] then
  wish.list, wish.states, wish.renew, wish.import = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
  wish.from, wish.rows = 0, redis.call('LLEN', K.ids .. wish.list)
  wish.waiting = wish.rows
  if wish.import ~= '' and wish.renew == '' and string.find(',' .. wish.states .. ',', ',queued,', 1, true) then
    redis.call('ZADD', K.stopped, 'NX', WHILE_REVOKED, wish.import)
  end
end
redis.call('HSET', K.revreq, id, cjson.encode(wish))
redis.call('ZADD', K.untasked, now + TASK_GRACE, 'r:' .. id)
return {str(now), str(pos)}
