-- recover.lua: turns may be given again after an epoch.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 end of the epoch that was looked at (ms), 3-5 single, 6-8 bulk: limit (0: none), window, span (ms),
--          then when invitations were made that the log may have forgotten (ms)
-- returns  1 if turns may be given, 0 if another epoch has begun meanwhile
--
-- Keeps: what was certainly left may be spent, and no more; until a window has passed the endpoints are careful, and
-- begin with an empty soft bucket.
local now = clock(ARGV[1])
local m = redis.call('HMGET', K.meta, 'recover', 'epochs')
local last = string.match(m[2] or '', ':(%d+):%S+$')
if m[1] ~= '1' or num(last) ~= num(ARGV[2]) then return m[1] == '1' and 0 or 1 end
local made = {}
for i = 9, #ARGV do made[#made + 1] = num(ARGV[i]) end
table.sort(made)
for i, name in ipairs({'single', 'bulk'}) do
  local limit, window, span = num(ARGV[3 * i]), num(ARGV[3 * i + 1]), num(ARGV[3 * i + 2])
  if limit > 0 then
    local free = limit - redis.call('ZCOUNT', K[name], '(' .. str(now - span), '+inf')
    for n = #made, 1, -1 do
      if free <= 0 or made[n] <= now - span then break end
      redis.call('ZADD', K[name], made[n], 'forgotten:' .. str(made[n]) .. ':' .. n)
      free = free - 1
    end
    local q = {Calls = limit, Window = window, Span = span, Until = 0, Tat = num(redis.call('HGET', K.pace, name .. '.tat')),
      Careful = num(redis.call('HGET', K.gate, name .. '.careful'))}
    local careful = math.max(q.Careful, now + span)
    BeCareful(q, now)
    redis.call('HSET', K.gate, name .. '.careful', str(careful))
    redis.call('HSET', K.pace, name .. '.tat', real(q.Tat))
  end
end
redis.call('HDEL', K.meta, 'recover')
return 1
