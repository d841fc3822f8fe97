-- salt.lua: replace the salt of the address keys, if nobody else has.
--
-- KEYS[1]  the instance's prefix
-- ARGV     the salt that stands there, the new one, '1': only if nothing has been admitted with the old one; then further
--          fields of meta and their values
-- returns  1 if it was replaced, else 0
if redis.call('HGET', K.meta, 'salt') ~= ARGV[1] then return 0 end
if ARGV[3] == '1' and (redis.call('HEXISTS', K.meta, 'pos') == 1 or redis.call('EXISTS', K.forgotten) == 1) then return 0 end
redis.call('HSET', K.meta, 'salt', ARGV[2], unpack(ARGV, 4))
return 1
