-- Shared by all scripts of the ledger: key names, the clock, and the end of an item.
--
-- The ledger lives on one server (with Sentinel behind it, not Redis Cluster), so scripts may
-- derive key names from their arguments.

local PREFIX = ARGV[1]

local function row_key(tenant, product) return PREFIX .. 'row:' .. tenant .. ':' .. product end
-- The wanted state stands apart from the row, so that a row at rest stays a small packed hash.
local function wanted_key(tenant, product) return PREFIX .. 'wanted:' .. tenant .. ':' .. product end
local function due_key(lane, tenant) return PREFIX .. 'due:' .. lane .. ':' .. tenant end
local function turn_key(lane) return PREFIX .. 'turn:' .. lane end
-- Exists while a bell is on its way for the due products of the lane.
local function rung_key(lane) return PREFIX .. 'rung:' .. lane end
local function job_key(tenant, job) return PREFIX .. 'job:' .. tenant .. ':' .. job end
local function items_key(tenant, job) return PREFIX .. 'items:' .. tenant .. ':' .. job end
local function end_key(tenant, job) return PREFIX .. 'end:' .. tenant .. ':' .. job end
-- A hash: one counter per aspect of the index that answers depend on, and `log`, the position of
-- the tenant's change log.
local function generation_key(tenant) return PREFIX .. 'generation:' .. tenant end
-- A stream of the products whose changes were reported, for those who hold a copy of them. An entry
-- has the position as its id, and says after which position it comes: a reader that finds the chain
-- broken, because the stream was cut, lost or not written for a while, reads everything anew.
local function changes_key(tenant) return PREFIX .. 'changes:' .. tenant end
-- There while somebody reads that stream. It isn't written for nobody.
local function followed_key(tenant) return PREFIX .. 'followed:' .. tenant end
-- Deleted products by rev. Ledgers of earlier releases hold them under this name.
local TOMBSTONES = PREFIX .. 'graves'
-- The tenant's jobs by creation: those with items left, and those that have ended.
local function open_jobs_key(tenant) return PREFIX .. 'jobs:open:' .. tenant end
local function ended_jobs_key(tenant) return PREFIX .. 'jobs:ended:' .. tenant end
-- What failed and may be retried: the wanted state as it was, while nothing newer is wanted.
local function kept_key(tenant, product) return PREFIX .. 'kept:' .. tenant .. ':' .. product end
-- All of these by the time they were kept, as tenant/product.
local KEPT = PREFIX .. 'kept'

-- Microseconds since 1970. A double holds them exactly until the year 2255.
local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Lua would write such a number as 1.7e+15.
local function integer(number) return string.format('%.0f', number) end

-- A counter that goes on with the clock if it was lost, so that no number comes twice.
local function risen(last)
  return integer(math.max(now_us(), (tonumber(last) or 0) + 1))
end

local function forget_kept(tenant, product)
  if redis.call('DEL', kept_key(tenant, product)) == 1 then
    redis.call('ZREM', KEPT, tenant .. '/' .. product)
  end
end

-- Notes the state of the product in the index under this rev; deleted ones are listed by rev.
local function set_state(tenant, product, row, rev, state)
  redis.call('HSET', row, 'state', state)
  local tombstone = tenant .. '/' .. product
  if state == 'deleted' then redis.call('ZADD', TOMBSTONES, rev, tombstone)
  else redis.call('ZREM', TOMBSTONES, tombstone) end
end

-- Opens a job or finds the one of its Idempotency-Key. The arguments 2 to 9 of whoever calls it:
-- tenant, job, received, request id, retention s, idempotency key or '', fingerprint of the request,
-- has_room (1 if the ledger has room for new changes)
-- Returns the job and its state: 'open'; 'sealed', and then it is a promise already; 'conflict' if
-- the key was used for another request; 'full' if there is no room and the job isn't sealed.
local function open_job()
  local tenant, job, received, request, retention, idempotency, fingerprint, has_room = unpack(ARGV, 2, 9)
  local named = PREFIX .. 'idempotency:' .. tenant .. ':' .. idempotency
  if idempotency ~= '' then
    local known, print = string.match(redis.call('GET', named) or '', '^(%S+) (%S+)$')
    local sealed = known and redis.call('HGET', job_key(tenant, known), 'sealed')
    if sealed and print ~= fingerprint then return job, 'conflict' end
    if sealed == '1' then return known, 'sealed' end
    -- One that was cut short: the caller goes on where it ended.
    if sealed then job = known end
  end
  if has_room ~= '1' then return job, 'full' end
  if redis.call('EXISTS', job_key(tenant, job)) == 1 then return job, 'open' end
  if idempotency ~= '' then redis.call('SET', named, job .. ' ' .. fingerprint, 'EX', retention) end
  redis.call('HSET', job_key(tenant, job), 'received', received, 'done', 0, 'sealed', 0,
    'retention', retention, 'request', request, 'created_at', integer(now_us()))
  -- Until the seal makes it a promise.
  redis.call('EXPIRE', job_key(tenant, job), retention)
  return job, 'open'
