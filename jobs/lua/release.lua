-- ARGV: prefix, id, fence. Give a job back without charging the attempt. Returns the new status or 'lost'.
local prefix, id, fence = unpack(ARGV)
if not owns(prefix, id, fence) then
  return 'lost'
end
local job = prefix .. 'job:' .. id
if redis.call('HEXISTS', job, 'cancel_requested') == 1 then
  finish(prefix, id, 'running', 'canceled')
  return 'canceled'
end
redis.call('HINCRBY', job, 'attempts', -1)
requeue(prefix, id, 'released')
return 'queued'
