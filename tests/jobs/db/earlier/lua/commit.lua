-- ARGV: prefix, id, fence, terminal status, field of the outcome or '', its value.
-- Returns the status that the job entered, or 'lost'. A cancel that was accepted before wins. A second call
-- of the execution that settled the job (its answer was lost) returns the same status, and changes nothing.
local prefix, id, fence, status, field, value = unpack(ARGV)
local job = prefix .. 'job:' .. id
if redis.call('HGET', job, 'settled_by') == fence then
  return redis.call('HGET', job, 'status')
end
if not owns(prefix, id, fence) then
  return 'lost'
end
if redis.call('HEXISTS', job, 'cancel_requested') == 1 then
  status = 'canceled'
elseif field ~= '' then
  redis.call('HSET', job, field, value)
end
redis.call('HSET', job, 'settled_by', fence)
finish(prefix, id, 'running', status)
return status
