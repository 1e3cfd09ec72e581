-- Puts off the end of a task's leases, if it still holds them.
-- ARGV: prefix, token, lease in microseconds, then per product: tenant, product
local _, token, lease = unpack(ARGV, 1, 3)
local until_us = integer(now_us() + tonumber(lease))
for i = 4, #ARGV, 2 do
  local tenant, product = ARGV[i], ARGV[i + 1]
  local held = redis.call('HMGET', wanted_key(tenant, product), 'lease', 'lane')
  if held[1] == token then
    redis.call('ZADD', due_key(held[2], tenant), 'XX', until_us, product)
  end
end
