-- Takes in what became of leased products. Runs even when memory is short: it frees some.
-- ARGV: prefix, token, retention s, all aspects separated by spaces,
--       then per product: tenant, product, rev, result, code, retryable, message, delay in µs,
--       changed aspects separated by spaces, the state found in the index or '',
--       which of the patches fail whatever becomes of the rest (1 is the last one), their detail,
--       1 if the delay is for the picture's sake, and 1 if it has not landed whole
-- Returns the lanes to ring for.
local _, token, retention, every_aspect = unpack(ARGV, 1, 4)
local LANDED = {indexed = 'live', unchanged = 'live', deleted = 'deleted'}
local now = now_us()
local raised = {}
-- The products that have changed, by tenant.
local changed_in = {}
-- Lanes in which something has become due at once.
local due_in = {}

-- Gives back what is leased. What was patched meanwhile, too: the work goes on with it, so what it
-- failed of keeps its count and its delay, and what has landed without it is due at once. So is a put
-- that waits for its picture alone and has been patched: its fields don't wait. A picture keeps its
-- own time, whatever else the put is given back for.
local function give_back(tenant, product, wanted, result, code, message, delay, is_current, waits_for)
  local held = redis.call('HMGET', wanted, 'lease', 'lane', 'waits_for', 'retry_at')
  if held[1] ~= token then return end  -- lost to another task, whose word counts now
  if result == 'retry' then redis.call('HINCRBY', wanted, 'attempts', 1) end
  redis.call('HDEL', wanted, 'lease', 'stood_alone', 'losses')
  if LANDED[result] then
    delay = '0'
    redis.call('HDEL', wanted, 'fault', 'message', 'retry_at', 'waits_for')
  else
    local retry_at = now + tonumber(delay)
    if waits_for == 'picture' or held[3] ~= 'picture' or tonumber(held[4]) < retry_at then
      redis.call('HSET', wanted, 'retry_at', integer(retry_at), 'waits_for', waits_for)
    end
    if code ~= '' then redis.call('HSET', wanted, 'fault', code, 'message', message) end
  end
  if waits_for == 'picture' and not is_current then delay = '0' end
  local goes_on = not is_current or (result ~= 'retry' and result ~= 'release')
  if goes_on and tonumber(delay) == 0 then due_in[held[2]] = true end
  redis.call('ZADD', due_key(held[2], tenant), integer(now + tonumber(delay)), product)
end

-- Keeps what failed as it was wanted, for a retry, as long as the product's row may live: a
-- rename, so that it takes no memory beyond what it held while it waited.
local function keep(tenant, product, wanted, rev)
  local kept = kept_key(tenant, product)
  redis.call('HDEL', wanted, 'lease', 'stood_alone', 'losses', 'attempts', 'request', 'fault',
    'message', 'retry_at', 'waits_for')
  redis.call('HSET', wanted, 'rev', rev)
  redis.call('RENAME', wanted, kept)
  redis.call('EXPIRE', kept, retention)
  redis.call('ZADD', KEPT, integer(now), tenant .. '/' .. product)
  redis.call('EXPIRE', KEPT, retention)
  redis.call('ZREMRANGEBYSCORE', KEPT, '-inf', integer(now - tonumber(retention) * 1000000))
end

-- A change that was given up as its workers seemed to die of it, and landed all the same.
local function land_late(tenant, product, row, rev, result, incomplete)
  local held = redis.call('HMGET', row, 'failed', 'incomplete')
  if held[1] and held[2] == rev and incomplete == '0' then redis.call('HDEL', row, 'incomplete') end
  set_state(tenant, product, row, rev, LANDED[result])
  redis.call('HDEL', row, 'failed', 'message')
  redis.call('PERSIST', row)
  forget_kept(tenant, product)
end

-- Whether the newest put or delete has landed whole: until then its version may be sent again. A
-- patch says nothing of that, because it leaves alone what had failed.
local function note_completeness(row, kind, rev, incomplete)
  if kind == 'delta' then return end
  if incomplete == '0' then redis.call('HDEL', row, 'incomplete')
  else redis.call('HSET', row, 'incomplete', rev) end
end

-- A patch found that the index has lost its live product: the row says so as mark_lost would. It is
-- no failure of the row's change, and stays known until the product is pushed.
local function note_loss(tenant, product, row, rev, found)
  redis.call('HSET', row, 'incomplete', rev)
  redis.call('HDEL', row, 'failed', 'message')
  set_state(tenant, product, row, rev, found)
end

