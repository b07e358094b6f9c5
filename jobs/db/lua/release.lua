-- ARGV: prefix, id, fence, 'waiting' or 'parked', most starts, error for a job that has used those up; and of a job that
-- is handed over, the file of its state in the execution's folder, the steps done, and the steps in all. Release a job
-- without charging the attempt, to wait again at its place, or parked until a worker comes that can read its request.
-- Returns the new status or 'lost'.
--
-- The file of the state (field 'state', with its folder) stays until the job ends, or until another takes its place.
local prefix, id, fence, place, most_starts, out_of_starts, state, step, steps = unpack(ARGV)
if not owns(prefix, id, fence) then
  return 'lost'
end
local job = prefix .. 'job:' .. id
if redis.call('HEXISTS', job, 'cancel_requested') == 1 then
  collect_later(prefix, id .. '/' .. fence)
  finish(prefix, id, 'running', 'canceled')
  return 'canceled'
end
redis.call('HINCRBY', job, 'attempts', -1)
if place == 'parked' then
  -- It was not begun: no worker of this version knows how.
  redis.call('HINCRBY', job, 'starts', -1)
elseif state then
  -- It has come further, so it may start as often as before.
  redis.call('HINCRBY', job, 'handovers', 1)
elseif counted_starts(redis.call('HMGET', job, 'starts', 'handovers')) >= tonumber(most_starts) then
  collect_later(prefix, id .. '/' .. fence)
  redis.call('HSET', job, 'error', out_of_starts)
  finish(prefix, id, 'running', 'failed')
  return 'failed'
end
if state then
  emit(prefix, id, 'log', 'level', 'info', 'message', 'handed over after ' .. step .. ' of ' .. steps .. ' steps')
end
requeue(prefix, id, 'released')
if state then
  drop_state(prefix, id, redis.call('HGET', job, 'state'))
  redis.call('ZREM', prefix .. 'orphans', id .. '/' .. fence)
  redis.call('HSET', job, 'state', fence .. '/' .. state, 'step', step, 'steps', steps)
end
if place == 'parked' then
  redis.call('HDEL', job, 'started_us', 'worker')
  dequeue(prefix, id)
  redis.call('ZADD', prefix .. 'aside', redis.call('HGET', job, 'tag'), id)
end
return 'queued'
