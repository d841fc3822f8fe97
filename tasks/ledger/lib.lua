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

local TASK_GRACE = 60000 -- how long the task of a new record may take to be seen by a handler (ms)

-- clock returns the time of a step: the caller's, or Redis' own where the caller gives none.
local function clock(v)
  if num(v) > 0 then return num(v) end
  local t = redis.call('TIME')
  return num(t[1]) * 1000 + math.floor(num(t[2]) / 1000)
end

-- str writes a number without an exponent, and zero as nothing.
local function str(n)
  if not n or n == 0 or n == '' then return '' end
  if type(n) == 'number' then return string.format('%.0f', n) end
  return n
end

-- real writes a number with every digit.
local function real(n) return string.format('%.17g', n) end

-- parse returns nothing for a record that it cannot read. Fields of a later version are kept.
local function parse(id, v)
  local nl = string.find(v, '\n', 1, true)
  if not nl then return nil end
  local r = {id = id, body = string.sub(v, nl), more = ''}
  local i = 1
  for f in string.gmatch(string.sub(v, 1, nl - 1) .. '\t', '([^\t]*)\t') do
    if FIELDS[i] then r[FIELDS[i]] = f else r.more = r.more .. '\t' .. f end
    i = i + 1
  end
  for n = i, #FIELDS do r[FIELDS[n]] = '' end
  if not NAME[r.s] then return nil end
  return r
end

-- load returns nothing if there is no such record, or none that can be read: that one is set aside, for a person or
-- a later version, and stops nobody.
local function load(id)
  local v = redis.call('HGET', K.rec, id)
  if not v then return nil end
  local r = parse(id, v)
  if not r then redis.call('SADD', K.aside, id) end
  return r
end

local function line(r)
  local t, last = {}, 0
  for i, f in ipairs(FIELDS) do
    t[i] = str(r[f])
    if t[i] ~= '' then last = i end
  end
  if r.more ~= '' then last = #FIELDS end
  return table.concat(t, '\t', 1, last) .. r.more
end

local function save(r)
  local v = line(r) .. r.body
  redis.call('HSET', K.rec, r.id, v)
  return v
end

-- content_hash stands for the content of a record, in comparisons and tombstones. Content may carry its hash itself,
-- so that it need not be readable here: $, the hash, a space, and what only Go reads.
local function content_hash(body) return string.match(body, '^%$(%x+) ') or redis.sha1hex(body) end

local function pairsof(flat)
  local t = {}
  for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end
  return t
end

-- Until when an import is stopped that a person has to resume; and one that stands still while it is revoked.
local FOREVER, WHILE_REVOKED = 9e15, 8e15

-- stopped tells whether the import of an invite is paused, or held: then it stands on the shelf.
local function stopped(r) return r.import ~= '' and redis.call('ZSCORE', K.stopped, r.import) end
local function place_on_shelf(r) return r.import .. '\t' .. string.format('%016.0f', num(r.pos)) .. '\t' .. r.id end

-- enqueue puts a queued record where the turn finds it. One that has been in the lane before goes to its front.
--
-- The lists in a lane, and those who ask for people, take turns (start-time fair queueing): each invite of one queue
-- stands one place behind the one before it, and a queue that comes anew begins where the lane stands. An empty lane
-- begins at the position of the one who comes. admit.lua does the same for many at once.
local function enqueue(r, now, anew)
  if num(r.ready) > now then
    redis.call('ZADD', K.later, r.ready, r.id)
    return
  end
  if stopped(r) then
    redis.call('ZADD', K.shelf, 0, place_on_shelf(r))
    return
  end
  local lane = num(r.lane)
  local place = num(redis.call('ZRANGE', K['wait' .. lane], 0, 0, 'WITHSCORES')[2])
  if place == 0 then
    place = num(r.pos)
    redis.call('DEL', K['fair' .. lane])
  end
  if anew then
    local queue = r.import
    if queue == '' then queue = redis.call('HGET', K.owner, r.id) or '' end
    place = math.max(place, num(redis.call('ZSCORE', K['fair' .. lane], '-' .. queue)))
    redis.call('ZADD', K['fair' .. lane], place + 1, '-' .. queue)
  end
  redis.call('ZADD', K[(r.solo == '1' and 'solo' or 'wait') .. lane], place, r.id)
end

