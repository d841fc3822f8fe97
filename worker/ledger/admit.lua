-- admit.lua: write the records of new invites.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, when to look for the task (ms), import id or '',
--          then per invite: id, lane (0 interactive, 1 import), ready (ms or 0), deadline (ms or 0),
--          address key, address bucket, body
-- returns  the position of the first new one in the import (-1: none),
--          how many were new, then per invite: 1 new | 0 known, same content | -1 known, other content
--
-- Keeps: an id belongs to one content for ever; a record is written together with every index that
-- leads to it, and with a hint that a task is still missing.
local now, look, import = num(ARGV[1]), ARGV[2], ARGV[3]
local first, fresh, arrived, out = -1, 0, 0, {}
local added = {}

for i = 4, #ARGV, 7 do
  local id, body = ARGV[i], ARGV[i + 6]
  local known = redis.call('HGET', K.rec, id)
  local tomb = not known and redis.call('GET', K.tomb .. id)
  if tomb then
    out[#out + 1] = tomb == redis.sha1hex(body) and 0 or -1
  elseif known then
    local nl = string.find(known, '\n', 1, true)
    out[#out + 1] = string.sub(known, nl + 1) == body and 0 or -1
  else
    local r = {id = id, s = 'q', lane = ARGV[i + 1], ready = num(ARGV[i + 2]), deadline = num(ARGV[i + 3]),
      addr = ARGV[i + 4], created = now, pos = redis.call('HINCRBY', K.meta, 'pos', 1),
      import = import, body = '\n' .. body}
    save(r)
    enqueue(r, now)
    local bucket = K.addr .. ARGV[i + 5]
    local ids = redis.call('HGET', bucket, r.addr)
    if ids then
      -- The newest 32 invites for an address can be found by it.
      ids = ids .. ' ' .. id
      local _, n = string.gsub(ids, ' ', ' ')
      if n >= 32 then ids = string.sub(ids, string.find(ids, ' ', 1, true) + 1) end
    else
      ids = id
    end
    redis.call('HSET', bucket, r.addr, ids)
    if ARGV[i + 1] == '0' and r.ready <= now then arrived = arrived + 1 end
    if import == '' then
      redis.call('ZADD', K.untasked, look, 'c:' .. id)
    end
    added[#added + 1] = id
    fresh = fresh + 1
    out[#out + 1] = 1
  end
end

if arrived > 0 then
  redis.call('HINCRBY', K.pace, 'arrived', arrived)
  redis.call('HSET', K.pace, 'arrived.at', now)
end
if import ~= '' and fresh > 0 then
  if redis.call('ZADD', K.imports, 'NX', now, import) == 1 then
    redis.call('HSET', K.imp .. import, 'created', str(now))
  end
  first = redis.call('RPUSH', K.ids .. import, unpack(added)) - fresh
  redis.call('HINCRBY', K.imp .. import, 'total', fresh)
  redis.call('HINCRBY', K.imp .. import, 'n:queued', fresh)
  redis.call('ZADD', K.untasked, look, 'b:' .. first .. ':' .. fresh .. ':' .. import)
end

return {first, fresh, unpack(out)}
