-- The products of a tenant that have changed since a position of its change log, and the generation
-- that goes with the new position. Keeps the log being written for some time to come.
-- ARGV: prefix, tenant, position or '', seconds, aspect…
-- Returns nothing if the generation is unknown, else: the position, the generations by aspect, 1 if
-- all changes since are known, and lists of them, with a line for each product.
local _, tenant, since, seconds = unpack(ARGV, 1, 4)
local key, followed = generation_key(tenant), followed_key(tenant)
local position = redis.call('HGET', key, 'log')
if not position then
  if redis.call('EXISTS', key) == 0 then return {} end
  -- A ledger of an earlier release.
  position = risen(nil)
  redis.call('HSET', key, 'log', position)
end
-- Seldom: every write waits for the disk.
if redis.call('TTL', followed) < tonumber(seconds) / 2 then
  redis.call('SET', followed, 1, 'EX', seconds)
end
local generations = redis.call('HMGET', key, unpack(ARGV, 5))
if since == '' then return {position, generations, 0, {}} end
local changed, reached = {}, since
if since ~= position then
  -- From behind the position on: no id has another second part.
  for _, entry in ipairs(redis.call('XRANGE', changes_key(tenant), since .. '-1', '+')) do
    if entry[2][2] ~= reached then break end
    reached = string.match(entry[1], '^%d+')
    table.insert(changed, entry[2][4])
  end
end
if reached ~= position then return {position, generations, 0, {}} end
return {position, generations, 1, changed}
