-- sweep.lua: carry on a wish about many invites, some hundred of them.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, id of the request, at most
-- returns  the request; '' if there is none
--
-- Keeps: first each invite of the list is canceled, or its revoke asked for; those who wait for Clerk stand in a list of
-- the request's own, and are looked at in turn until none is left. An invite is made anew only when its invitation is
-- gone, in the step that sees it, under an id that is made of its own: once, whoever asks how often.
local now, id, most = clock(ARGV[1]), ARGV[2], num(ARGV[3])
local told = redis.call('HGET', K.revreq, id)
if not told then return '' end
local w = cjson.decode(told)
local todo, renew = K.ids .. id, w.renew == '1'
local function tick(what) w[what] = num(w[what]) + 1 end

-- again admits the invite that follows another. Only the newest for an address is followed by one.
local function again(r)
  local bucket = bucket_of(r.addr)
  local ids = redis.call('HGET', bucket, r.addr) or r.id
  local next_id = 'inq_r' .. string.sub(redis.sha1hex('renewed ' .. r.id), 1, 30)
  if string.match(ids, '[^ ]*$') ~= r.id or redis.call('HEXISTS', K.rec, next_id) == 1 or redis.call('EXISTS', K.tomb .. next_id) == 1 then
    return tick('skipped')
  end
  local import = redis.call('EXISTS', K.imp .. r.import) == 1 and r.import or ''
  local n = {id = next_id, more = '', s = 'q', lane = r.lane, created = string.format('%x', now), addr = r.addr, import = import,
    pos = redis.call('HINCRBY', K.meta, 'pos', 1), body = r.body}
  save(n)
  redis.call('ZADD', block_of(n), n.pos, next_id)
  redis.call('HSET', bucket, r.addr, ids .. ' ' .. next_id)
  local owner = redis.call('HGET', K.owner, r.id)
  if owner then
    redis.call('HSET', K.owner, next_id, owner)
    redis.call('ZADD', K.mine .. owner, now, next_id)
  end
  if import ~= '' then
    -- It stands on the line of the one that it follows (lines.go).
    local rows, at = K.rows .. import, num(r.pos)
    local runs = redis.call('ZRANGE', rows, at, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 2)
    if #runs > 0 then
      local on = 0
      for i = #runs, 1, -1 do
        for first, line in string.gmatch(runs[i], '(%d+):(%d+)') do
          local ahead = at - tonumber(string.match(runs[i], '^%d+')) - first
          if ahead >= 0 then on = line == '0' and 0 or line + ahead end
        end
      end
      redis.call('ZADD', rows, n.pos, string.format('%.0f 0:%.0f', n.pos, on))
      redis.call('HSET', K.imp .. import, 'line', on == 0 and '' or string.format('%.0f', on - n.pos))
    end
    redis.call('RPUSH', K.ids .. import, next_id)
    redis.call('HINCRBY', K.imp .. import, 'total', 1)
    redis.call('HINCRBY', K.imp .. import, 'n:queued', 1)
  end
  enqueue(n, now, true)
  redis.call('ZADD', K.untasked, now, 'c:' .. next_id)
  tick('renewed')
end

-- ask begins with an invite; ended tells what became of it.
local states = ',' .. w.states .. ','
local function ask(r)
  if not string.find(states, ',' .. NAME[r.s] .. ',', 1, true) then return end
  if renew and r.s ~= 'p' then return again(r) end
  cancel(r, now)
  if r.s == 'c' then
    tick('canceled')
  elseif r.revoke == '1' then
    redis.call('RPUSH', todo, r.id)
  end
end
local function ended(r)
  if r.revoke == '1' then return false end
  if r.s == 'c' then
    tick('canceled')
  elseif r.s == 'v' then
    tick('revoked')
    if num(w.revoked) <= 100 then w.invitations = (w.invitations or '') .. r.inv .. ' ' end
  elseif r.s == 'a' or r.s == 'e' then
    tick('too_late')
  end
  if renew and (r.s == 'v' or r.s == 'e') then again(r) end
  return true
end

if w.from < w.rows then
  local ids = redis.call('LRANGE', K.ids .. w.list, w.from, math.min(w.from + most, w.rows) - 1)
  for _, one in ipairs(ids) do
    local r = load(one)
    if r then ask(r) end
  end
  w.from = #ids > 0 and w.from + #ids or w.rows
else
  for _ = 1, math.min(most, redis.call('LLEN', todo)) do
    local one = redis.call('LPOP', todo)
    local r = load(one)
    if r and not ended(r) then redis.call('RPUSH', todo, one) end
  end
end
if w.from >= w.rows and num(redis.call('ZSCORE', K.stopped, w.import)) == WHILE_REVOKED then
  redis.call('ZREM', K.stopped, w.import)
  redis.call('HSET', K.shelving, w.import, 0)
end
w.waiting = w.rows - w.from + redis.call('LLEN', todo)
local out = cjson.encode(w)
redis.call('HSET', K.revreq, id, out)
return out
