-- ARGV: prefix, id, field of a candidate, its value, its file. Keep a picture that a job did not choose, while its file is
-- there. Returns whether it is among the pictures of the job now.
local prefix, id, field, value, file = unpack(ARGV)
local job = prefix .. 'job:' .. id
local ends, images, candidate = unpack(redis.call('HMGET', job, 'rejected_until_us', 'images', field))
if not ends or not images or candidate ~= value or tonumber(ends) <= now_us() then
  return 0
end
if redis.call('ZREM', prefix .. 'orphans', file) == 0 then
  return 0
end
redis.call('HSET', job, 'images', string.sub(images, 1, -2) .. ',' .. value .. ']')
weigh(prefix, id)
return 1
