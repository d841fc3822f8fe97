-- gate.lua: open or close an endpoint, when no turn ends with it.
--
-- KEYS[1]  the instance's prefix
-- ARGV     1 now, 2 the change as JSON (libgate.lua)
-- returns  1
change_gate(clock(ARGV[1]), cjson.decode(ARGV[2]))
return 1
