-- due.lua: take what is due in an index, and leave it there for later in case the taker dies.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, index ('unknown', 'revoke' or 'watch'), lease (ms), at most
-- returns  id, record, id, record, ...
--
-- Keeps: two workers do not look at the same one within a lease, and none is forgotten. A wish that had to wait for
-- another invite of the same address is carried on here; Clerk is asked about who is pending only.
local now, lease = clock(ARGV[1]), num(ARGV[3])
local key = ARGV[2] == 'unknown' and K.state .. 'unknown' or ARGV[2] == 'revoke' and K.revoke or K.watch
local function belongs(r)
  if ARGV[2] == 'unknown' then return r.s == 'u' end
  if ARGV[2] == 'revoke' then return r.revoke == '1' and r.s ~= 's' and r.s ~= 'u' end
  return not OPEN[NAME[r.s]]
end
local out = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, num(ARGV[4]))) do
  local r = load(id)
  if not r or not belongs(r) then
    redis.call('ZREM', key, id)
  else
    redis.call('ZADD', key, now + lease, id)
    if ARGV[2] == 'revoke' and r.s ~= 'p' then
      cancel(r, now)
    else
      out[#out + 1] = id
      out[#out + 1] = line(r) .. r.body
    end
  end
end
return out
