-- ARGV: prefix, id, fence, picture of the preview or '', its JPEG in base64, seconds to keep it, the event's type, then
-- pairs of field and value. Append an event of an execution. Returns whether the execution owns the job.
local prefix, id, fence, picture, jpeg, ttl, event = unpack(ARGV, 1, 7)
if not owns(prefix, id, fence) then
  return 0
end
if picture ~= '' then
  redis.call('HSET', prefix .. 'previews:' .. id, picture, jpeg)
  redis.call('EXPIRE', prefix .. 'previews:' .. id, ttl)
end
emit(prefix, id, event, unpack(ARGV, 8))
return 1
