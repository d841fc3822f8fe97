-- libforget.lua: take a record out of the ledger, with every index that leads to it. What stays is a tombstone for as
-- long as keep (ms) says, so that the id goes on deduping.
--
-- An import's counts and its list of ids are its own: they go with its last member, because the place of an id in the
-- list is what tasks name it by.

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

local function erase(r, keep, tombstone)
  if keep > 0 then redis.call('SET', K.tomb .. r.id, tombstone, 'PX', keep) end
  if r.inv ~= '' and redis.call('HGET', K.inv, r.inv) == r.id then redis.call('HDEL', K.inv, r.inv) end
  unfind(r)
  redis.call('ZREM', K.state .. NAME[r.s], r.id)
  redis.call('ZREM', K.untasked, 'c:' .. r.id)
  redis.call('HDEL', K.rec, r.id)
  redis.call('ZREM', block_of(r), r.id)
  redis.call('ZREM', K.adopted, r.id)
  redis.call('HDEL', K.calls, r.id)
  redis.call('HDEL', K.tries, r.id)
  redis.call('ZREM', K.revoke, r.id)
  redis.call('ZREM', K.watch, r.id)
  if redis.call('HGET', K.busy, r.addr) == r.id then redis.call('HDEL', K.busy, r.addr) end
  local owner = redis.call('HGET', K.owner, r.id)
  if owner then
    redis.call('HDEL', K.owner, r.id)
    redis.call('ZREM', K.mine .. owner, r.id)
  end
  if r.import ~= '' then
    local left = redis.call('HINCRBY', K.imp .. r.import, 'trimmed', 1)
    if left >= num(redis.call('HGET', K.imp .. r.import, 'total')) then
      redis.call('DEL', K.imp .. r.import, K.ids .. r.import, K.rows .. r.import)
      redis.call('ZREM', K.imports, r.import)
      redis.call('ZREM', K.stopped, r.import)
    end
  end
end
