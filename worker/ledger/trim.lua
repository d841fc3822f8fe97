-- trim.lua: forget settled invites whose retention has passed.
--
-- KEYS[1]  the instance's prefix
-- ARGV     changed before (ms), time for a tombstone (ms, 0: none), at most, then the names of states
-- returns  how many records went
--
-- Keeps: what is open, pending, failed or parked is never forgotten; an id goes on deduping as long as its
-- tombstone stands, which holds a hash of the content and no address.
local before, keep, most = num(ARGV[1]), num(ARGV[2]), num(ARGV[3])
local gone = 0
for i = 4, #ARGV do
  local key = K.state .. ARGV[i]
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. str(before), 'LIMIT', 0, most - gone)) do
    local r = load(id)
    redis.call('ZREM', key, id)
    if r then
      if keep > 0 then redis.call('SET', K.tomb .. id, redis.sha1hex(string.sub(r.body, 2)), 'PX', keep) end
      if r.inv ~= '' and redis.call('HGET', K.inv, r.inv) == id then redis.call('HDEL', K.inv, r.inv) end
      redis.call('HDEL', K.rec, id)
      if r.import ~= '' then
        local left = redis.call('HINCRBY', K.imp .. r.import, 'trimmed', 1)
        if left >= num(redis.call('HGET', K.imp .. r.import, 'total')) then
          redis.call('DEL', K.imp .. r.import, K.ids .. r.import)
          redis.call('ZREM', K.imports, r.import)
        end
      end
      gone = gone + 1
    end
  end
  if gone >= most then break end
end
return gone
