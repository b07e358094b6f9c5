-- ARGV: prefix, id. Delete a job in any status; a worker that runs it finds its lease lost. Returns whether it existed.
local prefix, id = unpack(ARGV)
local job = prefix .. 'job:' .. id
local status, bytes, file_bytes, inputs, tenant, waits_with, request, labels = unpack(
  redis.call('HMGET', job, 'status', 'bytes', 'file_bytes', 'inputs', 'tenant', 'waits_with', 'request', 'labels'))
if not status then
  return 0
end
if status == 'queued' then
  dequeue(prefix, id)
  begin_events(prefix, id)
  refund(prefix, id)
  note_waiting(prefix, id, waits_with)
  settle(prefix, id, 1, 0, 0)
elseif status == 'running' then
  end_lease(prefix, id)
  settle(prefix, id, undone(prefix, id), 0, 0)
  -- Its worker may be about to store pictures.
  collect_later(prefix, id)
  redis.call('PUBLISH', prefix .. 'interrupts', id)
end
-- From the first write on, a script may also write what needs memory: a server that is full can be made room in.
redis.call('DEL', job)
if bytes then
  redis.call('DECRBY', prefix .. 'kept_bytes', bytes)
end
if file_bytes then
  redis.call('DECRBY', prefix .. 'kept_file_bytes', file_bytes)
end
for digest in string.gmatch(inputs or '', '%x+') do
  redis.call('SREM', keepers(prefix, tenant, digest), id)
end
redis.call('ZREM', prefix .. 'jobs', id)
redis.call('ZREM', prefix .. 'status:' .. status, id)
if tenant then
  redis.call('ZREM', prefix .. 'jobs_of:' .. tenant, id)
  redis.call('ZREM', prefix .. 'status_of:' .. tenant .. ':' .. status, id)
end
for _, label in ipairs(request and labels_of(request) or cjson.decode(labels or '[]')) do -- archived: see archive.lua
  redis.call('ZREM', prefix .. 'label_of:' .. (tenant or '') .. ':' .. label, id)
end
redis.call('ZREM', prefix .. 'finished', id)
redis.call('DEL', prefix .. 'previews:' .. id)
emit_of(prefix, tenant, id, 'deleted')
redis.call('EXPIRE', prefix .. 'events:' .. id, 60) -- for its followers
return 1
