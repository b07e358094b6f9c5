-- ARGV: prefix, id, request, most waiting jobs, idempotency key (its place after the prefix) or '', digest of the body,
-- seconds to keep the key, flow, weight of the flow, cost (a whole number), model, the webhook's address or '', its
-- events with commas between, the address of this server in its predictions, or '', the end of its pictures' addresses
-- there, or '', its first notes with line breaks between, or '', most bytes of all jobs or 0, most bytes of the files of
-- all jobs or 0, bytes of the files that go at its end, bytes of the pictures that it keeps, the tenant or '' for the
-- default one, the number of pictures that it makes, its accounts (see accounts.lua) in JSON, its kind, the preset of its
-- guidance or '', the place of its submission in a trace or '', the number of strings that make RQ's hash of its first
-- ticket or 0, these, digests of these pictures.
-- Returns {'accepted' | 'replayed' | 'conflict' | 'full' | 'heavy' | 'laden' | 'over', id}. The same id again (its answer
-- was lost) changes nothing. If the job was charged, or is over a limit: also the number of the account whose limit it
-- breaks or 0, that limit or '', and how the accounts stand.
--
-- The queue is ordered by self-clocked fair queueing (Golestani, INFOCOM 1994). Each flow gets a share of the work in
-- proportion to its weight: a job's tag is the virtual time at which it would be done if all flows were served at once,
-- which is cost / weight after the flow's job before it, or after the present virtual time for a flow that was idle.
-- The virtual time is the least tag in the queue at the last claim. So 500 jobs of one flow have tags far into the
-- future, and another flow's one job goes between the first of them; and whatever waits comes first some day, since
-- new tags only grow.
local prefix, id, request, most, key, digest, ttl, flow, weight, cost, model, webhook, webhook_events,
  prediction_base, picture_suffix, notes, most_bytes, most_file_bytes, uploads_bytes, inputs_bytes,
  tenant, pictures, accounts, kind, preset, trace, ticket_strings = unpack(ARGV, 1, 27)
tenant = tenant and tenant ~= '' and tenant
local job = prefix .. 'job:' .. id
if redis.call('EXISTS', job) == 1 then
  return {'accepted', id}
end
if key ~= '' then
  local known = redis.call('HMGET', prefix .. key, 'id', 'digest')
  -- A key whose job was deleted is free again.
  if known[1] and redis.call('EXISTS', prefix .. 'job:' .. known[1]) == 1 then
    return {known[2] == digest and 'replayed' or 'conflict', known[1]}
  end
end
if redis.call('ZCARD', prefix .. 'status:queued') >= tonumber(most) then
  return {'full', ''}
end
local function exceeds(most_of_all, key, bytes)
  return tonumber(most_of_all or 0) > 0 and bytes > 0
    and (redis.call('GET', key) or 0) + bytes > tonumber(most_of_all)
end
if exceeds(most_bytes, prefix .. 'kept_bytes', BYTES_BESIDE + #request) then
  return {'heavy', ''}
end
if exceeds(most_file_bytes, prefix .. 'kept_file_bytes', (uploads_bytes or 0) + (inputs_bytes or 0)) then
  return {'laden', ''}
end
accounts = cjson.decode(accounts or '[]')
local now = now_us()
local month = month_of(now)
local used, whose, limit = consider_cost(prefix, accounts, cost, now, month)
if whose > 0 then
  return {'over', '', whose, limit, unpack(told(used, now))}
end
local created = whole(next_creation(prefix))
local tag, share, virtual_time = place_in_queue(prefix, flow, weight, cost, tenant)
count_in_flow(prefix, flow, weight, tag, tenant, virtual_time)
redis.call('HSET', job, 'status', 'queued', 'request', request, 'created_us', created, 'attempts', 0, 'claims', 0,
  'starts', 0, 'model', model, 'flow', flow, 'cost', cost, 'share', string.format('%.17g', share),
  'tag', string.format('%.17g', tag), 'kind', kind or 'generate', 'preset', preset or '')
if #accounts > 0 then
  local charged, waits = charge(prefix, id, accounts, used, tonumber(cost), now, month)
  redis.call('HSET', job, 'accounts', charged, 'waits_with', waits, 'month', month, 'pictures', pictures)
end
redis.call('ZADD', prefix .. 'jobs', created, id)
redis.call('ZADD', prefix .. 'status:queued', created, id)
if tenant then
  redis.call('HSET', job, 'tenant', tenant)
  redis.call('SADD', prefix .. 'tenants', tenant)
  redis.call('ZADD', prefix .. 'jobs_of:' .. tenant, created, id)
  redis.call('ZADD', prefix .. 'status_of:' .. tenant .. ':queued', created, id)
end
for _, label in ipairs(labels_of(request)) do
  redis.call('ZADD', prefix .. 'label_of:' .. (tenant or '') .. ':' .. label, created, id)
end
enqueue(prefix, id)
ticket_strings = tonumber(ticket_strings or 0)
if ticket_strings > 0 then
  -- As rq.scripts.UNIQUE_ENQUEUE_SCRIPT does; here it is one step with the job, and one sync of the file.
  redis.call('HSET', prefix .. 'rq:job:' .. id .. '-first', unpack(ARGV, 28, 27 + ticket_strings))
  redis.call('RPUSH', prefix .. 'rq:queue:lodestar', id .. '-first')
end
if webhook and webhook ~= '' then
  redis.call('HSET', job, 'webhook_url', webhook, 'webhook_events', webhook_events)
  if prediction_base and prediction_base ~= '' then
    redis.call('HSET', job, 'webhook_base', prediction_base)
  end
end
if picture_suffix and picture_suffix ~= '' then
  redis.call('HSET', job, 'picture_suffix', picture_suffix)
end
if notes and notes ~= '' then
  redis.call('HSET', job, 'notes', notes)
end
if tonumber(uploads_bytes or 0) > 0 then
  redis.call('HSET', job, 'uploads_bytes', uploads_bytes)
end
if trace and trace ~= '' then
  redis.call('HSET', job, 'trace', trace)
end
if #ARGV > 27 + ticket_strings then
  local inputs = {unpack(ARGV, 28 + ticket_strings)}
  redis.call('HSET', job, 'inputs', table.concat(inputs, ' '), 'inputs_bytes', inputs_bytes)
  for _, digest_of_input in ipairs(inputs) do
    redis.call('SADD', keepers(prefix, tenant, digest_of_input), id)
  end
end
redis.call('ZREM', prefix .. 'orphans', id) -- its files have an owner now: see expect.lua
weigh(prefix, id)
tell_all(prefix, tenant, id, 'queued', 'reason', 'submitted')
if key ~= '' then
  redis.call('HSET', prefix .. key, 'id', id, 'digest', digest)
  redis.call('EXPIRE', prefix .. key, ttl)
end
if #accounts == 0 then
  return {'accepted', id}
end
return {'accepted', id, 0, '', unpack(told(used, now))}
