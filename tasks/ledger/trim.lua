-- trim.lua: forget settled invites whose retention has passed.
--
-- KEYS[1]  the instance's prefix
-- ARGV     changed before (ms), time for a tombstone (ms, 0: none), at most, then the names of states
-- returns  how many records went
--
-- Keeps: what is open, pending, failed or parked is never forgotten; an id goes on deduping as long as its
-- tombstone stands, which holds a hash of the content and no address; no index leads to a record that has gone. An
-- import's counts and its list of ids are its own: they go with its last member, because the place of an id in the
-- list is what tasks name it by.
local before, keep, most = num(ARGV[1]), num(ARGV[2]), num(ARGV[3])
local gone = 0

-- unfind takes an invite out of the address index.
local function unfind(r)
  if redis.call('LREM', K.more .. r.addr, 1, r.id) == 1 then return end
  local bucket = bucket_of(r.addr)
  local left = {}
  for id in string.gmatch(redis.call('HGET', bucket, r.addr) or '', '[^ ]+') do
    if id ~= r.id then left[#left + 1] = id end
  end
  if #left > 0 then
    redis.call('HSET', bucket, r.addr, table.concat(left, ' '))
  else
    redis.call('HDEL', bucket, r.addr)
  end
end

for i = 4, #ARGV do
  local key = K.state .. ARGV[i]
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. str(before), 'LIMIT', 0, most - gone)) do
    local r = load(id)
    redis.call('ZREM', key, id)
    if r and NAME[r.s] == ARGV[i] then
      if keep > 0 then redis.call('SET', K.tomb .. id, content_hash(string.sub(r.body, 2)), 'PX', keep) end
      if r.inv ~= '' and redis.call('HGET', K.inv, r.inv) == id then redis.call('HDEL', K.inv, r.inv) end
      unfind(r)
      redis.call('ZREM', K.untasked, 'c:' .. id)
      redis.call('HDEL', K.rec, id)
      redis.call('HDEL', K.calls, id)
      local owner = redis.call('HGET', K.owner, id)
      if owner then
        redis.call('HDEL', K.owner, id)
        redis.call('ZREM', K.mine .. owner, id)
      end
      redis.call('ZREM', K.watch, id)
      if r.import ~= '' then
        local left = redis.call('HINCRBY', K.imp .. r.import, 'trimmed', 1)
        if left >= num(redis.call('HGET', K.imp .. r.import, 'total')) then
          redis.call('DEL', K.imp .. r.import, K.ids .. r.import)
          redis.call('ZREM', K.imports, r.import)
          redis.call('ZREM', K.stopped, r.import)
        end
      end
      gone = gone + 1
    end
  end
  if gone >= most then break end
end
for lane = 0, 1 do
  if redis.call('EXISTS', K['wait' .. lane]) == 0 then redis.call('DEL', K['fair' .. lane]) end
end
return gone
