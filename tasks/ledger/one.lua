-- one.lua: admit.lua for a single invite that belongs to no import.
--
-- KEYS[1]  the instance's prefix
-- ARGV     as admit.lua for one, then made (1: the id was made a moment ago, so that no trimmed invite had it)
-- returns  and keeps what admit.lua does
--
-- Somebody waits for this script: it makes no tables, and gives Redis no numbers, whose way into a string costs as
-- much as a command.
local salt, now, _, owner, id, lane, ready, deadline, addr, bucket, hash, body, made = unpack(ARGV)
local t
if now == '0' then
  t = redis.call('TIME')
  t = t[1] * 1000 + math.floor(t[2] / 1000)
  now = string.format('%d', t)
else
  t = tonumber(now)
end
local TASK_GRACE = 60000 -- as in lib.lua

local stands = redis.call('HGET', K.meta, 'salt')
if stands and stands ~= salt then return redis.error_reply('SALT is another one') end
local old = made ~= '1' and redis.call('GET', K.tomb .. id)
if old then
  if string.sub(old, 1, 1) == '#' then hash = '#' .. redis.sha1hex(string.sub(salt, 1, 32) .. id .. hash) end -- forget.lua
  return {-1, 0, old == hash and 0 or -1}
end

-- Its place: see enqueue in lib.lua.
local later = ready ~= '0' and tonumber(ready) > t
local wait, fair = K.wait0, K.fair0
if lane == '1' then wait, fair = K.wait1, K.fair1 end
local queue = '-' .. owner
local head = not later and redis.call('ZRANGE', wait, 0, 0, 'WITHSCORES')[2]
local mine = head and redis.call('ZSCORE', fair, queue)

if not stands then redis.call('HSET', K.meta, 'salt', salt) end
local pos = redis.call('HINCRBY', K.meta, 'pos', '1')
local tail = '\n'
if deadline ~= '0' then
  tail = '\t\t' .. (ready ~= '0' and ready or '') .. '\t' .. deadline .. '\n'
elseif ready ~= '0' then
  tail = '\t\t' .. ready .. '\n'
end
-- FIELDS of lib.lua; a test compares.
if redis.call('HSETNX', K.rec, id, string.format('q\t%s\t%d\t%x\t', lane, pos, t) .. addr .. tail .. body) == 0 then
  old = redis.call('HGET', K.rec, id)
  old = string.sub(old, (string.find(old, '\n', 1, true) or 0) + 1)
  old = string.match(old, '^%$(%x+) ') or redis.sha1hex(old) -- content_hash of lib.lua
  return {-1, 0, old == hash and 0 or -1}
end
if redis.call('HSETNX', K.addr .. bucket, addr, id) == 0 then
  -- The newest 32 stand together; what is older moves to a list of its own.
  local all = redis.call('HGET', K.addr .. bucket, addr) .. ' ' .. id
  local _, spaces = string.gsub(all, ' ', ' ')
  if spaces >= 32 then
    local first = string.find(all, ' ', 1, true)
    redis.call('RPUSH', K.more .. addr, string.sub(all, 1, first - 1))
    all = string.sub(all, first + 1)
  end
  redis.call('HSET', K.addr .. bucket, addr, all)
end
if later then
  redis.call('ZADD', K.later, ready, id)
else
  local place = pos
  if head then
    place = math.max(tonumber(head), tonumber(mine or 0))
    if pos % 64 == 0 then redis.call('ZREMRANGEBYSCORE', fair, '-inf', head) end
  else
    redis.call('DEL', fair)
  end
  redis.call('ZADD', wait, string.format('%d', place), id)
  redis.call('ZADD', fair, string.format('%d', place + 1), queue)
  if lane == '0' then
    redis.call('HINCRBY', K.pace, 'arrived', '1')
    redis.call('HSET', K.pace, 'arrived.at', now)
  end
end
redis.call('ZADD', K.born .. string.format('%d', math.floor(pos / 128)), string.format('%d', pos), id) -- as in admit.lua
if owner ~= '' then
  redis.call('HSET', K.owner, id, owner)
  redis.call('ZADD', K.mine .. owner, string.format('%d', t), id)
end
redis.call('ZADD', K.untasked, string.format('%d', t + TASK_GRACE), 'c:' .. id)
return {-1, 1, 1}