-- Ends the items of patches that could not be merged. Each patch's item stands as far from the end
-- as its patch.
local function end_refused(tenant, items, attempts, refused, detail)
  local references = {}
  for reference in string.gmatch(items, '%S+') do table.insert(references, reference) end
  for place in string.gmatch(refused, '%d+') do
    local reference = references[#references + 1 - tonumber(place)]
    if reference then end_item(tenant, reference, 'failed', attempts + 1, detail) end
  end
end

local function settle(tenant, product, row, wanted, rev, result, code, retryable, message, found,
    refused, refusal, incomplete)
  local held = redis.call('HMGET', wanted, 'items', 'lane', 'attempts', 'kind')
  local attempts, detail = tonumber(held[3]), ''
  note_completeness(row, held[4], rev, incomplete)
  if result == 'failed' then
    attempts = attempts + 1
    detail = code .. '\n' .. retryable .. '\n' .. message
  end
  if result == 'failed' and held[4] == 'delta' and found ~= '' and found ~= 'live' then
    note_loss(tenant, product, row, rev, found)
  elseif result == 'failed' then
    redis.call('HSET', row, 'failed', code, 'message', message)
    -- The index may hold an older change's write that nobody reported.
    if found ~= '' then set_state(tenant, product, row, rev, found) end
    -- A product that never was leaves no row behind for ever.
    if redis.call('HGET', row, 'state') == 'absent' then redis.call('EXPIRE', row, retention) end
  else
    -- Landed with a warning, for example because a new picture is bad and the old vector stays.
    if code ~= '' then detail = code .. '\n' .. retryable .. '\n' .. message end
    set_state(tenant, product, row, rev, LANDED[result])
    redis.call('HDEL', row, 'failed', 'message')
  end
  if result == 'failed' and retryable == '1' then keep(tenant, product, wanted, rev)
  else redis.call('DEL', wanted) end
  redis.call('ZREM', due_key(held[2], tenant), product)
  end_refused(tenant, held[1], tonumber(held[3]), refused, refusal)
  for reference in string.gmatch(held[1], '%S+') do
    end_item(tenant, reference, result, attempts, detail)
  end
end

-- Moves the tenant's change log on. It isn't written for nobody, and at most 1,000 entries are kept,
-- each of one report: what is longer is read faster from the index itself.
local function log_changes(tenant, products)
  local key, stream = generation_key(tenant), changes_key(tenant)
  local last = redis.call('HGET', key, 'log') or ''
  local position = risen(last)
  redis.call('HSET', key, 'log', position)
  if redis.call('EXISTS', followed_key(tenant)) == 0 then return end
  local written = redis.pcall('XADD', stream, 'MAXLEN', '~', 1000, position .. '-0', 'after', last,
    'products', table.concat(products, '\n'))
  -- The clock was set back while the position was lost.
  if type(written) == 'table' and written.err then redis.call('DEL', stream) end
  redis.call('EXPIRE', stream, 600)
end

-- The generations first: nobody may learn of an end before older answers are out of use.
for i = 5, #ARGV, 14 do
  local tenant, product, changed = ARGV[i], ARGV[i + 1], ARGV[i + 8]
  local key = generation_key(tenant)
  -- Where they are unknown all of them count as changed: they may have been lost.
  if changed ~= '' and redis.call('EXISTS', key) == 0 then changed = every_aspect end
  if changed ~= '' then
    changed_in[tenant] = changed_in[tenant] or {}
    table.insert(changed_in[tenant], product)
  end
  for aspect in string.gmatch(changed, '%S+') do
    local generation = tenant .. ' ' .. aspect
    if not raised[generation] then
      raised[generation] = true
      redis.call('HSET', key, aspect, risen(redis.call('HGET', key, aspect)))
    end
  end
end
for tenant, products in pairs(changed_in) do log_changes(tenant, products) end
for i = 5, #ARGV, 14 do
  local tenant, product, rev, result, code, retryable, message, delay = unpack(ARGV, i, i + 7)
  local found, refused, refusal = unpack(ARGV, i + 9, i + 11)
  local waits_for, incomplete = ARGV[i + 12] == '1' and 'picture' or '', ARGV[i + 13]
  local row, wanted = row_key(tenant, product), wanted_key(tenant, product)
  local is_wanted = redis.call('EXISTS', wanted) == 1
  local is_current = redis.call('HGET', row, 'rev') == rev
  -- A report of an older rev settles nothing: its items were superseded on acceptance, or wait with
  -- the patch that moved the rev on.
  if result == 'shown' then
    -- Its generations are raised; the work goes on under its lease.
  elseif is_wanted and (not is_current or result == 'retry' or result == 'release') then
    give_back(tenant, product, wanted, result, code, message, delay, is_current, waits_for)
  elseif is_wanted then
    settle(tenant, product, row, wanted, rev, result, code, retryable, message, found, refused,
      refusal, incomplete)
  elseif is_current and LANDED[result] then
    land_late(tenant, product, row, rev, result, incomplete)
  end
end
local wakes = {}
for lane in pairs(due_in) do
  if redis.call('SET', rung_key(lane), 1, 'NX', 'PX', 60000) then table.insert(wakes, lane) end
end
return wakes
