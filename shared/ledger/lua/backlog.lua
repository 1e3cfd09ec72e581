-- Counts what waits. ARGV: prefix, lane…
-- Returns per lane: pending, due now, the oldest due time in microseconds or ''.
local now = integer(now_us())
local out = {}
for l = 2, #ARGV do
  local lane, pending, due, oldest = ARGV[l], 0, 0, ''
  for _, tenant in ipairs(redis.call('ZRANGE', turn_key(lane), 0, -1)) do
    local key = due_key(lane, tenant)
    pending = pending + redis.call('ZCARD', key)
    due = due + redis.call('ZCOUNT', key, '-inf', now)
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] and (oldest == '' or tonumber(first[2]) < tonumber(oldest)) then
      oldest = integer(tonumber(first[2]))
    end
  end
  for _, number in ipairs({pending, due, oldest}) do table.insert(out, number) end
end
return out
