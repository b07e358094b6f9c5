-- ARGV: prefix, lease in milliseconds, a random token of this call.
-- Take the webhook message that has been due for the longest; nothing when none is due. Unless it is settled before the
-- lease ends, it is due again.
-- Returns {message, job, event, attempts with this one, its age in microseconds}.
local prefix, lease, token = unpack(ARGV)
local now = now_us()
local message = redis.call('ZRANGEBYSCORE', prefix .. 'webhooks', '-inf', whole(now), 'LIMIT', 0, 1)[1]
if not message then
  return false
end
local delivery = prefix .. 'webhook:' .. message
redis.call('ZADD', prefix .. 'webhooks', whole(now + lease * 1000), message)
redis.call('HSET', delivery, 'token', token)
local attempts = redis.call('HINCRBY', delivery, 'attempts', 1)
local id, event, owed = unpack(redis.call('HMGET', delivery, 'job_id', 'event', 'owed_us'))
return {message, id, event, attempts, whole(now - owed)}
