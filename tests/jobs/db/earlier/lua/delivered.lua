-- ARGV: prefix, message, token of the call that took it, 'delivered', 'failed' (given up) or 'pending' (to be tried again),
-- milliseconds until then, the error or '', 1 if its host did not answer.
-- Returns whether the message was still this call's to settle.
local prefix, message, token, status, delay, failure, is_silent = unpack(ARGV)
local MOST_SILENT_S = 60
local delivery, now = prefix .. 'webhook:' .. message, now_us()
local held_by, id, attempts, caller, host =
  unpack(redis.call('HMGET', delivery, 'token', 'job_id', 'attempts', 'caller', 'host'))
if held_by ~= token then
  return 0
end
if caller then -- the version before took messages without a queue
  redis.call('ZREM', webhook_sending(prefix, 'host', host), message)
  redis.call('ZREM', webhook_sending(prefix, 'caller', caller), message)
  local silence, from = webhook_silence(prefix, caller, host), now
  if is_silent == '1' then
    local times = redis.call('HINCRBY', silence, 'times', 1)
    from = now + math.min(MOST_SILENT_S, 2 ^ math.min(times - 1, 10)) * 1000000
    redis.call('HSET', silence, 'until_us', whole(from))
    redis.call('EXPIRE', silence, 86400)
  else
    redis.call('DEL', silence)
  end
  redis.call('ZADD', prefix .. 'webhook_hosts:' .. caller, 'XX', whole(from), host)
  redis.call('ZADD', prefix .. 'webhook_callers', 'XX', 'LT', whole(now), caller)
end
if status == 'pending' then
  redis.call('HDEL', delivery, 'token')
  redis.call('ZADD', prefix .. 'webhooks', whole(now + delay * 1000), message)
  note_webhook(prefix, id, message, status, attempts, failure)
else
  end_webhook(prefix, message, status, failure)
end
return 1