-- bucket_of is the key of the address index in which an address key stands: what its first two bytes (base64) say, as in
-- salt.go.
local DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
local function bucket_of(addr)
  local n = {}
  for c = 1, 3 do n[c] = (string.find(DIGITS, string.sub(addr, c, c), 1, true) or 1) - 1 end
  return K.addr .. string.format('%d', (n[1] * 1024 + n[2] * 16 + math.floor(n[3] / 4)) % 8192)
end

-- block_of is the part of the order of admission in which an invite stands (newest.go).
local function block_of(r) return K.born .. string.format('%d', math.floor(num(r.pos) / 128)) end

-- by_the_hour adds to what an hour has had of something, in one hash a day (UTC) that goes by itself.
local DAY, HOUR, DAYS_KEPT = 86400000, 3600000, 40

local function hour_of(now, what)
  return K.day .. string.format('%d', math.floor(now / DAY)), string.format('%d', math.floor(now % DAY / HOUR)) .. ':' .. what
end

local function by_the_hour(now, what, n)
  local day, field = hour_of(now, what)
  if redis.call('HINCRBY', day, field, n) == num(n) then redis.call('PEXPIRE', day, DAYS_KEPT * DAY) end
end

-- tally counts a change of state: the totals for ever, what settles an invite also by the hour.
local function tally(from, to, reason, now)
  local change = from .. '>' .. to
  redis.call('HINCRBY', K.totals, change, 1)
  if OPEN[to] then return end
  redis.call('HINCRBY', K.totals, to .. ':' .. reason, 1)
  by_the_hour(now, change, 1)
end

-- ARRIVAL is how long after it was given up a call may still be carried out (ArrivalBound in calls.go).
local ARRIVAL = 900000
local CALLS_KEPT = 16

