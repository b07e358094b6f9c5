-- ARGV: prefix, id, fence, field, value, then pairs of field and value of the event. Keep a candidate of an
-- execution, and append its event. Returns whether the execution owns the job.
local prefix, id, fence, field, value = unpack(ARGV, 1, 5)
if not owns(prefix, id, fence) then
  return 0
end
redis.call('HSET', prefix .. 'job:' .. id, field, value)
emit(prefix, id, 'candidate', unpack(ARGV, 6))
return 1