end

-- Moves the job to the list of those that have ended, and drops some of the oldest that expired.
-- One comes in and up to three go, so the list holds little more than the jobs that still exist.
local function list_as_ended(tenant, job, created_at, retention)
  local ended = ended_jobs_key(tenant)
  redis.call('ZREM', open_jobs_key(tenant), job)
  redis.call('ZADD', ended, created_at, job)
  redis.call('EXPIRE', ended, retention)
  for _, old in ipairs(redis.call('ZRANGE', ended, 0, 2)) do
    if redis.call('EXISTS', job_key(tenant, old)) == 0 then redis.call('ZREM', ended, old) end
  end
end

-- Ends the job if it is sealed and all its items have ended; wakes the clients that wait for it.
local function end_job_if_done(tenant, job)
  local key = job_key(tenant, job)
  local state = redis.call('HMGET', key, 'received', 'done', 'sealed', 'retention', 'finished_at',
    'created_at')
  if state[5] or state[3] ~= '1' or state[1] ~= state[2] then return end
  redis.call('HSET', key, 'finished_at', integer(now_us()))
  redis.call('XADD', end_key(tenant, job), '*', 'end', '1')
  redis.call('EXPIRE', key, state[4])
  redis.call('EXPIRE', items_key(tenant, job), state[4])
  -- For clients that wait now; later ones read the end from the job. A stream of one entry
  -- takes 4 kB, ten times as much as the rest.
  redis.call('EXPIRE', end_key(tenant, job), 60)
  list_as_ended(tenant, job, state[6], state[4])
end

-- Makes an open job a promise: it holds all its items, is listed, and stays until it has ended.
local function seal_job(tenant, job)
  local key = job_key(tenant, job)
  local created_at = redis.call('HGET', key, 'created_at')
  redis.call('HSET', key, 'sealed', 1)
  redis.call('PERSIST', key)
  redis.call('PERSIST', items_key(tenant, job))
  redis.call('ZADD', open_jobs_key(tenant), created_at, job)
  end_job_if_done(tenant, job)
end

-- Takes the item `reference` (job:position) from pending to its outcome, exactly once. '-' is in the
-- place of one that has ended before.
-- `detail` is '' or code, retryable and message, a line each.
local function end_item(tenant, reference, outcome, attempts, detail)
  if reference == '-' then return end
  local job, position = string.match(reference, '^([^:]+):(%d+)$')
  local items = items_key(tenant, job)
  local held = redis.call('HGET', items, position)
  if not held or string.sub(held, 1, 8) ~= 'pending\n' then return end
  local product = string.sub(held, 9)
  local value = outcome .. '\n' .. product .. '\n' .. attempts
  if detail ~= '' then value = value .. '\n' .. detail end
  redis.call('HSET', items, position, value)
  local key = job_key(tenant, job)
  if redis.call('EXISTS', key) == 0 then return end  -- it was never sealed, and has faded away
  redis.call('HINCRBY', key, outcome, 1)
  redis.call('HINCRBY', key, 'done', 1)
  if outcome ~= 'failed' and detail ~= '' then redis.call('HINCRBY', key, 'with_warnings', 1) end
  redis.call('HSETNX', key, 'started_at', integer(now_us()))
  end_job_if_done(tenant, job)
end

-- Ends the wanted state of a product, because something newer is known.
local function supersede_wanted(tenant, product)
  local wanted = wanted_key(tenant, product)
  local held = redis.call('HMGET', wanted, 'items', 'lane', 'attempts')
  if not held[1] then return end
  for reference in string.gmatch(held[1], '%S+') do
    end_item(tenant, reference, 'superseded', held[3], '')
  end
  redis.call('ZREM', due_key(held[2], tenant), product)
  redis.call('DEL', wanted)
end
