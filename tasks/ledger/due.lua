-- due.lua: take what is due in an index, and leave it there for later in case the taker dies.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, index ('unknown' or 'revoke'), lease (ms), at most
-- returns  id, record, id, record, ...
--
-- Keeps: two workers do not look at the same one within a lease, and none is forgotten.
local now, lease = num(ARGV[1]), num(ARGV[3])
local key = ARGV[2] == 'unknown' and K.state .. 'unknown' or K.revoke
local out = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, num(ARGV[4]))) do
  local v = redis.call('HGET', K.rec, id)
  if v then
    redis.call('ZADD', key, now + lease, id)
    out[#out + 1] = id
    out[#out + 1] = v
  else
    redis.call('ZREM', key, id)
  end
end
return out
