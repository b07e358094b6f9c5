-- ARGV: prefix, id, fence, 'waiting' or 'parked', most starts, error for a job that has used those up. Release a job
-- without charging the attempt, to wait again at its place, or parked until a worker comes that can read its request.
-- Returns the new status or 'lost'.
local prefix, id, fence, place, most_starts, out_of_starts = unpack(ARGV)
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
elseif tonumber(redis.call('HGET', job, 'starts')) >= tonumber(most_starts) then
  collect_later(prefix, id .. '/' .. fence)
  redis.call('HSET', job, 'error', out_of_starts)
  finish(prefix, id, 'running', 'failed')
  return 'failed'
end
requeue(prefix, id, 'released')
if place == 'parked' then
  redis.call('HDEL', job, 'started_us', 'worker')
  dequeue(prefix, id)
  redis.call('ZADD', prefix .. 'aside', redis.call('HGET', job, 'tag'), id)
end
return 'queued'
