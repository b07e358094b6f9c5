-- ARGV: prefix, id, fence, seconds, files. Have files of the execution that settled a job deleted so many seconds from now.
-- Until a minute before, keep.lua may take one back.
local prefix, id, fence, seconds = unpack(ARGV, 1, 4)
local job = prefix .. 'job:' .. id
if redis.call('HGET', job, 'settled_by') ~= fence then
  return 0
end
local at = now_us() + seconds * 1000000
redis.call('HSET', job, 'rejected_until_us', whole(at - 60 * 1000000))
for i = 5, #ARGV do
  redis.call('ZADD', prefix .. 'orphans', whole(at), ARGV[i])
end
return 1
