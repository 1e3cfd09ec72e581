-- Makes every answer that was cached of these tenants unreachable, and what was copied of their
-- products: nobody can go on from an earlier position of the change log.
-- ARGV: prefix, number of aspects, aspect…, then per tenant: tenant, a number to be above
local _, count = unpack(ARGV, 1, 2)
local first = 3 + tonumber(count)
for i = first, #ARGV, 2 do
  local key = generation_key(ARGV[i])
  local fields = {unpack(ARGV, 3, first - 1)}
  table.insert(fields, 'log')
  for _, field in ipairs(fields) do
    local last = tonumber(redis.call('HGET', key, field)) or 0
    redis.call('HSET', key, field, risen(math.max(last, tonumber(ARGV[i + 1]))))
  end
end
