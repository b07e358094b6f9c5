-- ARGV: prefix, id, fence, 'again' or 'aside'. Give a job back without charging the attempt, to wait again at its place,
-- or aside until a worker comes that can read its request. Returns the new status or 'lost'.
local prefix, id, fence, place = unpack(ARGV)
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
requeue(prefix, id, 'released')
if place == 'aside' then
  redis.call('HINCRBY', job, 'starts', -1)
  redis.call('HDEL', job, 'started_us', 'worker')
  leave_line(prefix, id)
  redis.call('ZADD', prefix .. 'aside', redis.call('HGET', job, 'tag'), id)
end
return 'queued'
