-- ARGV: prefix, id, the request as it was read, the same with another priority, the flow of that priority, its weight, 1
-- if that is greater than the job's present one. Let a waiting job take another place in the queue, and be charged to
-- that flow instead of its own.
-- Returns 'queued'; the status of a job that does not wait; 'changed' if the request is another by now; '' if there is no
-- job.
--
-- The new place is that of a new job of the flow. But a job that is raised never falls back behind where it was, however
-- many of its flow wait, and one that is lowered never comes forward.
local prefix, id, read, request, flow, weight, is_raised = unpack(ARGV)
local job = prefix .. 'job:' .. id
local status, present, before, cost, tenant, old =
  unpack(redis.call('HMGET', job, 'status', 'request', 'flow', 'cost', 'tenant', 'tag'))
if status ~= 'queued' then
  return status or ''
end
if present ~= read then
  return 'changed'
end
local parked = redis.call('ZSCORE', prefix .. 'aside', id)
refund(prefix, id)
local new, share, virtual_time = place_in_queue(prefix, flow, weight, cost, tenant)
count_in_flow(prefix, flow, weight, new, tenant, virtual_time)
old = tonumber(old)
local tag = is_raised == '1' and math.min(old, new) or math.max(old, new)
dequeue(prefix, id) -- while the job is of its old flow
redis.call('HSET', job, 'request', request, 'flow', flow, 'share', string.format('%.17g', share),
  'tag', string.format('%.17g', tag))
if parked then
  redis.call('ZADD', prefix .. 'aside', string.format('%.17g', tag), id)
else
  enqueue(prefix, id)
end
weigh(prefix, id)
begin_events(prefix, id)
emit(prefix, id, 'log', 'level', 'info', 'message',
  'priority changed from ' .. priority_of(before) .. ' to ' .. priority_of(flow))
return 'queued'
