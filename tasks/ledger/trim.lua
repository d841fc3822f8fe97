-- trim.lua: forget settled invites whose retention has passed.
--
-- KEYS[1]  the instance's prefix
-- ARGV     changed before (ms), time for a tombstone (ms, 0: none), at most, then the names of states
-- returns  how many records went
--
-- Keeps: what is open or pending is never forgotten; an id goes on deduping as long as its tombstone stands, which holds
-- a hash of the content and no address; no index leads to a record that has gone.
local before, keep, most = num(ARGV[1]), num(ARGV[2]), num(ARGV[3])
local gone = 0

for i = 4, #ARGV do
  local key = K.state .. ARGV[i]
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. str(before), 'LIMIT', 0, most - gone)) do
    local r = load(id)
    redis.call('ZREM', key, id)
    if r and NAME[r.s] == ARGV[i] then
      erase(r, keep, content_hash(string.sub(r.body, 2)))
      gone = gone + 1
    end
  end
  if gone >= most then break end
end
for lane = 0, 1 do
  if redis.call('EXISTS', K['wait' .. lane]) == 0 then redis.call('DEL', K['fair' .. lane]) end
end
return gone
