-- ARGV: prefix, lease in milliseconds, a random token of this call, most deliveries at a time to one host, most at a
-- time for one caller, milliseconds after which a message that waits for a silent host is given up, and the reason.
-- Take the next webhook message. Unless it is settled before the lease ends, it is due again.
-- Returns {message, job, event, attempts with this one, its age in microseconds, the job's tenant or '', the
-- place of its submission in a trace or ''}; nothing when there is none; 'again' when there may be one, but not among those
-- that one call looks at.
--
-- 'webhooks' holds every message that is not settled, by the time of its next attempt. One that is due goes
-- into the queue of its pair of caller and host. The callers take turns, and the hosts of each, so that one that does
-- not answer delays only its own, however many messages are due there. 'webhook_callers' and 'webhook_hosts:<caller>'
-- are those with a queue, by the time from which they may be served; until then they are passed over.
local prefix, lease, token, host_most, caller_most, oldest, failure = unpack(ARGV)
local PORTION, SIGHT = 1000, 64
local AGAIN_US, TENDED_US = 500000, 3600 * 1000000
local now = now_us()
local owed, callers = prefix .. 'webhooks', prefix .. 'webhook_callers'

-- A queue is tended once an hour: a message of a deleted job, or one that is too old, leaves it then.
local function enqueue_message(message, since)
  local delivery = prefix .. 'webhook:' .. message
  local id, owed_us = unpack(redis.call('HMGET', delivery, 'job_id', 'owed_us'))
  local url, flow = unpack(redis.call('HMGET', prefix .. 'job:' .. (id or ''), 'webhook_url', 'flow'))
  if not url then
    return end_webhook(prefix, message)
  end
  local host, caller = string.match(url, '^[^/]+//[^/?#]+') or '', string.gsub(flow or '', ':[^:]*$', '')
  redis.call('HSET', delivery, 'caller', caller, 'host', host)
  local is_new = redis.call('ZADD', webhook_queue(prefix, caller, host), 'NX', since, message) == 1
  if not is_new and now - owed_us > oldest * 1000 then
    return end_webhook(prefix, message, 'failed', failure)
  end
  redis.call('ZADD', owed, whole(now + TENDED_US), message)
  redis.call('ZADD', prefix .. 'webhook_hosts:' .. caller, 'NX', whole(now), host)
  redis.call('ZADD', callers, 'LT', whole(now), caller)
end

local function sending(kind, name)
  local key = webhook_sending(prefix, kind, name)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now)) -- of a process that died
  return redis.call('ZCARD', key)
end

local function blocked_until(caller, host)
  local silent_until = redis.call('HGET', webhook_silence(prefix, caller, host), 'until_us')
  if silent_until and tonumber(silent_until) > now then
    return tonumber(silent_until)
  end
  return sending('host', host) >= tonumber(host_most) and now + AGAIN_US or nil
end

-- The caller's host that has waited for the longest among those that may be served, and its oldest message.
local function turn_of(caller)
  local hosts = prefix .. 'webhook_hosts:' .. caller
  for _, host in ipairs(redis.call('ZRANGEBYSCORE', hosts, '-inf', whole(now), 'LIMIT', 0, SIGHT)) do
    local message = redis.call('ZRANGE', webhook_queue(prefix, caller, host), 0, 0)[1]
    local blocked = message and blocked_until(caller, host)
    if not message then
      redis.call('ZREM', hosts, host)
    elseif blocked then
      redis.call('ZADD', hosts, whole(blocked), host)
    else
      return host, message
    end
  end
end

local function take(caller, host, message)
  local delivery, ends = prefix .. 'webhook:' .. message, whole(now + lease * 1000)
  redis.call('ZREM', webhook_queue(prefix, caller, host), message)
  redis.call('ZADD', owed, ends, message)
  for _, key in ipairs({webhook_sending(prefix, 'host', host), webhook_sending(prefix, 'caller', caller)}) do
    redis.call('ZADD', key, ends, message)
    redis.call('PEXPIRE', key, lease)
  end
  redis.call('ZADD', prefix .. 'webhook_hosts:' .. caller, whole(now), host)
  redis.call('ZADD', callers, whole(now), caller)
  local silence = webhook_silence(prefix, caller, host)
  if redis.call('EXISTS', silence) == 1 then
    redis.call('HSET', silence, 'until_us', ends) -- one at a time until it has answered again
  end
  redis.call('HSET', delivery, 'token', token)
  local attempts = redis.call('HINCRBY', delivery, 'attempts', 1)
  local id, event, owed_us = unpack(redis.call('HMGET', delivery, 'job_id', 'event', 'owed_us'))
  local trace = redis.call('HGET', prefix .. 'job:' .. id, 'trace') or ''
  return {message, id, event, attempts, whole(now - owed_us), tenant_of(prefix, id) or '', trace}
end

local due = redis.call('ZRANGEBYSCORE', owed, '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, PORTION)
for i = 1, #due, 2 do
  enqueue_message(due[i], due[i + 1])
end
for _, caller in ipairs(redis.call('ZRANGEBYSCORE', callers, '-inf', whole(now), 'LIMIT', 0, SIGHT)) do
  if sending('caller', caller) >= tonumber(caller_most) then
    redis.call('ZADD', callers, whole(now + AGAIN_US), caller)
  else
    local host, message = turn_of(caller)
    if message then
      return take(caller, host, message)
    end
    local next_time = redis.call('ZRANGE', prefix .. 'webhook_hosts:' .. caller, 0, 0, 'WITHSCORES')[2]
    if next_time then
      redis.call('ZADD', callers, whole(math.max(next_time, now)), caller)
    else
      redis.call('ZREM', callers, caller)
    end
  end
end
local is_more = #due == 2 * PORTION or redis.call('ZCOUNT', callers, '-inf', whole(now)) > 0
return is_more and 'again' or false
