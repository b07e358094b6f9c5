-- ARGV: prefix, id, status, the status that it is to have in the end, seconds to keep its record from then on or 0 for
-- ever. A running night goes to 'finishing', which may still turn to the end of a cancel; then to its end, once. Returns
-- whether there is such a night.
local prefix, id, to, goal, keep_s = unpack(ARGV)
local night = prefix .. 'night:' .. id
local status, deleted = unpack(redis.call('HMGET', night, 'status', 'deleted'))
if not status or deleted then
  return 0
end
redis.call('HDEL', night, 'waits_for', 'waits_until_us')
if to == 'finishing' then
  if status == 'running' or (status == 'finishing' and goal == 'canceled') then
    redis.call('HSET', night, 'status', to, 'goal', goal)
  end
elseif status == 'finishing' then
  redis.call('HSET', night, 'status', to, 'finished_us', whole(now_us()))
  redis.call('ZREM', prefix .. 'open_nights', id)
  if tonumber(keep_s) > 0 then
    for _, key in ipairs(keys_of_night(prefix, id)) do
      redis.call('EXPIRE', key, keep_s)
    end
  end
end
return 1
