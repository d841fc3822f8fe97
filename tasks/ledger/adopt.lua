-- adopt.lua: write records for invitations that somebody else has created at Clerk.
--
-- KEYS[1]  the instance's prefix
-- ARGV     salt of the address keys, now, then per invitation 7: our id, address key, address bucket, body, Clerk's id, state, created (ms)
-- returns  per invitation 1 if it was adopted, else 0 (it is known already); or an error that begins with SALT
--
-- Keeps: an invitation of Clerk's belongs to one invite; the salt is as in admit.lua.
local now = clock(ARGV[2])
local stands = redis.call('HGET', K.meta, 'salt')
if not stands then
  redis.call('HSET', K.meta, 'salt', ARGV[1])
elseif stands ~= ARGV[1] then
  return redis.error_reply('SALT is another one')
end
local out = {}
for i = 3, #ARGV, 7 do
  local id, inv = ARGV[i], ARGV[i + 4]
  if redis.call('HEXISTS', K.rec, id) == 1 or redis.call('HEXISTS', K.inv, inv) == 1 then
    out[#out + 1] = 0
  else
    local r = {id = id, more = '', s = 'q', lane = '0', created = string.format('%x', tonumber(ARGV[i + 6])), addr = ARGV[i + 1], import = '', inv = inv,
      revoke = '', pos = redis.call('HINCRBY', K.meta, 'pos', 1), body = '\n' .. ARGV[i + 3]}
    redis.call('HSET', K.inv, inv, id)
    redis.call('ZADD', K.adopted, ARGV[i + 6], id)
    local bucket = K.addr .. ARGV[i + 2]
    local ids = redis.call('HGET', bucket, r.addr)
    redis.call('HSET', bucket, r.addr, ids and (ids .. ' ' .. id) or id)
    move(r, ARGV[i + 5], now, R.adopted)
    out[#out + 1] = 1
  end
end
return out
