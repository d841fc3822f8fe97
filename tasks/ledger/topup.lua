-- topup.lua: fill the places of a bulk that screening has emptied, under the token that is already taken.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, turn id, deadline (ms), places, then the address keys that are aboard
-- returns  id, record, id, record, ...
--
-- Keeps: nobody is claimed for a turn whose token is gone; no two invites for one address; nobody in doubt, who has to be looked for first.
local now, turn, deadline, places = clock(ARGV[1]), ARGV[2], num(ARGV[3]), num(ARGV[4])
if deadline <= now or num(redis.call('ZSCORE', K.bulk, turn)) < now then return {} end
local paused = pairsof(redis.call('HGETALL', K.paused))
if paused.all then return {} end
local aboard, out = {}, {}
for i = 5, #ARGV do aboard[ARGV[i]] = true end
for lane, name in ipairs({'interactive', 'import'}) do
  local key = K['wait' .. (lane - 1)]
  local ids = paused[name] and {} or redis.call('ZRANGE', key, 0, places + 20)
  for _, id in ipairs(ids) do
    if #out >= 2 * places then break end
    local r = load(id)
    if r and r.s == 'q' and r.doubt ~= '1' and not aboard[r.addr] and not taken(r, now)
      and (num(r.deadline) == 0 or num(r.deadline) >= now) then
      aboard[r.addr] = true
      r.turn, r.sent, r.absent, r.charge = turn, now, '', ''
      out[#out + 1] = id
      out[#out + 1] = move(r, 'sending', now, '', deadline)
    end
  end
end
return out
