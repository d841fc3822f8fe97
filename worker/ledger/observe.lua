-- observe.lua: what was seen at Clerk about invitations that the ledger knows.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, then per invite 4: id, state that it was in when we looked, state that it is in, reason
-- returns  per invite 1 if it changed, else 0
--
-- Keeps: an observation changes only the state that it was compared with.
local now = num(ARGV[1])
local out = {}
for i = 2, #ARGV, 4 do
  local r = load(ARGV[i])
  if r and NAME[r.s] == ARGV[i + 1] and ARGV[i + 1] ~= ARGV[i + 2] then
    move(r, ARGV[i + 2], now, ARGV[i + 3])
    out[#out + 1] = 1
  else
    out[#out + 1] = 0
  end
end
return out
