-- ARGV: prefix, id, fence, terminal status, field of the outcome or '', its value.
-- Returns the status that the job entered, or 'lost'. A cancel that was accepted before wins.
local prefix, id, fence, status, field, value = unpack(ARGV)
if not owns(prefix, id, fence) then
  return 'lost'
end
local job = prefix .. 'job:' .. id
if redis.call('HEXISTS', job, 'cancel_requested') == 1 then
  status = 'canceled'
elseif field ~= '' then
  redis.call('HSET', job, field, value)
end
finish(prefix, id, 'running', status)
return status
