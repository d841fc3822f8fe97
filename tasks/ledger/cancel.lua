-- cancel.lua: an invite is no longer wanted.
--
-- KEYS[1]  the instance's prefix
-- ARGV     now, id
-- returns  '' if there is no such invite, else its record after the change
--
-- Keeps: what libcancel.lua says.
local now, id = clock(ARGV[1]), ARGV[2]
local r = load(id)
if not r then return '' end
return cancel(r, now)
