-- topup.lua: fill the places of a bulk that screening has emptied, under the token that is already taken.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, turn id, deadline (ms), places, id of this request, then the address keys that are aboard
-- returns  sequence number, id, record, id, record, ...
--
-- Keeps: nobody is claimed for a turn whose token is gone; no two invites for one address; nobody in doubt, who has to
-- be looked for first; a claim moves the ledger on, so that a ledger which has forgotten it is noticed (beat.lua).
local now, turn, deadline, places, request = clock(ARGV[1]), ARGV[2], num(ARGV[3]), num(ARGV[4]), ARGV[5]
-- go-redis repeats a script whose reply was lost: the same request answers the same.
local told = redis.call('GET', K.turn .. request)
if told then
  local out = {}
  for f in string.gmatch(told, '[^ ]+') do
    if #out > 0 then out[#out + 1] = f end
    out[#out + 1] = #out > 0 and (redis.call('HGET', K.rec, f) or '') or f
  end
  return out
end
if deadline <= now or num(redis.call('ZSCORE', K.bulk, turn)) < now then return {} end
local paused = pairsof(redis.call('HGETALL', K.paused))
if paused.all then return {} end
local aboard, out, tell = {}, {''}, {''}
for i = 6, #ARGV do aboard[ARGV[i]] = true end
for lane, name in ipairs({'interactive', 'import'}) do
  local key = K['wait' .. (lane - 1)]
  local ids = paused[name] and {} or redis.call('ZRANGE', key, 0, places + 20)
  for _, id in ipairs(ids) do
    if #tell > places then break end
    local r = load(id)
    if r and r.s == 'q' and r.doubt ~= '1' and not aboard[r.addr] and not taken(r, now) and not stopped(r)
      and (num(r.deadline) == 0 or num(r.deadline) >= now) then
      aboard[r.addr] = true
      r.turn, r.sent, r.absent, r.charge = turn, now, '', ''
      out[#out + 1] = id
      out[#out + 1] = move(r, 'sending', now, '', deadline)
      tell[#tell + 1] = id
    end
  end
end
if #tell == 1 then return {} end
out[1] = str(math.max(num(redis.call('HGET', K.meta, 'seq')) + 1, now))
tell[1] = out[1]
redis.call('HSET', K.meta, 'seq', out[1])
redis.call('SET', K.turn .. request, table.concat(tell, ' '), 'PX', deadline - now)
return out
