-- Wants again what failed in an ended job, as items of a new one at their old positions.
-- A product is passed over if anything newer was accepted for it since, or if that failure has been
-- retried already: its kept state is then gone or belongs to others. So a retry never brings an
-- older state back, and repeating a call does nothing.
-- ARGV: prefix, what opens a job, failed job, seal (1 for the last call of the job), product…
-- Returns the job, what open_job says, the number of items that it has so far, then lane… of what was
-- wanted again. A job sealed without any item is gone again.
local tenant, source, seal = ARGV[2], ARGV[10], ARGV[11]
local job, opened = open_job()
local key, items = job_key(tenant, job), items_key(tenant, job)
local state = redis.call('HMGET', key, 'request', 'retention')
local now = now_us()
local lanes, out = {}, {job, opened}

-- The references (job:position …) as items of the new job if they are the failed job's. '-' keeps
-- the place of each other one, for patches know their items by their places. And the positions.
local function taken_over(references)
  local taken, positions = {}, {}
  for reference in string.gmatch(references, '%S+') do
    local of, position = string.match(reference, '^([^:]+):(%d+)$')
    if of == source then
      table.insert(taken, job .. ':' .. position)
      table.insert(positions, position)
    else
      table.insert(taken, '-')
    end
  end
  return taken, positions
end

local function want_again(product, row, kept, lane, references, positions, last_rev)
  local wanted = wanted_key(tenant, product)
  for _, position in ipairs(positions) do
    redis.call('HSET', items, position, 'pending\n' .. product)
  end
  redis.call('HSET', row, 'rev', integer(math.max(now, tonumber(last_rev) + 1)))
  redis.call('PERSIST', row)
  redis.call('RENAME', kept, wanted)
  redis.call('PERSIST', wanted)
  redis.call('ZREM', KEPT, tenant .. '/' .. product)
  redis.call('HDEL', wanted, 'rev')
  redis.call('HSET', wanted, 'items', table.concat(references, ' '), 'attempts', 0,
    'request', state[1])
  redis.call('ZADD', due_key(lane, tenant), integer(now), product)
  redis.call('ZADD', turn_key(lane), 'NX', 0, tenant)
  lanes[lane] = true
end

if opened == 'open' then
  for i = 12, #ARGV do
    local product = ARGV[i]
    local row, kept = row_key(tenant, product), kept_key(tenant, product)
    local held = redis.call('HMGET', kept, 'items', 'rev', 'lane')
    if held[1] and held[2] == redis.call('HGET', row, 'rev') then
      local references, positions = taken_over(held[1])
      if #positions > 0 then
        want_again(product, row, kept, held[3], references, positions, held[2])
      end
    end
  end
  local received = redis.call('HLEN', items)
  redis.call('HSET', key, 'received', received)
  if seal ~= '1' then redis.call('EXPIRE', items, state[2])
  elseif received > 0 then seal_job(tenant, job)
  else redis.call('DEL', key) end
end
out[3] = tonumber(redis.call('HGET', key, 'received')) or 0
for lane in pairs(lanes) do table.insert(out, lane) end
return out
