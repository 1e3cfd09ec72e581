-- Leases due products to one task: lanes in the order given, tenants in turn, oldest due first.
-- ARGV: prefix, token, limit, lease in microseconds, lane…
-- Returns {more, tenant, product, rev, version, kind, body, deltas, attempts, request, tenant, …}
local _, token, limit, lease = unpack(ARGV, 1, 4)
limit, lease = tonumber(limit), tonumber(lease)
local now = now_us()
local out, taken, started = {0}, 0, {}

local function mark_started(tenant, references)
  for job in string.gmatch(references, '(%S+):%d+') do
    if not started[job] then
      started[job] = true
      redis.call('HSETNX', job_key(tenant, job), 'started_at', integer(now))
    end
  end
end

local function take(lane, tenant, product, state, attempts)
  local row = redis.call('HMGET', row_key(tenant, product), 'rev', 'version')
  redis.call('HSET', wanted_key(tenant, product), 'lease', token)
  redis.call('ZADD', due_key(lane, tenant), integer(now + lease), product)
  mark_started(tenant, state[3])
  for _, field in ipairs({tenant, product, row[1], row[2] or '', state[1], state[2],
      state[8] or '', attempts, state[7]}) do
    table.insert(out, field)
  end
  taken = taken + 1
end

for l = 5, #ARGV do
  local lane = ARGV[l]
  for _, tenant in ipairs(redis.call('ZRANGE', turn_key(lane), 0, -1)) do
    local due = due_key(lane, tenant)
    local before = taken
    -- One more than wanted, to know whether others are left.
    for _, product in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', integer(now),
        'LIMIT', 0, limit - taken + 1)) do
      local wanted = wanted_key(tenant, product)
      local state = redis.call('HMGET', wanted,
        'kind', 'body', 'items', 'attempts', 'lease', 'alone', 'request', 'deltas')
      if taken == limit then
        out[1] = 1
        break
      elseif not state[5] then
        take(lane, tenant, product, state, state[4])
      elseif taken == 0 then
        -- Its lease ran out, so whoever held it died or hung, perhaps of this very product: it is
        -- taken alone. If it was alone already, that counts as a failed attempt.
        local attempts = state[4]
        if state[6] then attempts = redis.call('HINCRBY', wanted, 'attempts', 1) end
        redis.call('HSET', wanted, 'alone', 1)
        take(lane, tenant, product, state, attempts)
        redis.call('ZADD', turn_key(lane), integer(now), tenant)
        out[1] = 1
        return out
      else
        out[1] = 1
      end
    end
    if taken > before then redis.call('ZADD', turn_key(lane), integer(now), tenant) end
    if redis.call('EXISTS', due) == 0 then redis.call('ZREM', turn_key(lane), tenant) end
    if out[1] == 1 and taken == limit then return out end
  end
end
return out
