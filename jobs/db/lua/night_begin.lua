-- ARGV: prefix, id, tenant or '' for the default one, most nights of a tenant that are open at a time, seconds that it
-- lasts, then the fields and values of its record. Returns 'begun', 'full', 'known' if there is one of this id, whose
-- answer was lost, or 'deleted' if it is there only until its pictures are deleted.
local prefix, id, tenant, most, lasts_s = unpack(ARGV, 1, 5)
local night = prefix .. 'night:' .. id
if redis.call('EXISTS', night) == 1 then
  return redis.call('HEXISTS', night, 'deleted') == 1 and 'deleted' or 'known'
end
local open = 0
for _, other in ipairs(redis.call('ZRANGE', prefix .. 'open_nights', 0, -1)) do
  if (redis.call('HGET', prefix .. 'night:' .. other, 'tenant') or '') == tenant then
    open = open + 1
  end
end
if open >= tonumber(most) then
  return 'full'
end
local now = now_us()
redis.call('HSET', night, 'status', 'running', 'tenant', tenant, 'created_us', whole(now),
  'ends_us', whole(now + math.floor(lasts_s * 1000000)), 'next', 0, 'made', 0, 'failed', 0, 'in_a_row', 0, 'every', 1,
  unpack(ARGV, 6))
for _, index in ipairs({prefix .. 'nights', prefix .. 'open_nights', prefix .. 'nights_of:' .. tenant}) do
  redis.call('ZADD', index, whole(now), id)
end
return 'begun'
