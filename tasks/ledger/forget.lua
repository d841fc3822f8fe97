-- forget.lua: forget one invite, because the person it is for is to be forgotten.
--
-- KEYS[1]  the instance's prefix
-- ARGV     salt of the address keys, now, id, time for a tombstone (ms)
-- returns  {state that it was in, Clerk's id, 0}; if a call of it may still make an invitation, it is taken back and not
--          forgotten, and the third says until when that may be (ms), as far as it is known; {'', '', 0}: there is none;
--          or an error that begins with SALT
--
-- Keeps: the same request under the same id is still not sent again; what stands for it is a hash that is keyed with the
-- salt and the id, so that no two of them can be compared.
local salt, now, id, keep = ARGV[1], clock(ARGV[2]), ARGV[3], num(ARGV[4])
if redis.call('HGET', K.meta, 'salt') ~= salt then return redis.error_reply('SALT is another one') end
local r = load(id)
if not r then
  redis.call('HDEL', K.rec, id) -- It cannot be read.
  redis.call('SREM', K.aside, id)
  return {'', '', 0}
end
local was, soon = NAME[r.s], now + 60000
if was == 'queued' or was == 'parked' or was == 'failed' or was == 'sending' or was == 'unknown' then
  cancel(r, now)
  if r.s ~= 'c' then return {was, r.inv, math.max(soon, watched_until(r, now))} end
end
local last = watched_until(r, now)
if last > now and redis.call('ZSCORE', K.watch, id) then return {was, r.inv, last} end
erase(r, keep, '#' .. redis.sha1hex(string.sub(salt, 1, 32) .. id .. content_hash(string.sub(r.body, 2))))
return {was, r.inv, 0}
