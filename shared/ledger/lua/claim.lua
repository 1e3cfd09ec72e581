-- Leases due products to one task: lanes in the order given, tenants in turn, oldest due first.
-- ARGV: prefix, token, limit, lease in microseconds, lane…
-- Returns {more (2 where it hands out one product whose lease was lost), tenant, product, rev,
--          version, kind, body, deltas, attempts, request,
--          crowded (others may have written it since it last landed), refetch, the code that its
--          last attempt ended with or '', µs until its picture may be asked for again, tenant, …}
local _, token, limit, lease = unpack(ARGV, 1, 4)
limit, lease = tonumber(limit), tonumber(lease)
-- What becomes due from now on is rung for anew.
for l = 5, #ARGV do redis.call('DEL', rung_key(ARGV[l])) end
local now = now_us()
local out, taken, started = {0}, 0, {}

local function mark_started(tenant, references)
  for job in string.gmatch(references, '(%S+):%d+') do
    if not started[job] then
      started[job] = true
      local key = job_key(tenant, job)
      if redis.call('EXISTS', key) == 1 then
        redis.call('HSETNX', key, 'started_at', integer(now))
      end
    end
  end
end

local function take(lane, tenant, product, state, attempts)
  local row = redis.call('HMGET', row_key(tenant, product), 'rev', 'version', 'failed')
  -- Of what failed since it last landed, too, a slow worker may yet write something.
  local crowded = (state[9] or state[10] or row[3]) and 1 or 0
  redis.call('HSET', wanted_key(tenant, product), 'lease', token, 'taken', 1)
  redis.call('ZADD', due_key(lane, tenant), integer(now + lease), product)
  mark_started(tenant, state[3])
  local picture_wait = '0'
  if state[13] == 'picture' then picture_wait = integer(math.max(0, tonumber(state[14]) - now)) end
  for _, field in ipairs({tenant, product, row[1], row[2] or '', state[1], state[2],
      state[8] or '', attempts, state[7], crowded, state[11] or 0, state[12] or '',
      picture_wait}) do
    table.insert(out, field)
  end
  taken = taken + 1
end

local function state_of(tenant, product)
  return redis.call('HMGET', wanted_key(tenant, product),
    'kind', 'body', 'items', 'attempts', 'lease', 'alone', 'request', 'deltas', 'taken', 'crowded',
    'refetch', 'fault', 'waits_for', 'retry_at')
end

-- A product whose lease ran out: whoever held it died or hung, perhaps of this very product, so it
-- is taken alone. If it was alone already, that counts as a failed attempt.
local function take_alone(lane, tenant, product, state)
  local wanted, attempts = wanted_key(tenant, product), state[4]
  if state[6] then attempts = redis.call('HINCRBY', wanted, 'attempts', 1) end
  redis.call('HSET', wanted, 'alone', 1)
  take(lane, tenant, product, state, attempts)
  redis.call('ZADD', turn_key(lane), integer(now), tenant)
  out[1] = 2
  return out
end

-- Suspects that an earlier claim met with its hands full come first, or a lane that is never empty
-- would keep them waiting for ever.
for l = 5, #ARGV do
  local lane = ARGV[l]
  local popped = redis.call('ZPOPMIN', suspects_key(lane))
  while popped[1] do
    local tenant, product = string.match(popped[1], '^([^/]+)/(.*)$')
    local state = state_of(tenant, product)
    local due = redis.call('ZSCORE', due_key(lane, tenant), product)
    if state[5] and due and tonumber(due) <= now then
      return take_alone(lane, tenant, product, state)
    end
    popped = redis.call('ZPOPMIN', suspects_key(lane))
  end
end

for l = 5, #ARGV do
  local lane = ARGV[l]
  for _, tenant in ipairs(redis.call('ZRANGE', turn_key(lane), 0, -1)) do
    local due = due_key(lane, tenant)
    local before = taken
    -- One more than wanted, to know whether others are left.
    for _, product in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', integer(now),
        'LIMIT', 0, limit - taken + 1)) do
      local state = state_of(tenant, product)
      if not state[1] then
        -- Nothing is wanted of it: a trace of a restored or evicting server.
        redis.call('ZREM', due, product)
      elseif taken == limit then
        out[1] = 1
        break
      elseif not state[5] then
        take(lane, tenant, product, state, state[4])
      elseif taken == 0 then
        return take_alone(lane, tenant, product, state)
      else
        redis.call('ZADD', suspects_key(lane), integer(now), tenant .. '/' .. product)
        out[1] = 1
      end
    end
    if taken > before then redis.call('ZADD', turn_key(lane), integer(now), tenant) end
    if redis.call('EXISTS', due) == 0 then redis.call('ZREM', turn_key(lane), tenant) end
    if out[1] == 1 and taken == limit then return out end
  end
end
return out
