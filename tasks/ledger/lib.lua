-- lib.lua: what the scripts share. Keys (K), reasons (R) and what a turn waits for (W) are spelt in by spell.go.
--
-- A record is one line of tab-separated fields, a newline, and the invite's
-- content (JSON that only Go reads). Ids hold no tab (tasks.CheckID).
-- Empty means zero, and empty fields at the end are left out: those that a
-- waiting record has stand first, since a million of them wait in memory.
-- The time of creation is hexadecimal.
local FIELDS = {'s', 'lane', 'pos', 'created', 'addr', 'import', 'ready', 'deadline', 'solo', 'attempts', 'crashes',
  'ver', 'updated', 'reason', 'turn', 'sent', 'inv', 'revoke', 'absent', 'charge', 'doubt'}

local NAME = {q='queued', s='sending', u='unknown', p='pending', a='accepted', e='expired',
  v='revoked', r='rejected', c='canceled', f='failed', k='parked'}
local LETTER = {}
for letter, name in pairs(NAME) do LETTER[name] = letter end

local OPEN = {queued = true, sending = true, unknown = true}

local EVENTS_KEPT = '100000'

local function num(v) return tonumber(v) or 0 end

-- str writes a number without an exponent, and zero as nothing.
local function str(n)
  if not n or n == 0 or n == '' then return '' end
  if type(n) == 'number' then return string.format('%.0f', n) end
  return n
end

-- real writes a number with every digit.
local function real(n) return string.format('%.17g', n) end

local function parse(id, v)
  local nl = string.find(v, '\n', 1, true)
  local r = {id = id, body = string.sub(v, nl)}
  local i = 1
  for f in string.gmatch(string.sub(v, 1, nl - 1) .. '\t', '([^\t]*)\t') do
    r[FIELDS[i]] = f
    i = i + 1
  end
  for n = i, #FIELDS do r[FIELDS[n]] = '' end
  return r
end

local function load(id)
  local v = redis.call('HGET', K.rec, id)
  if not v then return nil end
  return parse(id, v)
end

local function line(r)
  local t, last = {}, 0
  for i, f in ipairs(FIELDS) do
    t[i] = str(r[f])
    if t[i] ~= '' then last = i end
  end
  return table.concat(t, '\t', 1, last)
end

local function save(r)
  local v = line(r) .. r.body
  redis.call('HSET', K.rec, r.id, v)
  return v
end

local function pairsof(flat)
  local t = {}
  for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end
  return t
end

-- enqueue puts a queued record where the turn finds it.
local function enqueue(r, now)
  if num(r.ready) > now then
    redis.call('ZADD', K.later, r.ready, r.id)
  elseif r.solo == '1' then
    redis.call('ZADD', K.solo, num(r.pos), r.id)
  else
    redis.call('ZADD', K['wait' .. num(r.lane)], num(r.pos), r.id)
  end
end

-- tally counts a change of state: the totals for ever, what settles an invite also
-- by the hour, in one hash a day (UTC) that goes by itself.
local DAY, HOUR, DAYS_KEPT = 86400000, 3600000, 40

local function tally(from, to, reason, now)
  local change = from .. '>' .. to
  redis.call('HINCRBY', K.totals, change, 1)
  if OPEN[to] then return end
  redis.call('HINCRBY', K.totals, to .. ':' .. reason, 1)
  local day = K.day .. string.format('%d', math.floor(now / DAY))
  local field = string.format('%d', math.floor(now % DAY / HOUR)) .. ':' .. change
  if redis.call('HINCRBY', day, field, 1) == 1 then
    redis.call('PEXPIRE', day, DAYS_KEPT * DAY)
  end
end

-- taken tells whether another invite for the same address is under way. While one is in doubt nobody else goes, so
-- that the invitation it may have is not taken for the other's.
local function taken(r)
  local by = redis.call('HGET', K.busy, r.addr)
  return by and by ~= r.id
end

-- move takes a record from its state into another: the indexes, the counts of
-- its import and the event change in the same step as the record itself.
-- score: when it is due (sending: deadline, unknown: next read).
local function move(r, to, now, reason, score)
  local from = NAME[r.s]
  if from == 'queued' then
    redis.call('ZREM', K['wait' .. num(r.lane)], r.id)
    redis.call('ZREM', K.later, r.id)
    if r.solo == '1' then redis.call('ZREM', K.solo, r.id) end
  else
    redis.call('ZREM', K.state .. from, r.id)
  end
  local holds = to == 'sending' or to == 'unknown'
  if holds or (to == 'queued' and r.doubt == '1') then
    redis.call('HSETNX', K.busy, r.addr, r.id)
  elseif redis.call('HGET', K.busy, r.addr) == r.id then
    redis.call('HDEL', K.busy, r.addr)
  end
  r.s = LETTER[to]
  r.reason = reason or ''
  r.updated = now
  r.ver = num(r.ver) + 1
  if to == 'queued' then
    enqueue(r, now)
  else
    redis.call('ZADD', K.state .. to, score or now, r.id)
  end
  if r.revoke == '1' then
    if to == 'pending' then
      redis.call('ZADD', K.revoke, now, r.id)
    elseif not holds then
      redis.call('ZREM', K.revoke, r.id)
      if to ~= 'queued' then r.revoke = '' end
    end
  end
  if r.import ~= '' and from ~= to then
    redis.call('HINCRBY', K.imp .. r.import, 'n:' .. from, -1)
    redis.call('HINCRBY', K.imp .. r.import, 'n:' .. to, 1)
  end
  if from ~= to then
    tally(from, to, r.reason, now)
    redis.call('XADD', K.events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'id', r.id, 'ver', str(r.ver),
      'from', from, 'to', to, 'reason', r.reason, 'invitation_id', r.inv, 'import_id', r.import, 'at', str(now))
    if r.import ~= '' and OPEN[from] and not OPEN[to] then
      local open = 0
      for _, n in ipairs(redis.call('HMGET', K.imp .. r.import, 'n:queued', 'n:sending', 'n:unknown')) do
        open = open + num(n)
      end
      if open == 0 then
        redis.call('XADD', K.events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'id', '', 'ver', str(r.ver),
          'from', '', 'to', 'import_completed', 'reason', '', 'invitation_id', '', 'import_id', r.import, 'at', str(now))
      end
    end
  end
  return save(r)
end
