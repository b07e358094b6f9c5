-- ARGV: prefix, worker, what it says of itself, seconds until it counts as gone, 1 if it has room for a job, its models.
-- Returns 1 if it is drained, and 0.
local prefix, worker, info, ttl, room = unpack(ARGV, 1, 5)
redis.call('SET', prefix .. 'worker:' .. worker, info, 'EX', ttl)
redis.call('SADD', prefix .. 'workers', worker)
-- Remembered for an hour, whatever becomes of it.
redis.call('SET', prefix .. 'last_heartbeat:' .. worker, info, 'EX', 3600)
redis.call('ZADD', prefix .. 'known_workers', whole(now_us()), worker)
redis.call('ZREMRANGEBYSCORE', prefix .. 'known_workers', '-inf', whole(now_us() - 3600 * 1000000))
-- A drain is of the process that had this name when it was asked for, and not of the next one.
local draining = prefix .. 'draining:' .. worker
local process = redis.call('GET', draining)
if process and process ~= cjson.decode(info).started_at then
  redis.call('DEL', draining)
  process = false
elseif process then
  redis.call('EXPIRE', draining, 3600)
  room = '0'
end
for i = 6, #ARGV do
  local holders = prefix .. 'holders:' .. ARGV[i]
  if room == '1' then
    redis.call('ZADD', holders, whole(now_us() + ttl * 1000000), worker)
    redis.call('EXPIRE', holders, ttl)
  else
    redis.call('ZREM', holders, worker)
  end
end
return process and 1 or 0
