-- ARGV: prefix, id, most attempts, error for a job that has used them up.
-- Take a job whose lease has ended from its worker. Returns the new status, or 'held' when the lease is good.
local prefix, id, most, failure = unpack(ARGV)
local job = prefix .. 'job:' .. id
local ends = redis.call('ZSCORE', prefix .. 'leases', id)
if not ends or tonumber(ends) > now_us() then
  return 'held'
end
if redis.call('HGET', job, 'status') ~= 'running' then
  redis.call('ZREM', prefix .. 'leases', id)
  return 'held'
end
if redis.call('HEXISTS', job, 'cancel_requested') == 1 then
  finish(prefix, id, 'running', 'canceled')
  return 'canceled'
end
if tonumber(redis.call('HGET', job, 'attempts')) >= tonumber(most) then
  redis.call('HSET', job, 'error', failure)
  finish(prefix, id, 'running', 'failed')
  return 'failed'
end
requeue(prefix, id, 'worker_lost')
return 'queued'
