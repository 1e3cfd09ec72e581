-- Makes every answer that was cached of these tenants unreachable.
-- ARGV: prefix, number of aspects, aspect…, then per tenant: tenant, a number to be above
local _, count = unpack(ARGV, 1, 2)
local first = 3 + tonumber(count)
for i = first, #ARGV, 2 do
  local key = generation_key(ARGV[i])
  for a = 3, first - 1 do
    local last = tonumber(redis.call('HGET', key, ARGV[a])) or 0
    redis.call('HSET', key, ARGV[a], risen(math.max(last, tonumber(ARGV[i + 1]))))
  end
end
