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
local function suspects_key(lane) return PREFIX .. 'suspects:' .. lane end
local function job_key(tenant, job) return PREFIX .. 'job:' .. tenant .. ':' .. job end
local function items_key(tenant, job) return PREFIX .. 'items:' .. tenant .. ':' .. job end
local function end_key(tenant, job) return PREFIX .. 'end:' .. tenant .. ':' .. job end
-- A hash: one counter per aspect of the index that answers depend on.
local function generation_key(tenant) return PREFIX .. 'generation:' .. tenant end
local GRAVES = PREFIX .. 'graves'

-- Microseconds since 1970. A double holds them exactly until the year 2255.
local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Lua would write such a number as 1.7e+15.
local function integer(number) return string.format('%.0f', number) end

-- A counter that goes on with the clock where it was lost, so that no number comes twice.
local function risen(last)
  return integer(math.max(now_us(), (tonumber(last) or 0) + 1))
end

-- Ends the job if it is sealed and all its items have ended; wakes those who wait for it.
local function end_job_if_done(tenant, job)
  local key = job_key(tenant, job)
  local state = redis.call('HMGET', key, 'received', 'done', 'sealed', 'retention', 'finished_at')
  if state[5] or state[3] ~= '1' or state[1] ~= state[2] then return end
  redis.call('HSET', key, 'finished_at', integer(now_us()))
  redis.call('XADD', end_key(tenant, job), '*', 'end', '1')
  redis.call('EXPIRE', key, state[4])
  redis.call('EXPIRE', items_key(tenant, job), state[4])
  -- For those who wait now; whoever asks later reads the end from the job. A stream of one entry
  -- takes 4 kB, ten times as much as the rest.
  redis.call('EXPIRE', end_key(tenant, job), 60)
end

-- Takes the item `reference` (job:position) from pending to its outcome, exactly once.
-- `detail` is '' or code, retryable and message, a line each.
local function end_item(tenant, reference, outcome, attempts, detail)
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
  redis.call('HSETNX', key, 'started_at', integer(now_us()))
  end_job_if_done(tenant, job)
end
