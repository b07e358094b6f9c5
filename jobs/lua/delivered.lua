-- ARGV: prefix, message, token of the call that took it, 'delivered', 'failed' (given up) or 'pending' (to be tried again),
-- milliseconds until then, what went wrong or ''. Returns whether the message was still this call's to settle.
local prefix, message, token, status, delay, failure = unpack(ARGV)
local delivery = prefix .. 'webhook:' .. message
local held_by, id, attempts = unpack(redis.call('HMGET', delivery, 'token', 'job_id', 'attempts'))
if held_by ~= token then
  return 0
end
if status == 'pending' then
  redis.call('HDEL', delivery, 'token')
  redis.call('ZADD', prefix .. 'webhooks', whole(now_us() + delay * 1000), message)
else
  redis.call('DEL', delivery)
  redis.call('ZREM', prefix .. 'webhooks', message)
end
local job = prefix .. 'job:' .. id
if redis.call('HGET', job, 'webhook_message') == message then -- the job exists, and its newest message is this one
  redis.call('HSET', job, 'webhook_status', status, 'webhook_attempts', attempts)
  if failure == '' then
    redis.call('HDEL', job, 'webhook_error')
  else
    redis.call('HSET', job, 'webhook_error', failure)
  end
end
return 1
