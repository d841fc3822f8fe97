-- libtoken.lua: what becomes of the token of a turn that has ended.
--
-- Keeps: the token is counted from the answer on, or given back only when nothing was sent; a second time changes
-- nothing.

local function stamp_token(now, turn)
  redis.call('ZADD', K[turn.endpoint], 'XX', now, turn.id)
  redis.call('ZADD', K.other, 'XX', now, turn.id)
end

local function refund_token(turn)
  local ep = turn.endpoint
  if redis.call('ZREM', K[ep], turn.id) == 1 then
    -- The soft buckets get back what turn.lua took from them.
    local told = {}
    for f in string.gmatch(redis.call('GET', K.turn .. turn.id) or '', '[^ ]+') do told[#told + 1] = f end
    for field, n in pairs({[ep .. '.tat'] = num(told[6]), ['import.tat'] = num(told[5])}) do
      if n > 0 then redis.call('HSET', K.pace, field, real(num(redis.call('HGET', K.pace, field)) - n)) end
    end
    if told[4] == '1' then redis.call('HDEL', K.gate, ep .. '.probe', 'other.probe') end
  end
  redis.call('ZREM', K.other, turn.id)
end
