-- ARGV: prefix, id, worker, lease in milliseconds, a random token of this call.
-- Returns {fence, request}, or nothing when the job is not waiting. The same token again (its answer was lost) gets
-- the same fence.
local prefix, id, worker, lease, token = unpack(ARGV)
local job = prefix .. 'job:' .. id
local status, fence, claims = unpack(redis.call('HMGET', job, 'status', 'fence', 'claims'))
if status == 'running' and fence == claims .. '-' .. token then
  return {fence, redis.call('HGET', job, 'request')}
end
if status ~= 'queued' then
  return false
end
local now = now_us()
move(prefix, id, 'queued', 'running')
redis.call('HINCRBY', job, 'attempts', 1)
-- The token keeps fences apart even if a failover loses the last claims and the count starts again from before them.
fence = redis.call('HINCRBY', job, 'claims', 1) .. '-' .. token
redis.call('HSET', job, 'fence', fence, 'worker', worker, 'started_us', whole(now))
redis.call('ZADD', prefix .. 'leases', whole(now + lease * 1000), id)
emit(prefix, id, 'started', 'attempt', redis.call('HGET', job, 'attempts'), 'worker', worker)
owe_webhook(prefix, id, 'started')
return {fence, redis.call('HGET', job, 'request')}
