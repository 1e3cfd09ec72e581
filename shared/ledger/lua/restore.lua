-- Takes products' states from a backup, if nothing newer of them is known. All that waits is due
-- at once, in the order of its acceptance. Repeating a call does nothing.
-- ARGV: prefix, then per product a JSON object of strings: tenant, product, and the hashes row,
--       wanted and kept if there were such, with row_ttl and kept_ttl in ms if they expire
-- Returns the numbers of rows taken, of wanted states taken, and of products left as they were.
local rows, wants, left = 0, 0, 0
local now = now_us()

-- The fields of a wanted state about the attempts so far.
local OF_ATTEMPTS = {'lease', 'stood_alone', 'losses', 'taken', 'fault', 'message', 'retry_at',
  'waits_for'}

local function set_hash(key, fields)
  for field, value in pairs(fields) do redis.call('HSET', key, field, value) end
end

-- Ends items that waited under an older rev, except those that the newer wanted state ends.
local function supersede(tenant, wanted, holder)
  local still = ' ' .. (redis.call('HGET', holder, 'items') or '') .. ' '
  for reference in string.gmatch(wanted.items, '%S+') do
    if not string.find(still, ' ' .. reference .. ' ', 1, true) then
      end_item(tenant, reference, 'superseded', wanted.attempts, '')
    end
  end
end

local function take_row(tenant, product, row, record, held_state)
  if record.row.state == 'absent' and held_state then record.row.state = held_state end
  redis.call('DEL', row)
  set_hash(row, record.row)
  set_state(tenant, product, row, record.row.rev, record.row.state)
  if record.row_ttl and not held_state then redis.call('PEXPIRE', row, record.row_ttl) end
  rows = rows + 1
end

local function want(tenant, product, key, wanted, rev)
  -- The task that held the lease works for another ledger. Its writes may be in the index.
  for _, field in ipairs(OF_ATTEMPTS) do wanted[field] = nil end
  wanted.contested = '1'
  set_hash(key, wanted)
  redis.call('ZADD', due_key(wanted.lane, tenant), integer(math.min(now, tonumber(rev))), product)
  redis.call('ZADD', turn_key(wanted.lane), 'NX', 0, tenant)
  wants = wants + 1
end

local function keep(tenant, product, key, record)
  set_hash(key, record.kept)
  redis.call('PEXPIRE', key, record.kept_ttl)
  redis.call('ZADD', KEPT, integer(now), tenant .. '/' .. product)
end

for i = 2, #ARGV do
  local record = cjson.decode(ARGV[i])
  local tenant, product = record.tenant, record.product
  local row, wanted = row_key(tenant, product), wanted_key(tenant, product)
  local held = redis.call('HMGET', row, 'rev', 'state')
  local ahead = held[1] and tonumber(held[1]) - tonumber(record.row.rev) or -1
  -- The index awaits the picture of a put, which was wanted anew from it: nobody's item yet.
  local is_nobodys = redis.call('HGET', wanted, 'items') == ''
  if ahead > 0 and is_nobodys and record.wanted and record.wanted.kind == 'put' then
    -- Its fields were patched after this record was read; its items end with the picture.
    redis.call('HSET', wanted, 'items', record.wanted.items)
    left = left + 1
  elseif ahead > 0 then
    if record.wanted then supersede(tenant, record.wanted, wanted) end
    left = left + 1
  elseif ahead == 0 then
    -- It has landed, and perhaps nobody has said so yet: a worker will find it done.
    if record.wanted and (is_nobodys or redis.call('EXISTS', wanted) == 0) then
      redis.call('DEL', wanted)
      redis.call('ZREM', due_key('bulk', tenant), product)
      want(tenant, product, wanted, record.wanted, record.row.rev)
    else
      left = left + 1
    end
  else
    supersede_wanted(tenant, product)
    forget_kept(tenant, product)
    take_row(tenant, product, row, record, held[2])
    if record.wanted then want(tenant, product, wanted, record.wanted, record.row.rev)
    elseif record.kept then keep(tenant, product, kept_key(tenant, product), record) end
  end
end
return {rows, wants, left}
