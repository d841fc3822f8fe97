-- sample.lua: what stands in the ledger now, and what a worker has seen since it told it last, for the charts.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 version of the worker's program, 3 and 4 the windows of single and bulk (ms; 0: no limit), then pairs:
--          a bucket of waits (Waits in sample.go), and how many clicks it has had since
-- returns  1
--
-- Keeps: of what rises and falls the hour's highest, so that many workers may tell it as often as they like.
local now = clock(ARGV[1])
local function highest(what, n)
  local day, field = hour_of(now, what)
  if n > num(redis.call('HGET', day, field)) then redis.call('HSET', day, field, n) end
end
by_the_hour(now, 'version:' .. ARGV[2], 1)
highest('waiting', redis.call('ZCARD', K.wait0) + redis.call('ZCARD', K.wait1) + redis.call('ZCARD', K.solo0) + redis.call('ZCARD', K.solo1))
for i, log in ipairs({K.single, K.bulk}) do
  local span = num(ARGV[2 + i])
  if span > 0 then highest(i == 1 and 'single' or 'bulk', redis.call('ZCOUNT', log, '(' .. str(now - span), '+inf')) end
end
for i = 5, #ARGV, 2 do by_the_hour(now, 'wait:' .. ARGV[i], ARGV[i + 1]) end
return 1
