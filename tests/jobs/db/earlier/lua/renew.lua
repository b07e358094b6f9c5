-- ARGV: prefix, id, fence, lease in milliseconds, then pairs of field and value to store with the progress.
-- Returns 'held', 'canceled' (it should stop) or 'lost'.
local prefix, id, fence, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not owns(prefix, id, fence) then
  return 'lost'
end
redis.call('ZADD', prefix .. 'leases', whole(now_us() + lease * 1000), id)
local job = prefix .. 'job:' .. id
if #ARGV > 4 then
  local before = redis.call('HMGET', job, 'step', 'steps')
  redis.call('HDEL', job, 'eta_s') -- not known any more, unless it is among the pairs
  redis.call('HSET', job, unpack(ARGV, 5))
  local after = redis.call('HMGET', job, 'step', 'steps')
  if after[2] ~= '0' and (before[1] ~= after[1] or before[2] ~= after[2]) then
    emit(prefix, id, 'progress', unpack(ARGV, 5))
  end
end
return redis.call('HEXISTS', job, 'cancel_requested') == 1 and 'canceled' or 'held'
