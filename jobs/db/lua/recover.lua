-- ARGV: prefix, id, fence of the execution that gives up, or '' to take the job from a worker whose lease has ended,
-- most attempts, error for a job that has used them up, most starts, error for a job that has used those up.
-- An execution has ended with its worker. Returns the new status, 'held' when the lease is good, or 'lost' when the
-- fence is stale.
--
-- We cannot tell which of its jobs a worker died of. If it held several, none is charged and each is quarantined (field
-- 'suspect'), to run alone; a job that was alone with its worker is charged an attempt.
local prefix, id, fence, most_attempts, out_of_attempts, most_starts, out_of_starts = unpack(ARGV)
local job = prefix .. 'job:' .. id
if fence ~= '' then
  if not owns(prefix, id, fence) then
    return 'lost'
  end
else
  local ends = redis.call('ZSCORE', prefix .. 'leases', id)
  if not ends or tonumber(ends) > now_us() then
    return 'held'
  end
  if redis.call('HGET', job, 'status') ~= 'running' then
    redis.call('ZREM', prefix .. 'leases', id)
    return 'held'
  end
end
local worker, held_by, co_held, attempts, starts, handovers =
  unpack(redis.call('HMGET', job, 'worker', 'fence', 'company', 'attempts', 'starts', 'handovers'))
redis.call('INCR', prefix .. 'executions_lost')
-- All of them are marked at the first one's end, since each leaves the worker's hands here.
local together = redis.call('SMEMBERS', prefix .. 'held:' .. worker)
if #together > 1 then
  for _, other in ipairs(together) do
    local other_fence = redis.call('HGET', prefix .. 'job:' .. other, 'fence')
    if other_fence then
      redis.call('HSET', prefix .. 'job:' .. other, 'company', other_fence)
    end
  end
end
local failure
if #together > 1 or co_held == held_by then
  redis.call('HINCRBY', job, 'attempts', -1)
elseif tonumber(attempts) >= tonumber(most_attempts) then
  failure = out_of_attempts
end
if not failure and counted_starts({starts, handovers}) >= tonumber(most_starts) then
  failure = out_of_starts
end
if redis.call('HEXISTS', job, 'cancel_requested') == 1 or failure then
  collect_later(prefix, id .. '/' .. held_by)
end
if redis.call('HEXISTS', job, 'cancel_requested') == 1 then
  finish(prefix, id, 'running', 'canceled')
  return 'canceled'
end
if failure then
  redis.call('HSET', job, 'error', failure)
  finish(prefix, id, 'running', 'failed')
  return 'failed'
end
redis.call('HSET', job, 'suspect', 1)
requeue(prefix, id, 'worker_lost')
return 'queued'
