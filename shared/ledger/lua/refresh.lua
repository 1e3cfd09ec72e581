-- Tells a task what has been patched of products that it holds. A put or delete that replaced what
-- the task holds has ended its lease, and so has another task that claimed it.
-- ARGV: prefix, token, then per product: tenant, product, the rev that the task knows
-- Returns, per product, its rev or '' if the task holds it no more, and its deltas if the rev is
-- another one than the task knows.
local token = ARGV[2]
local out = {}
for i = 3, #ARGV, 3 do
  local tenant, product, known = unpack(ARGV, i, i + 2)
  local rev, deltas = '', ''
  local held = redis.call('HMGET', wanted_key(tenant, product), 'lease', 'deltas')
  if held[1] == token then
    rev = redis.call('HGET', row_key(tenant, product), 'rev') or ''
    if rev ~= known then deltas = held[2] or '' end
  end
  table.insert(out, rev)
  table.insert(out, deltas)
end
return out
