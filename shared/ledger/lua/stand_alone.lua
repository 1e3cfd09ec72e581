-- Notes that a task does now with a product what may kill its process, and that its process does
-- nothing of the kind with others meanwhile. If the lease is lost by that, it counts as an attempt.
-- ARGV: prefix, token, tenant, product. Returns 1, or 0 if the task holds the product no more.
local _, token, tenant, product = unpack(ARGV, 1, 4)
local wanted = wanted_key(tenant, product)
if redis.call('HGET', wanted, 'lease') ~= token then return 0 end
redis.call('HSET', wanted, 'stood_alone', 1)
return 1
