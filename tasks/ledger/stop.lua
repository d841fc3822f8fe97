-- stop.lua: pause an import, hold one that has not begun, or let it go on.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, import, 'pause' | 'hold' | 'resume', for how long (ms; of hold)
-- returns  1, or 0 if nothing was done: there is no such import; it has begun (hold); it is not stopped (resume)
--
-- Keeps: it takes the same time whatever the size of the import. From now on no row of it is claimed; the turns that
-- come put its rows on the shelf, or back into their lane.
local now, import, what = clock(ARGV[1]), ARGV[2], ARGV[3]
local known = redis.call('ZSCORE', K.imports, import)
if what == 'hold' then
  if known then return 0 end
  redis.call('ZADD', K.stopped, now + num(ARGV[4]), import)
  return 1
end
if what == 'resume' then
  if redis.call('ZREM', K.stopped, import) == 0 then return 0 end
  redis.call('HDEL', K.imp .. import, 'paused')
  redis.call('HSET', K.meta, 'resumed', str(now))
elseif not known then
  return 0
else
  redis.call('ZADD', K.stopped, FOREVER, import)
  redis.call('HSETNX', K.imp .. import, 'paused', str(now))
end
redis.call('HSET', K.shelving, import, 0)
return 1
