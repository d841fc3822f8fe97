-- requeue.lua: a person, or a rule, sends settled invites to the queue again.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, reason, comma-separated names of the states that may be left, ids...
-- returns  per id 1 if it was put back, else 0
--
-- Keeps: attempts and crashes begin again at zero; an invite that may be with Clerk is never put back;
-- who is missing there is looked for once more before the next call, and should that invitation turn up after all, it is
-- nobody's; a deadline that has passed, and a wish to revoke it, do not count any more.
local now, reason, allowed = clock(ARGV[1]), ARGV[2], ',' .. ARGV[3] .. ','
local out = {}
for i = 4, #ARGV do
  local r = load(ARGV[i])
  if r and string.find(allowed, ',' .. NAME[r.s] .. ',', 1, true) then
    if r.inv ~= '' then
      redis.call('HDEL', K.inv, r.inv)
      if r.s == 'p' then r.doubt = '1' end
    end
    if r.revoke == '1' then redis.call('ZREM', K.revoke, r.id) end
    r.attempts, r.crashes, r.turn, r.ready, r.inv, r.revoke = '', '', '', '', '', ''
    if num(r.deadline) > 0 and num(r.deadline) <= now then r.deadline = '' end -- whoever asks again wants it late
    move(r, 'queued', now, reason)
    redis.call('ZADD', K.untasked, now, 'c:' .. r.id)
    out[#out + 1] = 1
  else
    out[#out + 1] = 0
  end
end
return out
