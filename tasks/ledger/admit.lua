-- admit.lua: write the records of new invites.
--
-- KEYS[1]  the instance's prefix
-- ARGV     salt of the address keys, now (0: Redis' own time), import id or '', owner or '',
--          then per invite 8: id, lane (0 interactive, 1 import), ready (ms or 0), deadline (ms or 0),
--          address key, address bucket, hash of the content, body; at last on which lines of a list they stand (lines.go)
-- returns  the position of the first new one in the import (-1: none),
--          how many were new, then per invite: 1 new | 0 known, same content | -1 known, other content;
--          or an error that begins with SALT: the address keys were made with another salt than the ledger's
--
-- Keeps: an id belongs to one content for ever; a record is written together with every index that
-- leads to it, and with a hint that a task is still missing; all address keys of a ledger are made with the salt
-- that stands in it (salt.go).
--
-- Producers wait for this script, so it does without lib.lua (which costs more than a record) and writes each
-- index once for all invites.
local salt, now, import, owner = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
if now <= 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local TASK_GRACE = 60000 -- as in lib.lua
local stands = redis.call('HGET', K.meta, 'salt')
if not stands then
  redis.call('HSET', K.meta, 'salt', salt)
elseif stands ~= salt then
  return redis.error_reply('SALT is another one')
end

local out, fresh, new = {-1, 0}, 0, {}

local ids, tombs = {}, {}
for n = 1, (#ARGV - 5) / 8 do
  local id = ARGV[8 * n - 3]
  ids[n] = id
  tombs[n] = K.tomb .. id
end
local known, hashes = redis.call('HMGET', K.rec, unpack(ids)), {}
tombs = redis.call('MGET', unpack(tombs))
for n, id in ipairs(ids) do
  local hash = ARGV[8 * n + 3]
  local have = hashes[id] or tombs[n] -- The same id may stand in one call twice.
  if known[n] then
    local body = string.sub(known[n], (string.find(known[n], '\n', 1, true) or 0) + 1)
    have = string.match(body, '^%$(%x+) ') or redis.sha1hex(body) -- content_hash of lib.lua
  end
  if have then
    if string.sub(have, 1, 1) == '#' then hash = '#' .. redis.sha1hex(string.sub(salt, 1, 32) .. id .. hash) end -- forget.lua
    out[n + 2] = have == hash and 0 or -1
  else
    hashes[id] = hash
    fresh = fresh + 1
    new[fresh] = n
    out[n + 2] = 1
  end
end
if fresh == 0 then return out end
out[2] = fresh

local pos = redis.call('HINCRBY', K.meta, 'pos', fresh) - fresh
local created, stamp, look = string.format('%x', now), string.format('%.0f', now), string.format('%.0f', now + TASK_GRACE)
local records, hints, added, waiting, order, arrived = {}, {}, {}, {}, {}, 0

-- Where the next invite of this queue stands in a lane: see enqueue in lib.lua.
local halted = import ~= '' and redis.call('ZSCORE', K.stopped, import)
local queue, places = '-' .. (import ~= '' and import or owner), {}
local function begin(wait, fair)
  local head = tonumber(redis.call('ZRANGE', wait, 0, 0, 'WITHSCORES')[2])
  if not head then
    redis.call('DEL', fair)
    return pos + 1
  end
  redis.call('ZREMRANGEBYSCORE', fair, '-inf', head)
  return math.max(head, tonumber(redis.call('ZSCORE', fair, queue) or 0))
end

for i, n in ipairs(new) do
  local a = 8 * n - 3
  local id, lane, ready, deadline, addr = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
  if ready == '0' then ready = '' end
  if deadline == '0' then deadline = '' end
  -- FIELDS of lib.lua; a test compares.
  records[2 * i - 1] = id
  local tail = import ~= '' and '\t' .. import or ''
  if deadline ~= '' then
    tail = '\t' .. import .. '\t' .. ready .. '\t' .. deadline
  elseif ready ~= '' then
    tail = '\t' .. import .. '\t' .. ready
  end
  local place = string.format('%.0f', pos + i)
  records[2 * i] = 'q\t' .. lane .. '\t' .. place .. '\t' .. created .. '\t' .. addr .. tail .. '\n' .. ARGV[a + 7]

  local key, score, member = K.later, ready, id
  if ready ~= '' and tonumber(ready) > now then
    -- It is not due.
  elseif halted then -- place_on_shelf of lib.lua
    key, score, member = K.shelf, 0, import .. '\t' .. string.format('%016.0f', pos + i) .. '\t' .. id
  else
    key = lane == '0' and K.wait0 or K.wait1
    score = places[lane] or begin(key, lane == '0' and K.fair0 or K.fair1)
    places[lane] = score + 1
    if lane == '0' then arrived = arrived + 1 end
  end
  local w = waiting[key]
  if not w then
    w = {}
    waiting[key] = w
  end
  w[#w + 1] = score
  w[#w + 1] = member

  local bucket = K.addr .. ARGV[a + 5]
  if redis.call('HSETNX', bucket, addr, id) == 0 then
    -- The newest 32 stand together; what is older moves to a list of its own.
    local all = redis.call('HGET', bucket, addr) .. ' ' .. id
    local _, spaces = string.gsub(all, ' ', ' ')
    if spaces >= 32 then
      local first = string.find(all, ' ', 1, true)
      redis.call('RPUSH', K.more .. addr, string.sub(all, 1, first - 1))
      all = string.sub(all, first + 1)
    end
    redis.call('HSET', bucket, addr, all)
  end

  -- The order of admission, in blocks that Redis keeps packed (newest.go).
  local block = K.born .. string.format('%d', math.floor((pos + i) / 128))
  local b = order[block] or {}
  order[block] = b
  b[#b + 1] = place
  b[#b + 1] = id

  added[i] = id
  if import == '' then
    hints[2 * i - 1] = look
    hints[2 * i] = 'c:' .. id
  end
end

redis.call('HSET', K.rec, unpack(records))
for key, w in pairs(waiting) do redis.call('ZADD', key, unpack(w)) end
for key, w in pairs(order) do redis.call('ZADD', key, unpack(w)) end
for lane, place in pairs(places) do redis.call('ZADD', lane == '0' and K.fair0 or K.fair1, place, queue) end
if arrived > 0 then
  redis.call('HINCRBY', K.pace, 'arrived', arrived)
  redis.call('HSET', K.pace, 'arrived.at', stamp)
end
if import == '' then
  if owner ~= '' then
    for _, id in ipairs(added) do
      redis.call('HSET', K.owner, id, owner)
      redis.call('ZADD', K.mine .. owner, stamp, id)
    end
  end
  redis.call('ZADD', K.untasked, unpack(hints))
  return out
end
if redis.call('ZADD', K.imports, 'NX', stamp, import) == 1 then
  redis.call('HSET', K.imp .. import, 'created', stamp)
  if owner ~= '' then redis.call('HSET', K.imp .. import, 'owner', owner) end
end

-- The lines of the list: a run begins where the distance from the position is another one than before.
local distance, runs, firsts, lines, at = redis.call('HGET', K.imp .. import, 'line') or '', {}, {}, {}, 1
for first, line in string.gmatch(ARGV[#ARGV], '(%d+):(%d+)') do
  firsts[#firsts + 1] = tonumber(first)
  lines[#lines + 1] = tonumber(line)
end
for i, n in ipairs(new) do
  while firsts[at + 1] and firsts[at + 1] < n do at = at + 1 end
  local line = lines[at] > 0 and lines[at] + n - 1 - firsts[at] or 0
  local d = line > 0 and string.format('%.0f', line - pos - i) or ''
  if d ~= distance then
    runs[#runs + 1] = string.format('%d:%d', i - 1, line)
    distance = d
  end
end
if #runs > 0 then
  redis.call('ZADD', K.rows .. import, pos + 1, string.format('%.0f ', pos + 1) .. table.concat(runs, ' '))
  redis.call('HSET', K.imp .. import, 'line', distance)
end
out[1] = redis.call('RPUSH', K.ids .. import, unpack(added)) - fresh
redis.call('HINCRBY', K.imp .. import, 'total', fresh)
redis.call('HINCRBY', K.imp .. import, 'n:queued', fresh)
redis.call('ZADD', K.untasked, look, 'b:' .. out[1] .. ':' .. fresh .. ':' .. import)
return out
