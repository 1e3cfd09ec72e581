-- Accepts up to a few hundred changes of one job: each becomes its product's wanted state.
-- Repeating a call does nothing: positions that the job already has are passed over.
-- ARGV: prefix, tenant, job, lane, seal (1 for the last call of the job),
--       then per change: position, product, kind, version or '', body
local _, tenant, job, lane, seal = unpack(ARGV, 1, 5)
local items = items_key(tenant, job)
local request = redis.call('HGET', job_key(tenant, job), 'request')
local now = now_us()
local wanted_any = false

-- Accepted if higher, or equal where the last outcome was a failure.
local function is_stale(version, stored, failed)
  if version == '' or not stored then return false end
  local new, old = tonumber(version), tonumber(stored)
  return new < old or (new == old and not failed)
end

local function want(product, kind, version, body, reference, last_rev)
  local row, wanted = row_key(tenant, product), wanted_key(tenant, product)
  local rev = now
  if last_rev and tonumber(last_rev) >= now then rev = tonumber(last_rev) + 1 end
  redis.call('HSET', row, 'rev', integer(rev))
  redis.call('HSETNX', row, 'state', 'absent')
  if version ~= '' then redis.call('HSET', row, 'version', version) end
  redis.call('PERSIST', row)
  forget_kept(tenant, product)

  local replaced = redis.call('HMGET', wanted, 'items', 'lane', 'attempts')
  if replaced[1] then
    for old in string.gmatch(replaced[1], '%S+') do
      end_item(tenant, old, 'superseded', replaced[3], '')
    end
    if replaced[2] ~= lane then redis.call('ZREM', due_key(replaced[2], tenant), product) end
    redis.call('DEL', wanted)
  end
  redis.call('HSET', wanted, 'kind', kind, 'body', body, 'items', reference, 'attempts', 0,
    'lane', lane, 'request', request)
  redis.call('ZADD', due_key(lane, tenant), integer(now), product)
  wanted_any = true
end

for i = 6, #ARGV, 5 do
  local position, product, kind, version, body = unpack(ARGV, i, i + 4)
  if redis.call('HSETNX', items, position, 'pending\n' .. product) == 1 then
    local reference = job .. ':' .. position
    local held = redis.call('HMGET', row_key(tenant, product), 'rev', 'version', 'failed')
    if is_stale(version, held[2], held[3]) then
      end_item(tenant, reference, 'stale', 0, '')
    else
      want(product, kind, version, body, reference, held[1])
    end
  end
end

-- A tenant that wasn't waiting comes first; one that was keeps its turn.
if wanted_any then redis.call('ZADD', turn_key(lane), 'NX', 0, tenant) end
if seal == '1' then
  seal_job(tenant, job)
else
  -- If the caller dies before the seal, nobody was promised this job: let it fade away.
  local retention = redis.call('HGET', job_key(tenant, job), 'retention')
  redis.call('EXPIRE', items, retention)
end
