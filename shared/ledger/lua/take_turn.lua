-- Takes the turn of something that one process at a time is enough for.
-- ARGV: prefix, its name, seconds until the next turn. Returns 1 to whoever has it, else 0.
local _, name, seconds = unpack(ARGV, 1, 3)
return redis.call('SET', PREFIX .. 'taken:' .. name, 1, 'NX', 'EX', seconds) and 1 or 0
