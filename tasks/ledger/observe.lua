-- observe.lua: what was seen at Clerk about invitations that the ledger knows.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, then per invite 5: id, state that it was in when we looked, state that it is in, reason, Clerk's id if
--          the ledger does not have it
-- returns  per invite 1 if it changed, else 0
--
-- Keeps: an observation changes only the state that it was compared with; who was canceled, and has an invitation
-- after all, is still unwanted.
local now = clock(ARGV[1])
local out = {}
for i = 2, #ARGV, 5 do
  local r = load(ARGV[i])
  if r and NAME[r.s] == ARGV[i + 1] and ARGV[i + 1] ~= ARGV[i + 2] then
    local inv = ARGV[i + 4]
    if inv ~= '' then
      r.inv = inv
      redis.call('HSET', K.inv, inv, r.id)
      if r.s == 'c' then r.revoke = '1' end
    end
    move(r, ARGV[i + 2], now, ARGV[i + 3])
    out[#out + 1] = 1
  else
    out[#out + 1] = 0
  end
end
return out
