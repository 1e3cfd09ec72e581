-- Forgets the oldest states kept for retries beyond `most`, up to `limit` at once.
-- ARGV: prefix, most, limit. Returns how many it forgot.
local _, most, limit = unpack(ARGV, 1, 3)
local excess = math.min(redis.call('ZCARD', KEPT) - tonumber(most), tonumber(limit))
if excess <= 0 then return 0 end
for _, name in ipairs(redis.call('ZRANGE', KEPT, 0, excess - 1)) do
  redis.call('DEL', kept_key(string.match(name, '^([^/]+)/(.*)$')))
end
redis.call('ZREMRANGEBYRANK', KEPT, 0, excess - 1)
return excess
