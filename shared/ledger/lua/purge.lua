-- Forgets products deleted before a rev. ARGV: prefix, rev, limit. Returns how many it forgot.
local _, before, limit = unpack(ARGV, 1, 3)
local forgotten = 0
for _, tombstone in ipairs(redis.call('ZRANGEBYSCORE', TOMBSTONES, '-inf', '(' .. before,
    'LIMIT', 0, limit)) do
  local tenant, product = string.match(tombstone, '^([^/]+)/(.*)$')
  -- If a newer change waits, or may be retried, its outcome decides about the row.
  if redis.call('EXISTS', wanted_key(tenant, product), kept_key(tenant, product)) == 0 then
    redis.call('DEL', row_key(tenant, product))
    redis.call('ZREM', TOMBSTONES, tombstone)
    forgotten = forgotten + 1
  end
end
return forgotten
