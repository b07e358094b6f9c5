-- ARGV: prefix, id, fence, lease in milliseconds, then pairs of field and value to store with the progress.
-- Returns 'held', 'canceled' (it should stop) or 'lost'.
local prefix, id, fence, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not owns(prefix, id, fence) then
  return 'lost'
end
redis.call('ZADD', prefix .. 'leases', whole(now_us() + lease * 1000), id)
if #ARGV > 4 then
  redis.call('HDEL', prefix .. 'job:' .. id, 'eta_s') -- not known any more, unless it is among the pairs
  redis.call('HSET', prefix .. 'job:' .. id, unpack(ARGV, 5))
end
return redis.call('HEXISTS', prefix .. 'job:' .. id, 'cancel_requested') == 1 and 'canceled' or 'held'
