-- rekey.lua: give records the address key and the content that belong to another salt.
--
-- KEYS[1]  the instance's prefix
-- ARGV     per record 4: id, SHA-1 of the record as it was read, address key, body
-- returns  per record 1 if it was changed, else 0 (it has changed since it was read)
--
-- Keeps: whoever is found by their address still is, the newest last, if the records of a person come in their order.
local out = {}
for i = 1, #ARGV, 4 do
  local id, addr = ARGV[i], ARGV[i + 2]
  local v = redis.call('HGET', K.rec, id)
  local r = v and redis.sha1hex(v) == ARGV[i + 1] and parse(id, v)
  if r then
    if r.addr ~= addr then
      if redis.call('HGET', K.busy, r.addr) == id then
        redis.call('HDEL', K.busy, r.addr)
        redis.call('HSET', K.busy, addr, id)
      end
      unfind(r)
      local bucket = bucket_of(addr)
      local all = redis.call('HGET', bucket, addr)
      all = all and all .. ' ' .. id or id
      local _, spaces = string.gsub(all, ' ', ' ')
      if spaces >= 32 then -- as in admit.lua
        local first = string.find(all, ' ', 1, true)
        redis.call('RPUSH', K.more .. addr, string.sub(all, 1, first - 1))
        all = string.sub(all, first + 1)
      end
      redis.call('HSET', bucket, addr, all)
      r.addr = addr
    end
    r.body = '\n' .. ARGV[i + 3]
    save(r)
  end
  out[#out + 1] = r and 1 or 0
end
return out
