-- Accepts up to a few hundred changes of one job: each becomes its product's wanted state.
-- Repeating a call does nothing: positions that the job already has are passed over.
-- ARGV: prefix, what opens a job, lane, seal (1 for the last call of the job),
--       then per change: position, product, kind, version or '', body, refetch (1 if the picture
--       is to be embedded anew)
-- Returns the job, 'accepted', and the lane to ring for or ''. Or, in the place of
-- 'accepted', why the changes were not taken: what open_job says; 'absent' for the patch of a product
-- that isn't there, and 'too_many_patches' if as many wait for the product as may, and then there is
-- no job.
local tenant, lane, seal = ARGV[2], ARGV[10], ARGV[11]
local job, opened = open_job()
if opened ~= 'open' then return {job, opened, ''} end
local items = items_key(tenant, job)
local request = redis.call('HGET', job_key(tenant, job), 'request')
local now = now_us()
-- The lane in which something has become due. One request's changes all wait in one lane.
local due_in

-- Accepted if higher, or if equal and that version has not landed whole.
local function is_stale(version, stored, incomplete)
  if version == '' or not stored then return false end
  local new, old = tonumber(version), tonumber(stored)
  return new < old or (new == old and not incomplete)
end

-- Whatever moves the rev on is newer than what failed before it.
local function next_rev(product, row, last_rev)
  local rev = now
  if last_rev and tonumber(last_rev) >= now then rev = tonumber(last_rev) + 1 end
  redis.call('HSET', row, 'rev', integer(rev))
  forget_kept(tenant, product)
end

-- Bytes of patches that may wait for one product; each costs its worker a merge.
local MAX_DELTAS = 262144
-- Bytes of items that may wait for one product: one patch a second for an hour, as long as a picture
-- may have to wait. All end in one script, in some 50 ms.
local MAX_ITEMS = 98304

-- Merges the patch into a wanted put or delta, or has it wanted of a live product. The
-- merging itself is done by the worker; here the patches are only lined up. Returns why it can't.
local function patch(product, body, reference)
  local row, wanted = row_key(tenant, product), wanted_key(tenant, product)
  local held = redis.call('HMGET', wanted, 'kind', 'items', 'deltas', 'lane', 'lease', 'taken',
    'waits_for')
  local state = redis.call('HMGET', row, 'state', 'rev')
  if held[1] == 'delete' or (not held[1] and state[1] ~= 'live') then return 'absent' end
  if #(held[3] or '') > MAX_DELTAS or #(held[2] or '') > MAX_ITEMS then return 'too_many_patches' end
  next_rev(product, row, state[2])
  if held[1] then
    local deltas = held[3] and (held[3] .. '\n' .. body) or body
    redis.call('HSET', wanted, 'items', held[2] .. ' ' .. reference, 'deltas', deltas)
    if held[6] then redis.call('HSET', wanted, 'contested', 1) end
    if not held[5] then
      -- A live product's fields don't wait for its picture.
      if held[7] == 'picture' and state[1] == 'live' then
        redis.call('ZADD', due_key(held[4], tenant), 'LT', integer(now), product)
      end
      due_in = held[4]
    elseif tonumber(redis.call('ZSCORE', due_key(held[4], tenant), product) or now) <= now then
      -- Its lease was lost, perhaps by a worker that died of it: a suspect all the same, and no
      -- more renewed by a worker that is only slow.
      redis.call('HSET', wanted, 'lease', 'lost')
      due_in = held[4]
    end
    -- In work without this patch it stays under its lease, so that a worker that dies of it is
    -- noticed. The report of the outdated rev gives it back, due at once.
  else
    redis.call('HSET', wanted, 'kind', 'delta', 'body', '', 'deltas', body, 'items', reference,
      'attempts', 0, 'lane', lane, 'request', request)
    redis.call('ZADD', due_key(lane, tenant), integer(now), product)
    due_in = lane
  end
end

local function want(product, kind, version, body, refetch, reference, last_rev)
  local row, wanted = row_key(tenant, product), wanted_key(tenant, product)
  next_rev(product, row, last_rev)
  redis.call('HSETNX', row, 'state', 'absent')
  if version ~= '' then redis.call('HSET', row, 'version', version) end
  redis.call('PERSIST', row)

  local replaced = redis.call('HMGET', wanted, 'items', 'lane', 'attempts', 'taken', 'contested')
  if replaced[1] then
    for old in string.gmatch(replaced[1], '%S+') do
      end_item(tenant, old, 'superseded', replaced[3], '')
    end
    if replaced[2] ~= lane then redis.call('ZREM', due_key(replaced[2], tenant), product) end
    redis.call('DEL', wanted)
  end
  redis.call('HSET', wanted, 'kind', kind, 'body', body, 'items', reference, 'attempts', 0,
    'lane', lane, 'request', request)
  if refetch == '1' then redis.call('HSET', wanted, 'refetch', 1) end
  -- The worker that took the replaced change may still write it.
  if replaced[4] or replaced[5] then redis.call('HSET', wanted, 'contested', 1) end
  -- What waits keeps its place, or a product that changes often would never be reached.
  redis.call('ZADD', due_key(lane, tenant), 'LT', integer(now), product)
  due_in = lane
end

local function accept(product, kind, version, body, refetch, reference)
  if kind == 'delta' then return patch(product, body, reference) end
  local held = redis.call('HMGET', row_key(tenant, product), 'rev', 'version', 'incomplete')
  if is_stale(version, held[2], held[3]) then
    end_item(tenant, reference, 'stale', 0, '')
  else
    want(product, kind, version, body, refetch, reference, held[1])
  end
end

for i = 12, #ARGV, 6 do
  local position, product, kind, version, body, refetch = unpack(ARGV, i, i + 5)
  if redis.call('HSETNX', items, position, 'pending\n' .. product) == 1 then
    local refusal = accept(product, kind, version, body, refetch, job .. ':' .. position)
    if refusal then
      -- A patch comes alone, so its job has nothing else in it.
      redis.call('DEL', items, job_key(tenant, job))
      return {job, refusal, ''}
    end
  end
end

-- A tenant that wasn't waiting comes first; one that was keeps its turn.
if due_in then redis.call('ZADD', turn_key(due_in), 'NX', 0, tenant) end
if seal == '1' then
  seal_job(tenant, job)
else
  -- If the caller dies before the seal, nobody was promised this job: let it fade away.
  local retention = redis.call('HGET', job_key(tenant, job), 'retention')
  redis.call('EXPIRE', items, retention)
end
-- One bell for all that becomes due until a worker claims: while none answers, messages must not pile
-- up. In case it is lost, or nobody answers for long, another one may be rung after a minute.
local wakes = due_in and redis.call('SET', rung_key(due_in), 1, 'NX', 'PX', 60000)
return {job, 'accepted', wakes and due_in or ''}
