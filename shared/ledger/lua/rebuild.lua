-- Brings rows up to the index, if the index knows something newer or the row lacks it.
-- A row that is newer keeps its rev: something was accepted since, and its outcome will follow.
-- ARGV: prefix, then per product: tenant, product, rev, version or '', state, incomplete (1 if it
--       landed without its picture: awaiting it, or with a warning that says so; `image_blank` and
--       `attribute_type_mismatch` say nothing of the kind), the put whose picture it still awaits or ''
-- Returns the numbers of rows that were added, raised to a newer rev, and left.
local added, raised, left = 0, 0, 0

-- Wants the picture that the index awaits. It is nobody's item, until a backup brings one.
local function want_picture(tenant, product, body)
  redis.call('HSET', wanted_key(tenant, product), 'kind', 'put', 'body', body, 'items', '',
    'attempts', 0, 'lane', 'bulk', 'request', '', 'contested', 1)
  redis.call('ZADD', due_key('bulk', tenant), integer(now_us()), product)
  redis.call('ZADD', turn_key('bulk'), 'NX', 0, tenant)
end

local function take_over(tenant, product, row, rev, version, state, incomplete, awaited)
  redis.call('HSET', row, 'rev', rev)
  if incomplete == '1' then redis.call('HSET', row, 'incomplete', rev)
  else redis.call('HDEL', row, 'incomplete') end
  if version ~= '' then redis.call('HSET', row, 'version', version) end
  -- A failure, its kept state, and a wanted state are older than the index's state.
  supersede_wanted(tenant, product)
  redis.call('HDEL', row, 'failed', 'message')
  redis.call('PERSIST', row)
  forget_kept(tenant, product)
  set_state(tenant, product, row, rev, state)
  if awaited ~= '' then want_picture(tenant, product, awaited) end
end

for i = 2, #ARGV, 7 do
  local tenant, product, rev, version, state, incomplete, awaited = unpack(ARGV, i, i + 6)
  local row = row_key(tenant, product)
  local held = redis.call('HMGET', row, 'rev', 'version', 'state')
  if not held[1] then
    take_over(tenant, product, row, rev, version, state, incomplete, awaited)
    added = added + 1
  elseif tonumber(held[1]) < tonumber(rev) then
    take_over(tenant, product, row, rev, version, state, incomplete, awaited)
    raised = raised + 1
  else
    -- Accepted by a ledger that had forgotten the product.
    if version ~= '' and not held[2] then redis.call('HSET', row, 'version', version) end
    if held[3] == 'absent' then
      set_state(tenant, product, row, rev, state)
      redis.call('PERSIST', row)
    end
    left = left + 1
  end
end
return {added, raised, left}
