-- note.lua: set fields of a hash that stays small, also while Redis is full.
--
-- KEYS[1]  the instance's prefix
-- ARGV     the key as keys.go calls it, then field, value, field, value, ...
-- returns  how many fields are new
return redis.call('HSET', K[ARGV[1]], unpack(ARGV, 2))
