-- spend.lua: take a token for one read or revoke, which count against everything together only.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, call id, limit (0: none), span (ms), kept for others (tokens)
-- returns  0 when the call may be made, else when to ask again (ms)
--
-- Keeps: reads never take the tokens that creates need.
local now, limit, span = clock(ARGV[1]), num(ARGV[3]), num(ARGV[4])
local gates = redis.call('HMGET', K.gate, 'all.until', 'other.until')
if num(gates[1]) > now then return num(gates[1]) end
if num(gates[2]) > now then return num(gates[2]) end
if limit == 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', K.other, '-inf', now - span)
local spent, most = redis.call('ZCARD', K.other), limit - num(ARGV[5])
if spent < most then
  redis.call('ZADD', K.other, now, ARGV[2])
  return 0
end
local at = redis.call('ZRANGE', K.other, spent - most, spent - most, 'WITHSCORES')
return num(at[2]) + span
