-- ARGV: prefix, id. Returns whether the job exists. A running job is marked to stop; its worker then commits the cancel.
local prefix, id = unpack(ARGV)
local job = prefix .. 'job:' .. id
local status = redis.call('HGET', job, 'status')
if status == 'queued' then
  finish(prefix, id, 'queued', 'canceled')
elseif status == 'running' then
  if redis.call('HSET', job, 'cancel_requested', 1) == 1 then
    emit(prefix, id, 'canceling')
  end
  redis.call('PUBLISH', prefix .. 'interrupts', id)
end
return status and 1 or 0
