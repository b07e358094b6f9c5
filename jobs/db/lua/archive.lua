-- ARGV: prefix, id. The record of a job that has ended is in the artifact store: keep here what lists, limits and its
-- deletion need of it. Returns 1; 0 if it has not ended, is archived, or owes a webhook message; -1 if there is none.
local prefix, id = unpack(ARGV)
local job = prefix .. 'job:' .. id
local KEPT = {'status', 'created_us', 'started_us', 'finished_us', 'tenant', 'bytes', 'file_bytes', 'inputs',
  'inputs_bytes', 'error', 'kind', 'model', 'flow'}
local finished, archived, webhook, request, record_bytes =
  unpack(redis.call('HMGET', job, 'finished_us', 'archived', 'webhook_status', 'request', 'record_bytes'))
if not finished or archived or webhook == 'pending' then
  return redis.call('EXISTS', job) == 1 and 0 or -1
end
local kept = {'archived', 1}
for place, value in ipairs(redis.call('HMGET', job, unpack(KEPT))) do
  if value then
    table.insert(kept, KEPT[place])
    table.insert(kept, value)
  end
end
local labels = labels_of(request)
if #labels > 0 then
  table.insert(kept, 'labels')
  table.insert(kept, cjson.encode(labels))
end
redis.call('DEL', job) -- and anew, since a hash that was large stays so
redis.call('HSET', job, unpack(kept))
weigh(prefix, id)
redis.call('HSET', job, 'record_bytes', record_bytes or 0) -- of the whole, which bounds a page of a list
return 1
