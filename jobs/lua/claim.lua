-- ARGV: prefix, id, worker, lease in milliseconds. Returns {fence, request}, or nothing when the job is not waiting.
local prefix, id, worker, lease = unpack(ARGV)
local job = prefix .. 'job:' .. id
if redis.call('HGET', job, 'status') ~= 'queued' then
  return false
end
local now = now_us()
move(prefix, id, 'queued', 'running')
redis.call('HINCRBY', job, 'attempts', 1)
local fence = redis.call('HINCRBY', job, 'fence', 1)
redis.call('HSET', job, 'worker', worker, 'started_us', whole(now), 'step', 0, 'steps', 0)
redis.call('HDEL', job, 'eta_s')
redis.call('ZADD', prefix .. 'leases', whole(now + lease * 1000), id)
return {tostring(fence), redis.call('HGET', job, 'request')}
