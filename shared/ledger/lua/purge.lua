-- Forgets products deleted before a rev. ARGV: prefix, rev, limit. Returns how many it forgot.
local _, before, limit = unpack(ARGV, 1, 3)
local forgotten = 0
for _, grave in ipairs(redis.call('ZRANGEBYSCORE', GRAVES, '-inf', '(' .. before,
    'LIMIT', 0, limit)) do
  local tenant, product = string.match(grave, '^([^/]+)/(.*)$')
  -- Where a newer change waits, or may be retried, its outcome decides what becomes of the row.
  if redis.call('EXISTS', wanted_key(tenant, product), kept_key(tenant, product)) == 0 then
    redis.call('DEL', row_key(tenant, product))
    redis.call('ZREM', GRAVES, grave)
    forgotten = forgotten + 1
  end
end
return forgotten
