-- beat.lua: the ledger is alive; has it forgotten anything?
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, run id of the server ('': it does not tell), the highest sequence number that the caller has seen, when
--          the ledger was founded as far as the caller knows (ms), for how long an epoch matters (ms), the epochs that the
--          caller has heard of, as they were returned
-- returns  now, sequence number, when the ledger was founded, '1' while an epoch has not been recovered from or '',
--          '1' if this beat began one or '', the epochs that matter (start:end:why, separated by spaces), when a lane or
--          an import was let go on last
--
-- Keeps: whoever has seen more than the ledger remembers, or another server under it, begins an epoch, whose gap
-- begins no later than the last beat that is still there; no turn is given until somebody has recovered from it.
-- Sequence numbers are times, so that after a loss they go on beyond all that anybody has seen.
local now, run, seen, known, matters = clock(ARGV[1]), ARGV[2], num(ARGV[3]), num(ARGV[4]), num(ARGV[5])
local m = redis.call('HMGET', K.meta, 'seq', 'founded', 'server', 'beat', 'epochs', 'recover', 'pos', 'resumed')
local seq, founded, server, beat = num(m[1]), num(m[2]), m[3] or '', num(m[4])
local epochs, have = {}, {}
local function remember(told)
  for start, stop, why in string.gmatch(told, '(%d*):(%d+):(%S+)') do
    if num(stop) + matters > now and not have[stop] then
      epochs[#epochs + 1], have[stop] = {num(start), num(stop), why}, true
    end
  end
end
remember(m[5] or '')

local began
if seen > seq or (known > 0 and known ~= founded) then
  -- A ledger that was emptied has no beat: all may be gone since it was founded.
  began = {founded == known and beat > 0 and beat or known, now, 'went_back'}
  for _, e in ipairs(epochs) do
    if e[3] == 'went_back' and seen <= seq and e[1] <= began[1] then began = nil break end -- somebody was first
  end
elseif run ~= '' and server ~= '' and run ~= server then
  began = {beat, now, 'restarted'}
end

if founded == 0 then
  -- One that was in use before beats were written may hold anything.
  founded = num(m[7]) > 0 and seen == 0 and 1 or now
  redis.call('HSET', K.meta, 'founded', str(founded))
end
if began then
  remember(ARGV[6]) -- What was forgotten before is not known again because the ledger has forgotten that, too.
  -- Only so many are kept, and no gap is forgotten: the two that lie nearest to each other become one.
  table.sort(epochs, function(a, b) return a[1] < b[1] end)
  while #epochs > 7 do
    local at = 1
    for i = 2, #epochs - 1 do
      if epochs[i + 1][1] - epochs[i][2] < epochs[at + 1][1] - epochs[at][2] then at = i end
    end
    local later = table.remove(epochs, at + 1)
    epochs[at] = {epochs[at][1], math.max(epochs[at][2], later[2]), later[3]}
  end
  epochs[#epochs + 1] = began
  redis.call('HSET', K.meta, 'recover', '1')
  m[6] = '1'
end
local told = {}
for i, e in ipairs(epochs) do told[i] = string.format('%.0f:%.0f:%s', e[1], e[2], e[3]) end
told = table.concat(told, ' ')
seq = math.max(seq + 1, now)
redis.call('HSET', K.meta, 'seq', str(seq), 'beat', str(now), 'epochs', told)
if run ~= '' then redis.call('HSET', K.meta, 'server', run) end
return {str(now), str(seq), str(founded), m[6] or '', began and '1' or '', told, m[8] or ''}