-- note_call writes down that a call of the invite got no clear answer: it may have made its invitation at any time
-- from its claim until the bound.
local function note_call(r, bound)
  if num(r.sent) == 0 then return end
  local kept, had = {}, redis.call('HGET', K.calls, r.id)
  -- A worker that kept no calls has left it in doubt: it may have been any call before this one.
  if not had and r.doubt == '1' then kept[1] = str(tonumber(r.created, 16)) .. ':' .. str(num(r.sent) + ARRIVAL) end
  for sent, until_ in string.gmatch(had or '', '(%d+):(%d+)') do
    if sent == str(num(r.sent)) then bound = math.max(bound, num(until_)) else kept[#kept + 1] = sent .. ':' .. until_ end
  end
  kept[#kept + 1] = str(num(r.sent)) .. ':' .. str(bound)
  redis.call('HSET', K.calls, r.id, table.concat(kept, ',', math.max(1, #kept - CALLS_KEPT + 1)))
  r.doubt = '1'
end

-- forgotten tells whether the ledger may have forgotten a call of the invite (Epoch.Concerns in epoch.go), and up to
-- when such a call may arrive.
local EPOCH_MATTERS, ID_SLACK = 2592000000, 60000
local function forgotten(r, now)
  local concerned, last, epochs = false, 0, redis.call('HGET', K.meta, 'epochs') or ''
  if epochs == '' then return false, 0 end
  local created, made = tonumber(r.created, 16), 0
  if r.import == '' and #r.id == 28 and string.match(r.id, '^inq_[0-9a-hjkmnp-tv-z]+$') then
    for c in string.gmatch(string.sub(r.id, 5, 14), '.') do
      made = made * 32 + string.find('0123456789abcdefghjkmnpqrstvwxyz', c, 1, true) - 1
    end
    made = math.floor(made / 4)
    if made > created + ID_SLACK then made = 0 end -- a hash
  end
  for stop in string.gmatch(epochs, ':(%d+):') do
    stop = num(stop)
    if stop + EPOCH_MATTERS > now and (made <= stop + ID_SLACK or created < stop) then
      concerned, last = true, math.max(last, stop + ARRIVAL)
    end
  end
  return concerned, last
end

-- watched_until returns the time up to which a call of the invite may arrive.
local function watched_until(r, now)
  local _, last = forgotten(r, now)
  if r.doubt ~= '1' then return last end
  local calls = redis.call('HGET', K.calls, r.id)
  if not calls then return math.max(last, num(r.sent) + ARRIVAL) end -- written by a worker that kept no calls
  for until_ in string.gmatch(calls, ':(%d+)') do last = math.max(last, num(until_)) end
  return last
end

-- watch has an invite that has ended looked after, as long as a call of it may arrive. Where only a forgotten one may,
-- and an invitation stands, one look in the end is enough.
local GIVEN_UP = {canceled = true, failed = true, revoked = true, parked = true}
local LIST_LAGS = 30000
local function watch(r, now, from)
  local state, concerned, last = NAME[r.s], forgotten(r, now)
  if r.doubt == '1' or (concerned and state == 'failed' and from == 'queued') then
    redis.call('ZADD', K.watch, now, r.id)
  elseif last > now then
    redis.call('ZADD', K.watch, GIVEN_UP[state] and now or last + LIST_LAGS, r.id)
  end
end

-- taken tells whether another invite for the same address is under way. While one is in doubt nobody else goes, so
-- that the invitation it may have is not taken for the other's; but not for longer than it takes: one that may not
-- go soon itself holds up nobody.
local SOON = 60000
local function taken(r, now)
  local by = redis.call('HGET', K.busy, r.addr)
  if not by or by == r.id then return false end
  local holder = load(by)
  if not holder then return false end
  if holder.s ~= 'q' then return holder.s == 's' or holder.s == 'u' end
  if num(holder.ready) > now + SOON or stopped(holder) then return false end
  local paused = redis.call('HMGET', K.paused, num(holder.lane) == 0 and 'interactive' or 'import', 'all')
  return not (paused[1] or paused[2])
end

-- move takes a record from its state into another: the indexes, the counts of
-- its import and the event change in the same step as the record itself.
-- score: when it is due (sending: deadline, unknown: next read).
--
-- Should Redis refuse a command in the middle, the record stands in the index of its state, and whoever finds it in
-- another one as well takes it out there: so the new index comes first, then the record, then the old index.
local function move(r, to, now, reason, score)
  local from, before = NAME[r.s], str(num(r.updated))
  r.s, r.reason, r.updated, r.ver = LETTER[to], reason or '', now, num(r.ver) + 1
  if to == 'queued' then
    enqueue(r, now, from ~= 'sending' and from ~= 'unknown')
  else
    redis.call('ZADD', K.state .. to, score or now, r.id)
  end
  local holds = to == 'sending' or to == 'unknown'
  local wanted = r.revoke
  if wanted == '1' and to ~= 'pending' and not holds and to ~= 'queued' then r.revoke = '' end
  local saved = save(r)
  if from == 'queued' and to ~= from then
    redis.call('ZREM', K['wait' .. num(r.lane)], r.id)
    redis.call('ZREM', K.later, r.id)
    if r.solo == '1' then redis.call('ZREM', K['solo' .. num(r.lane)], r.id) end
    if r.import ~= '' then redis.call('ZREM', K.shelf, place_on_shelf(r)) end
    -- A producer of an earlier version has not done so.
    if r.inv == '' then redis.call('ZADD', block_of(r), r.pos, r.id) end
  elseif to ~= from then
    redis.call('ZREM', K.state .. from, r.id)
  end
  if holds or (to == 'queued' and r.doubt == '1') then
    local by = redis.call('HGET', K.busy, r.addr)
    if not by or by ~= r.id and not taken(r, now) then redis.call('HSET', K.busy, r.addr, r.id) end
  elseif redis.call('HGET', K.busy, r.addr) == r.id then
    redis.call('HDEL', K.busy, r.addr)
  end
  if wanted == '1' then
    if to == 'pending' or to == 'queued' then
      redis.call('ZADD', K.revoke, now, r.id)
    else
      redis.call('ZREM', K.revoke, r.id)
      redis.call('HDEL', K.tries, r.id)
    end
  end
  if not OPEN[to] then
    watch(r, now, from)
  elseif r.doubt == '1' then
    redis.call('ZREM', K.watch, r.id)
  end
  if r.import ~= '' and from ~= to then
    redis.call('HINCRBY', K.imp .. r.import, 'n:' .. from, -1)
    redis.call('HINCRBY', K.imp .. r.import, 'n:' .. to, 1)
  end
  if from ~= to then
    tally(from, to, r.reason, now)
    redis.call('XADD', K.events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'id', r.id, 'ver', str(r.ver),
      'from', from, 'to', to, 'reason', r.reason, 'invitation_id', r.inv, 'import_id', r.import, 'at', str(now), 'before', before)
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
  return saved
end
