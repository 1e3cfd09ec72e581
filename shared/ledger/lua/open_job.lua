-- Opens a job, once per Idempotency-Key.
-- ARGV: prefix, tenant, job, received, request id, retention s, idempotency key or '', fingerprint
-- Returns {job, 'open' or 'sealed'}, or {'', 'conflict'}.
local _, tenant, job, received, request, retention, idempotency, fingerprint = unpack(ARGV)

if idempotency ~= '' then
  local key = PREFIX .. 'idempotency:' .. tenant .. ':' .. idempotency
  local held = redis.call('GET', key)
  if held then
    local known, print = string.match(held, '^(%S+) (%S+)$')
    local sealed = redis.call('HGET', job_key(tenant, known), 'sealed')
    if sealed then
      if print ~= fingerprint then return {'', 'conflict'} end
      -- An unsealed one was cut short: the caller goes on where it ended.
      return {known, sealed == '1' and 'sealed' or 'open'}
    end
  end
  redis.call('SET', key, job .. ' ' .. fingerprint, 'EX', retention)
end
redis.call('HSET', job_key(tenant, job), 'received', received, 'done', 0, 'sealed', 0,
  'retention', retention, 'request', request, 'created_at', integer(now_us()))
-- Until the seal makes it a promise.
redis.call('EXPIRE', job_key(tenant, job), retention)
return {job, 'open'}
