-- Leases due products to one task: lanes in the order given, tenants in turn, oldest due first.
-- ARGV: prefix, token, limit, lease in microseconds, lane…
-- Returns {more, tenant, product, rev, version, kind, body, deltas, attempts, request,
--          contested (others may have written it since it last landed), refetch, the code that its
--          last attempt ended with or '', µs until its picture may be asked for again,
--          suspect (1 if its lease was lost), tenant, …}
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

-- Losses that count as an attempt although the product did not stand alone: so many that it must be
-- the product's own doing, and more than there are others in a claim that can be to blame.
local MAX_LOSSES = 100

-- A product's lease ran out: whoever held it died or hung, perhaps of this very product. That counts
-- as a failed attempt if the product stood alone: nothing else can be the cause then.
local function count_loss(wanted, stood_alone)
  local losses = redis.call('HINCRBY', wanted, 'losses', 1)
  redis.call('HDEL', wanted, 'stood_alone')
  if stood_alone or losses > MAX_LOSSES then redis.call('HINCRBY', wanted, 'attempts', 1) end
end

local function take(lane, tenant, product)
  local wanted = wanted_key(tenant, product)
  local lost = redis.call('HMGET', wanted, 'lease', 'stood_alone')
  if lost[1] then count_loss(wanted, lost[2]) end
  local state = redis.call('HMGET', wanted, 'kind', 'body', 'items', 'attempts', 'request', 'deltas',
    'taken', 'contested', 'refetch', 'fault', 'waits_for', 'retry_at')
  local row = redis.call('HMGET', row_key(tenant, product), 'rev', 'version', 'failed')
  -- Of what failed since it last landed, too, a slow worker may yet write something.
  local contested = (state[7] or state[8] or row[3]) and 1 or 0
  redis.call('HSET', wanted, 'lease', token, 'taken', 1)
  redis.call('ZADD', due_key(lane, tenant), integer(now + lease), product)
  mark_started(tenant, state[3])
  local picture_wait = '0'
  if state[11] == 'picture' then picture_wait = integer(math.max(0, tonumber(state[12]) - now)) end
  for _, field in ipairs({tenant, product, row[1], row[2] or '', state[1], state[2],
      state[6] or '', state[4], state[5], contested, state[9] or 0, state[10] or '',
      picture_wait, lost[1] and 1 or 0}) do
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
      if redis.call('EXISTS', wanted_key(tenant, product)) == 0 then
        -- Nothing is wanted of it: a trace of a restored or evicting server.
        redis.call('ZREM', due, product)
      elseif taken == limit then
        out[1] = 1
        break
      else
        take(lane, tenant, product)
      end
    end
    if taken > before then redis.call('ZADD', turn_key(lane), integer(now), tenant) end
    if redis.call('EXISTS', due) == 0 then redis.call('ZREM', turn_key(lane), tenant) end
    if out[1] == 1 and taken == limit then return out end
  end
end
return out
