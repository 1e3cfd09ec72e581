-- Notes of rows at rest that the index has lost what they say has landed: the same version is taken
-- again, and the row tells the state in the index. A row that has changed since it was read, or of
-- which something is wanted, stays as it is: the wanted state will land or fail by itself.
-- ARGV: prefix, then per product: tenant, product, the rev that was read, state that was found
-- Returns, per product, 1 if its row was marked.
local marked = {}
for i = 2, #ARGV, 4 do
  local tenant, product, rev, found = unpack(ARGV, i, i + 3)
  local row = row_key(tenant, product)
  local at_rest = redis.call('HGET', row, 'rev') == rev
    and redis.call('EXISTS', wanted_key(tenant, product)) == 0
  if at_rest then
    redis.call('HSET', row, 'incomplete', rev)
    set_state(tenant, product, row, rev, found)
  end
  table.insert(marked, at_rest and 1 or 0)
end
return marked
